use super::*;
use crate::options::{Loss, OptimizerKind, TableOptions};
use crate::rows::Row;

fn trainer(record_wise: bool, fingerprint: &str) -> Trainer {
    let options = LearnerOptions {
        loss: Loss::Logistic,
        optimizer: OptimizerKind::Ftrl,
        alpha: 0.5,
        beta: 1.0,
        l1: 0.0,
        l2: 0.0,
        decay: 1.0,
        base_rate: Some(0.5),
        base_rate_events: 0,
    };
    let course = Course {
        fingerprint: fingerprint.into(),
        options,
        table: TableOptions::default(),
        record_wise,
        duplicate_window: 3,
        judging: Judging::every(4),
    };
    Trainer::new(course, 0).unwrap()
}

/// Examples of record, event id and label, each with the feature 5; a second later each.
fn block(examples: &[(u32, u64, f32)]) -> Block {
    let mut block = Block::default();
    for &(record, event_id, label) in examples {
        block.ids.push(5);
        block.values.push(1.0);
        let end = block.ids.len() as u32;
        block.examples.push(Example {
            end,
            record,
            index: 0,
            label,
            importance: 1.0,
            served: f32::NAN,
            event_id,
            timestamp_us: i64::from(end) * 1_000_000,
            label_time_us: i64::MIN,
        });
    }
    block
}

fn metric(trainer: &Trainer, wanted: &str) -> f64 {
    let metrics = trainer.metrics();
    metrics.iter().find(|(name, _)| name == wanted).unwrap().1
}

#[test]
fn everything_that_comes_in_is_counted() {
    let mut trainer = trainer(false, "");
    let mut block = block(&[(0, 1, 1.0), (1, 2, 0.0), (2, 1, 1.0)]);
    (block.skipped, block.empty) = (2, 3);
    trainer.count_records(9);
    trainer.learn(0, &block, &mut Vec::new()).unwrap();
    let expected = Counters {
        records: 9,
        learned: 2,
        duplicates: 1,
        refused: 0,
        skipped: 2,
        empty: 3,
    };
    assert_eq!(trainer.counters(), expected);
    assert_eq!(
        (metric(&trainer, "learned"), metric(&trainer, "rows")),
        (2.0, 1.0)
    );
    assert_eq!(
        trainer.score_state().watermark_us,
        2_000_000,
        "a duplicate moves no watermark"
    );
}

#[test]
fn a_duplicate_is_one_within_its_partition_only() {
    let mut trainer = trainer(false, "");
    for partition in [0, 1, 0] {
        trainer
            .learn(partition, &block(&[(0, 1, 1.0)]), &mut Vec::new())
            .unwrap();
    }
    assert_eq!(
        (trainer.counters().learned, trainer.counters().duplicates),
        (2, 1)
    );
}

#[test]
fn the_events_of_a_record_are_judged_before_any_of_them_is_learned() {
    let together = block(&[(0, 0, 1.0), (0, 0, 1.0)]);
    let loss = |record_wise| {
        let mut trainer = trainer(record_wise, "");
        trainer.learn(0, &together, &mut Vec::new()).unwrap();
        metric(&trainer, "log_loss")
    };
    assert!((loss(true) - 2f64.ln()).abs() < 1e-9, "{}", loss(true));
    assert!(
        loss(false) < loss(true),
        "the second is judged by what the first taught"
    );
}

#[test]
fn a_record_ends_where_the_next_begins() {
    let block = block(&[
        (0, 0, 1.0),
        (0, 0, 1.0),
        (1, 0, 1.0),
        (3, 0, 1.0),
        (3, 0, 1.0),
    ]);
    for (from, range) in [(0, 0..2), (2, 2..3), (3, 3..5)] {
        assert_eq!(record_at(&block, from), range);
    }
}

#[test]
fn evaluations_close_after_their_number_of_examples() {
    let mut trainer = trainer(false, "");
    let mut closed = Vec::new();
    trainer
        .learn(0, &block(&[(0, 0, 1.0); 9]), &mut closed)
        .unwrap();
    assert_eq!((closed.len(), metric(&trainer, "evaluations")), (2, 2.0));
}

#[test]
fn a_learner_goes_on_from_a_state_as_if_it_had_never_stopped() {
    let mut first = trainer(false, "f");
    first
        .learn(0, &block(&[(0, 1, 1.0), (1, 2, 0.0)]), &mut Vec::new())
        .unwrap();
    let mut second = trainer(false, "f");
    second.load_state(&first.state_bytes()).unwrap();
    second.table_mut().put(5, first.table().get(5).unwrap());
    for trainer in [&mut first, &mut second] {
        trainer
            .learn(0, &block(&[(0, 2, 1.0), (1, 3, 1.0)]), &mut Vec::new())
            .unwrap();
    }
    assert_eq!(first.state_bytes(), second.state_bytes());
    assert_eq!(first.table().hash(), second.table().hash());
    assert_eq!(second.counters().duplicates, 1);
}

#[test]
fn the_state_of_another_plan_or_a_damaged_one_changes_nothing() {
    let mut other = trainer(false, "other");
    other
        .learn(0, &block(&[(0, 1, 1.0)]), &mut Vec::new())
        .unwrap();
    let mut trainer = trainer(false, "own");
    let before = trainer.state_bytes();
    let told = trainer.load_state(&other.state_bytes()).unwrap_err();
    assert_eq!(told.0, "learner state: of plan other, this learner has own");
    let mut damaged = before.clone();
    damaged[30] ^= 1;
    assert!(trainer.load_state(&damaged).is_err());
    assert!(trainer.load_state(&before[..before.len() - 1]).is_err());
    assert_eq!(trainer.state_bytes(), before);
}

