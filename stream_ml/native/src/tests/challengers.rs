//! Each challenger is, to the bit, what a learner of its own would be.

use super::*;
use crate::block::Example;
use crate::options::{Loss, OptimizerKind, TableOptions};
use crate::scanned::Writer;
use crate::seeded::Random;
use crate::trainer::{self, Trainer};

const SLOTS: usize = 12;

struct Nobody;

impl Scan for Nobody {
    fn scan_record(&mut self, _: &[u8], _: u32, _: i64, _: &mut Block) {}
}

fn course() -> Course {
    Course {
        table: TableOptions::default(),
        record_wise: false,
        duplicate_window: 500,
        block_examples: 100,
        slots: false,
        segments: false,
    }
}

fn options(at: usize) -> LearnerOptions {
    LearnerOptions {
        loss: Loss::Logistic,
        optimizer: OptimizerKind::Ftrl,
        alpha: [0.1, 0.7, 0.03][at % 3],
        beta: [1.0, 0.0, 2.5][at % 3],
        l1: [0.0, 0.3, 0.01][at / 3 % 3],
        l2: [0.0, 0.5, 2.0][at / 2 % 3],
        decay: [1.0, 0.999, 0.97][at / 4 % 3],
        base_rate: (at % 5 == 4).then_some(0.3),
        base_rate_events: [300, 20][at % 2],
    }
}

fn settings(count: usize) -> Vec<Settings> {
    let one = |at| Settings {
        options: options(at),
        slots: None,
        from: 0,
    };
    (0..count).map(one).collect()
}

/// Blocks of events with 0 to 11 features, some of them repeats, in records of one to three events.
fn blocks(seed: u64, count: usize) -> Vec<Block> {
    let mut random = Random(seed);
    (0..count).map(|_| block(&mut random)).collect()
}

fn block(random: &mut Random) -> Block {
    let mut block = Block::default();
    let mut record = 0;
    for _ in 0..40 {
        for slot in 0..random.below(SLOTS as u64) {
            let value = random.below(1 << (1 + slot));
            block.ids.push(1 + (slot << 32) + value);
            block.slots.push(slot as u16);
            let x = [1.0, -2.5, 0.125, 30.0][random.below(4) as usize];
            block.values.push(x);
        }
        record += u32::from(random.below(3) > 0);
        block.examples.push(Example {
            end: block.ids.len() as u32,
            record,
            index: 0,
            label: random.below(2) as f32,
            importance: [1.0, 3.0, 0.25][random.below(3) as usize],
            event_id: random.below(4_000),
            timestamp_us: random.below(1 << 40) as i64,
            ..Example::default()
        });
    }
    block
}

fn kept(blocks: &[Block]) -> Vec<u8> {
    let mut writer = Writer::new(blocks.len());
    blocks.iter().for_each(|block| writer.push(block));
    writer.finish()
}

fn challengers(course: Course, settings: &[Settings], threads: usize) -> Challengers<Nobody> {
    let scanners = (0..threads).map(|_| Nobody).collect();
    Challengers::new(course, settings, SLOTS, scanners, 0).unwrap()
}

fn learn(many: &mut Challengers<Nobody>, blocks: &[Block]) -> Vec<Figures> {
    let bytes = kept(blocks);
    let range = ScannedRange::parse(3, &bytes).unwrap();
    many.learn_scanned(&[range]).unwrap()
}

fn alone(course: Course, options: &LearnerOptions) -> Trainer {
    let own = trainer::Course {
        fingerprint: String::new(),
        options: options.clone(),
        table: course.table,
        record_wise: course.record_wise,
        duplicate_window: course.duplicate_window,
        judging: crate::evaluation::Judging::every(course.block_examples),
    };
    Trainer::new(own, 0).unwrap()
}

/// The closed evaluations.
fn learn_alone(one: &mut Trainer, blocks: &[Block]) -> Vec<serde_json::Value> {
    let mut closed = Vec::new();
    for block in blocks {
        one.learn(3, block, &mut closed).unwrap();
    }
    let parsed = closed.iter().map(|json| serde_json::from_slice(json));
    parsed.collect::<Result<_, _>>().unwrap()
}

fn sorted_rows(bytes: &[u8]) -> Vec<(u64, u32, u32)> {
    let mut rows: Vec<_> = parse_rows(bytes)
        .flatten()
        .filter(|(_, row)| *row != Row::default())
        .map(|(id, row)| (id, row.z.to_bits(), row.n.to_bits()))
        .collect();
    rows.sort_unstable();
    rows
}

/// Rows, score state and every evaluation, bit for bit.
fn assert_equal(many: &Challengers<Nobody>, at: usize, one: &mut Trainer) {
    let own = sorted_rows(&many.rows(at, 0, usize::MAX));
    assert!(own.len() > 20);
    assert_eq!(
        own,
        sorted_rows(&one.table_mut().cut().0),
        "challenger {at}"
    );
    assert_eq!(many.score_state(at), *one.score_state(), "challenger {at}");
}

fn assert_same_figures(figures: &[Figures], at: usize, closed: &[serde_json::Value]) {
    assert_eq!(figures.len(), closed.len());
    for (figures, closed) in figures.iter().zip(closed) {
        for (name, sum) in [
            ("loss_sum", figures.loss[at]),
            ("prediction_sum", figures.prediction[at]),
            ("importance_sum", figures.common.importance_sum),
            ("label_sum", figures.common.label_sum),
        ] {
            // The last bit may be lost in reading the JSON, no more.
            let own = closed[name].as_f64().unwrap();
            assert!(
                (own - sum).abs() <= f64::EPSILON * own,
                "{at}: {name} {sum} {own}"
            );
        }
        assert_eq!(closed["learned_to"], figures.common.to);
    }
}

