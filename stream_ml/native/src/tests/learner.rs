use super::*;
use crate::block::Example;
use crate::evaluation::Judging;
use crate::options::{LearnerOptions, Loss, OptimizerKind, TableOptions};
use crate::trainer::Course;

/// A record is one example with its first byte as the only feature; "!" makes the scanner panic.
struct FirstByte;

impl Scan for FirstByte {
    fn scan_record(&mut self, record: &[u8], index: u32, timestamp_ms: i64, block: &mut Block) {
        assert_ne!(record, b"!");
        block.ids.push(1 + u64::from(record[0]));
        block.values.push(1.0);
        block.examples.push(Example {
            end: block.ids.len() as u32,
            record: index,
            index: 0,
            label: f32::from(record[0] & 1),
            importance: 1.0,
            served: f32::NAN,
            event_id: 0,
            timestamp_us: timestamp_ms * 1_000,
            label_time_us: i64::MIN,
        });
    }
}

fn learner(threads: usize) -> Learner<FirstByte, Vec<u8>> {
    let options = LearnerOptions {
        loss: Loss::Logistic,
        optimizer: OptimizerKind::Ftrl,
        alpha: 0.1,
        beta: 1.0,
        l1: 0.0,
        l2: 0.0,
        decay: 1.0,
        base_rate: None,
        base_rate_events: 10,
    };
    let fingerprint = String::new();
    let course = Course {
        fingerprint,
        options,
        table: TableOptions::default(),
        record_wise: false,
        duplicate_window: 0,
        judging: Judging::every(7),
    };
    let trainer = Trainer::new(course, 0).unwrap();
    Learner::new(trainer, FirstByte, (0..threads).map(|_| FirstByte)).unwrap()
}

fn ranges(values: impl Iterator<Item = Option<Vec<u8>>>) -> Vec<Records<Vec<u8>>> {
    let values: Vec<_> = values.collect();
    let timestamps_ms = (0..values.len() as i64).collect();
    vec![Records {
        partition: 3,
        values,
        timestamps_ms,
    }]
}

#[test]
fn every_record_is_learned_in_order_by_any_number_of_threads() {
    let values = || (0..5_000u32).map(|at| (at % 9 != 4).then(|| vec![(at * 31 % 97) as u8; 40]));
    let mut one = learner(0);
    let learned = one.learn(ranges(values())).unwrap();
    assert_eq!((learned.learned, learned.empty), (4_444, 556));
    for threads in [1, 2, 5] {
        let mut many = learner(threads);
        assert_eq!(
            many.learn(ranges(values())).unwrap().evaluations,
            learned.evaluations
        );
        assert_eq!(many.trainer.state_bytes(), one.trainer.state_bytes());
        assert_eq!(many.trainer.table().hash(), one.trainer.table().hash());
        // The threads are there for the next call too.
        let again = many.learn(ranges(values())).unwrap();
        assert_eq!((again.learned, again.empty), (4_444, 556));
    }
}

/// Whichever thread meets it, nobody waits for ever.
#[test]
fn a_scanner_that_panics_ends_the_call() {
    for threads in [0, 1, 3] {
        let bad = (0..4_000).map(|at| {
            Some(if at == 3_000 {
                b"!".to_vec()
            } else {
                vec![1; 50]
            })
        });
        let ranges = ranges(bad);
        let call = std::panic::AssertUnwindSafe(|| learner(threads).learn(ranges).is_ok());
        assert!(std::panic::catch_unwind(call).is_err());
    }
}

#[test]
fn what_was_kept_is_learned_as_if_it_were_scanned() {
    let values = || (0..900u32).map(|at| (at % 9 != 4).then(|| vec![(at * 31 % 97) as u8; 40]));
    let (mut scanning, mut keeping, mut cached) = (learner(2), learner(1), learner(0));
    for _ in 0..3 {
        let learned = scanning.learn(ranges(values())).unwrap();
        let kept = keeping.learn_and_keep(ranges(values())).unwrap();
        let scans: Vec<_> = kept.scans.into_iter().map(|scan| scan.finish()).collect();
        let scanned: Vec<_> = scans
            .iter()
            .map(|scan| ScannedRange::parse(3, scan).unwrap())
            .collect();
        let again = cached.learn_scanned(&scanned).unwrap();
        assert_eq!((again.learned, again.empty), (800, 100));
        assert_eq!(again.evaluations, learned.evaluations);
        assert_eq!(kept.evaluations, learned.evaluations);
    }
    for other in [keeping, cached] {
        assert_eq!(other.trainer.state_bytes(), scanning.trainer.state_bytes());
        assert_eq!(
            other.trainer.table().hash(),
            scanning.trainer.table().hash()
        );
    }
}
