use serde_json::Value;

use super::*;
use crate::evaluation::Judging;
use crate::options::{LearnerOptions, Loss, OptimizerKind, TableOptions};
use crate::seeded::Random;
use crate::trainer::Course;

fn trainer(record_wise: bool, duplicate_window: usize) -> Trainer {
    let options = LearnerOptions {
        loss: Loss::Logistic,
        optimizer: OptimizerKind::Ftrl,
        alpha: 0.4,
        beta: 0.7,
        l1: 0.02,
        l2: 0.1,
        decay: 1.0,
        base_rate: None,
        base_rate_events: 30,
    };
    let course = Course {
        fingerprint: String::new(),
        options,
        table: TableOptions::default(),
        record_wise,
        duplicate_window,
        judging: Judging::every(10),
    };
    Trainer::new(course, 0).unwrap()
}

/// An event a second; of each its label's time by `label_time`; some come twice where the event ids are looked at.
fn stream(count: usize, label_time: impl Fn(&mut Random, i64) -> i64) -> Block {
    let (mut random, mut block) = (Random(9), Block::default());
    for at in 0..count {
        let features = 1 + random.below(5);
        for feature in 0..features {
            block.ids.push(1 + 20 * feature + random.below(15));
            block.values.push(1.0 + random.below(3) as f32 / 2.0);
        }
        let timestamp_us = at as i64;
        block.examples.push(Example {
            end: block.ids.len() as u32,
            record: at as u32 / 3,
            index: at as u32 % 3,
            label: random.below(2) as f32,
            event_id: 1 + at as u64 - random.below(2) * (at as u64).min(1),
            timestamp_us,
            label_time_us: label_time(&mut random, timestamp_us),
            ..Example::default()
        });
    }
    block
}

fn later(random: &mut Random, timestamp_us: i64) -> i64 {
    timestamp_us + random.below(40) as i64
}

/// Example `at` alone.
fn one(block: &Block, at: usize) -> Block {
    let features = block.features(at);
    let mut one = Block {
        ids: block.ids[features.clone()].into(),
        values: block.values[features].into(),
        ..Block::default()
    };
    one.examples.push(Example {
        end: one.ids.len() as u32,
        ..block.examples[at]
    });
    one
}

fn learned(trainer: &mut Trainer, block: &Block) -> Vec<Vec<u8>> {
    let mut closed = Vec::new();
    trainer.learn(0, block, &mut closed).unwrap();
    trainer.learn_waiting(&mut closed);
    closed
}

fn metric(trainer: &Trainer, wanted: &str) -> f64 {
    let metrics = trainer.metrics();
    metrics.iter().find(|(name, _)| name == wanted).unwrap().1
}

#[test]
fn where_labels_are_known_at_once_nothing_changes() {
    for label_time in [i64::MIN, -5, 0] {
        for record_wise in [false, true] {
            let block = stream(300, |_, time| label_time.saturating_add(time.max(0)));
            let (mut plain, mut late) = (trainer(record_wise, 5), trainer(record_wise, 5));
            late.wait_for_labels(1_000);
            assert_eq!(learned(&mut late, &block), learned(&mut plain, &block));
            assert_eq!(late.state_bytes(), plain.state_bytes());
            assert_eq!(late.table().hash(), plain.table().hash());
            assert!(metric(&late, "duplicates") > 50.0);
        }
    }
}