fn assert_each_as_alone(course: Course, settings: &[Settings], threads: usize, seed: u64) {
    let blocks = blocks(seed, 60);
    let mut many = challengers(course, settings, threads);
    let figures = learn(&mut many, &blocks);
    assert!(figures.len() >= 10);
    for (at, settings) in settings.iter().enumerate() {
        let mut one = alone(course, &settings.options);
        let closed = learn_alone(&mut one, &blocks);
        assert_same_figures(&figures, at, &closed);
        assert_equal(&many, at, &mut one);
    }
}

#[test]
fn each_challenger_is_what_a_learner_of_its_own_is_bit_for_bit() {
    assert_each_as_alone(course(), &settings(11), 2, 1);
}

#[test]
fn so_it_is_with_other_losses_and_optimizers() {
    for (loss, optimizer) in [
        (Loss::Squared, OptimizerKind::Ftrl),
        (Loss::Poisson, OptimizerKind::Adagrad),
        (Loss::Logistic, OptimizerKind::Sgd),
    ] {
        let mut settings = settings(3);
        for Settings { options, .. } in &mut settings {
            (options.loss, options.optimizer) = (loss, optimizer);
            options.alpha *= 0.01;
        }
        assert_each_as_alone(course(), &settings, 2, 2);
    }
}

#[test]
fn so_it_is_where_a_whole_record_is_scored_before_it_is_learned() {
    let course = Course {
        record_wise: true,
        ..course()
    };
    assert_each_as_alone(course, &settings(9), 2, 3);
}

#[test]
fn so_it_is_where_not_every_feature_is_let_in() {
    for table in [
        TableOptions {
            admission: 0.2,
            ..TableOptions::default()
        },
        TableOptions {
            max_rows: 200,
            ..TableOptions::default()
        },
    ] {
        let course = Course { table, ..course() };
        assert_each_as_alone(course, &settings(5), 2, 4);
    }
}

#[test]
fn the_bits_do_not_depend_on_threads_or_calls() {
    let blocks = blocks(5, 80);
    let mut once = challengers(course(), &settings(20), 1);
    let figures = learn(&mut once, &blocks);
    for threads in [2, 3, 5] {
        let mut again = challengers(course(), &settings(20), threads);
        let calls = blocks.chunks(7 * threads);
        let all: Vec<Figures> = calls.flat_map(|some| learn(&mut again, some)).collect();
        assert_eq!(all, figures);
        for at in 0..20 {
            assert_eq!(
                again.rows(at, 0, usize::MAX),
                once.rows(at, 0, usize::MAX),
                "{threads} threads"
            );
        }
        assert_eq!(again.counts(), once.counts());
    }
}

#[test]
fn duplicates_are_learned_once() {
    let blocks = blocks(6, 30);
    let mut many = challengers(course(), &settings(1), 2);
    learn(&mut many, &blocks);
    let mut one = alone(course(), &options(0));
    learn_alone(&mut one, &blocks);
    let (counts, own) = (many.counts(), one.counters());
    assert!(own.duplicates > 10);
    assert_eq!(
        (counts.learned, counts.duplicates),
        (own.learned, own.duplicates)
    );
}

#[test]
fn rows_come_in_pieces() {
    let mut many = challengers(course(), &settings(2), 1);
    learn(&mut many, &blocks(10, 20));
    let pieces = (0..many.lines()).step_by(7);
    let together: Vec<u8> = pieces.flat_map(|from| many.rows(1, from, 7)).collect();
    assert_eq!(together, many.rows(1, 0, usize::MAX));
}

#[test]
fn damaged_rows_and_scans_without_slots_are_refused() {
    let mut many = challengers(course(), &settings(1), 1);
    assert!(many.load_rows(&[0], &options(0), &[1; 17]).is_err());
    assert_eq!(many.lines(), 0);
    let mut nameless = block(&mut Random(1));
    nameless.slots.clear();
    let bytes = kept(&[nameless]);
    let mut picky = challengers(
        Course {
            slots: true,
            ..course()
        },
        &settings(1),
        1,
    );
    let range = ScannedRange::parse(0, &bytes).unwrap();
    assert!(picky.learn_scanned(&[range]).is_err());
    assert_eq!(picky.counts().learned, 0);
}

#[test]
#[should_panic(expected = "a call before this one panicked")]
fn after_a_panic_nothing_goes_on() {
    struct Broken;
    impl Scan for Broken {
        fn scan_record(&mut self, _: &[u8], _: u32, _: i64, _: &mut Block) {
            panic!("on purpose");
        }
    }
    let records = || Records {
        partition: 0,
        values: vec![Some(b"!".to_vec()); 500],
        timestamps_ms: vec![0; 500],
    };
    let mut many =
        Challengers::new(course(), &settings(1), SLOTS, vec![Broken, Broken], 0).unwrap();
    let call = std::panic::AssertUnwindSafe(|| many.learn(vec![records()]));
    assert!(std::panic::catch_unwind(call).is_err());
    let _ = many.learn(vec![records()]);
}

/// What challengers differ in beside the arithmetic.
#[path = "challengers_apart.rs"]
mod challengers_apart;

#[path = "challengers_compared.rs"]
mod challengers_compared;