#[test]
fn a_variant_that_begins_with_a_state_counts_from_zero_and_learns_on_as_before() {
    let mut seed = trainer(false, "f");
    seed.learn(0, &block(&[(0, 1, 1.0), (1, 2, 0.0)]), &mut Vec::new())
        .unwrap();
    let mut warm = trainer(false, "f");
    warm.load_state(&seed.state_bytes()).unwrap();
    warm.table_mut().put(5, seed.table().get(5).unwrap());
    warm.begin_variant();
    assert_eq!(warm.counters(), Counters::default());
    assert_eq!(metric(&warm, "examples"), 0.0);
    assert_eq!(metric(&warm, "rows"), 1.0);
    assert_eq!(warm.score_state().to_bytes(), seed.score_state().to_bytes());
    for trainer in [&mut seed, &mut warm] {
        trainer
            .learn(0, &block(&[(0, 2, 1.0), (1, 3, 1.0)]), &mut Vec::new())
            .unwrap();
    }
    assert_eq!(warm.table().hash(), seed.table().hash());
    assert_eq!(
        (warm.counters().learned, warm.counters().duplicates),
        (1, 1)
    );
}

/// Learn examples of three features each, with labels of both kinds.
fn learned(trainer: &mut Trainer, ids: std::ops::Range<u64>) {
    let mut block = Block::default();
    for id in ids {
        block.ids.extend([id % 7 + 1, id % 5 + 11, 21]);
        block.values.extend([1.0, -1.5, 0.5]);
        block.examples.push(Example {
            end: block.ids.len() as u32,
            record: id as u32,
            index: 0,
            label: f32::from(u8::from(id % 3 == 0)),
            importance: 1.0,
            served: f32::NAN,
            event_id: id,
            timestamp_us: id as i64,
            label_time_us: i64::MIN,
        });
    }
    trainer.learn(0, &block, &mut Vec::new()).unwrap();
}

fn of_course(change: impl Fn(&mut Course)) -> Trainer {
    let mut course = trainer(false, "old").course;
    course.options.base_rate = None;
    course.options.base_rate_events = 1_000;
    change(&mut course);
    Trainer::new(course, 0).unwrap()
}

fn score(trainer: &mut Trainer, id: u64) -> f32 {
    let ids = [id % 7 + 1, id % 5 + 11, 21];
    let Trainer {
        scorer,
        table,
        state,
        ..
    } = trainer;
    scorer
        .score(table, &ids, &[1.0, -1.5, 0.5], state)
        .prediction
}

/// Let `new` begin with the rows and the state of `old`.
fn begin(new: &mut Trainer, old: &Trainer, same_ids: bool, same_times: bool) {
    for (id, value) in old.table.map.iter(0, usize::MAX) {
        new.table.put(id, Row::unpack(value));
    }
    new.begin_with(&old.course, &old.state_bytes(), same_ids, same_times)
        .unwrap();
}

#[test]
fn a_variant_of_other_hyper_parameters_scores_the_same_as_it_begins() {
    let mut old = of_course(|_| ());
    learned(&mut old, 1..200);
    let mut new = of_course(|course| {
        course.fingerprint = "new".into();
        (course.options.alpha, course.options.beta) = (0.2, 0.3);
        (course.options.l1, course.options.l2) = (0.6, 0.1);
        course.options.base_rate = Some(0.9);
    });
    begin(&mut new, &old, true, true);
    for id in 0..35 {
        let (before, after) = (score(&mut old, id), score(&mut new, id));
        assert!((before - after).abs() < 1e-6, "{before} {after}");
    }
    assert_eq!(new.counters, Counters::default());
    learned(&mut new, 198..203);
    assert_eq!((new.counters.duplicates, new.counters.learned), (2, 3));
    assert_eq!(new.state.watermark_us, 202);
}

#[test]
fn a_base_rate_that_was_known_is_not_measured_anew() {
    let mut old = of_course(|course| course.options.base_rate = Some(0.3));
    learned(&mut old, 1..9);
    let mut new = of_course(|_| ());
    begin(&mut new, &old, true, true);
    learned(&mut new, 9..12);
    assert_eq!(new.state.base, old.state.base);
}

#[test]
fn where_ids_or_times_mean_something_else_they_are_forgotten() {
    let mut old = of_course(|_| ());
    learned(&mut old, 1..9);
    let mut new = of_course(|_| ());
    begin(&mut new, &old, false, false);
    assert_eq!(new.state.watermark_us, i64::MIN);
    learned(&mut new, 8..9);
    assert_eq!(new.counters.duplicates, 0);
}

#[test]
fn with_rows_of_another_optimizer_loss_or_plan_nothing_begins() {
    let mut old = of_course(|_| ());
    learned(&mut old, 1..9);
    let state = old.state_bytes();
    let mut another = old.course.clone();
    another.fingerprint = "another".into();
    let plainly = of_course(|_| ()).begin_with(&another, &state, true, true);
    assert!(plainly.unwrap_err().to_string().contains("of plan old"));
    for change in [
        (|course: &mut Course| course.options.optimizer = OptimizerKind::Sgd) as fn(&mut Course),
        |course| course.options.loss = Loss::Squared,
    ] {
        let refused = of_course(change).begin_with(&old.course, &state, true, true);
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("mean something else"), "{message}");
    }
}