/// The same by a plain trainer that is given each example twice: to score, and later to learn.
#[test]
fn an_event_is_scored_at_its_time_and_learned_at_that_of_its_label() {
    let block = stream(300, later);
    let (mut plain, mut predictions) = (trainer(false, 0), vec![0.0; 300]);
    let mut learn_order: Vec<usize> = (0..300).collect();
    learn_order.sort_by_key(|&at| (block.examples[at].label_time_us, at));
    let mut known = learn_order.iter().peekable();
    for (at, prediction) in predictions.iter_mut().enumerate() {
        let now = block.examples[at].timestamp_us;
        while let Some(&&due) = known.peek()
            && block.examples[due].label_time_us <= now
            && due < at
        {
            known.next();
            plain.learn(0, &one(&block, due), &mut Vec::new()).unwrap();
        }
        let features = block.features(at);
        let (ids, values) = (&block.ids[features.clone()], &block.values[features]);
        let said = plain.scorer.score(&plain.table, ids, values, &plain.state);
        *prediction = f64::from(said.prediction);
    }
    known.for_each(|&due| {
        plain.learn(0, &one(&block, due), &mut Vec::new()).unwrap();
    });

    let mut late = trainer(false, 0);
    late.wait_for_labels(1_000);
    let closed = learned(&mut late, &block);
    assert_eq!(late.table().hash(), plain.table().hash());
    assert_eq!(late.score_state(), plain.score_state());
    for (evaluation, judged) in closed.iter().zip(learn_order.chunks(10)) {
        let said: Value = serde_json::from_slice(evaluation).unwrap();
        let expected: f64 = judged.iter().map(|&at| predictions[at]).sum();
        assert!((said["prediction_sum"].as_f64().unwrap() - expected).abs() < 1e-9);
    }
    assert_eq!((closed.len(), metric(&late, "labels_early")), (30, 0.0));
}

#[test]
fn where_the_blocks_end_does_not_matter() {
    let block = stream(200, later);
    for record_wise in [false, true] {
        let (mut whole, mut cut) = (trainer(record_wise, 5), trainer(record_wise, 5));
        whole.wait_for_labels(12);
        cut.wait_for_labels(12);
        let mut closed = Vec::new();
        for record in 0..200 / 3 + 1 {
            let mut part = Block::default();
            for at in (3 * record..3 * record + 3).filter(|at| *at < 200) {
                let one = one(&block, at);
                part.ids.extend(&one.ids);
                part.values.extend(&one.values);
                part.examples.push(Example {
                    end: part.ids.len() as u32,
                    ..one.examples[0]
                });
            }
            cut.learn(0, &part, &mut closed).unwrap();
        }
        cut.learn_waiting(&mut closed);
        assert_eq!(learned(&mut whole, &block), closed);
        assert_eq!(whole.table().hash(), cut.table().hash());
    }
}

#[test]
fn when_too_many_wait_those_whose_label_comes_first_are_learned_early_and_counted() {
    let block = stream(100, |_, time| 1_000 - time);
    let mut trainer = trainer(false, 0);
    trainer.wait_for_labels(7);
    let mut closed = Vec::new();
    trainer.learn(0, &block, &mut closed).unwrap();
    let figures = ["labels_waiting", "labels_early", "learned"].map(|name| metric(&trainer, name));
    assert_eq!(figures, [7.0, 93.0, 93.0]);
    trainer.learn_waiting(&mut closed);
    let figures = ["labels_waiting", "labels_early", "learned"].map(|name| metric(&trainer, name));
    assert_eq!(figures, [0.0, 93.0, 100.0]);
    let early = of_the_first_eight(&block);
    assert_eq!(early, [7], "of labels at 1000 to 993 the last comes first");
}

/// Which of them is learned first if seven can wait: the one whose features have rows then.
fn of_the_first_eight(block: &Block) -> Vec<usize> {
    let mut trainer = trainer(false, 0);
    trainer.wait_for_labels(7);
    for at in 0..8 {
        trainer.learn(0, &one(block, at), &mut Vec::new()).unwrap();
    }
    let has_rows = |at: &usize| {
        let features = &block.ids[block.features(*at)];
        features.iter().all(|&id| trainer.table().get(id).is_some())
    };
    (0..8).filter(has_rows).collect()
}

#[test]
fn without_late_labels_there_are_no_figures_of_them() {
    let metrics = trainer(false, 0).metrics();
    assert!(metrics.iter().all(|(name, _)| !name.contains("labels")));
    let mut closed = Vec::new();
    trainer(false, 0).learn_waiting(&mut closed);
    assert!(closed.is_empty());
}
