use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::block::Example;
use crate::evaluation::Judging;
use crate::learner::Learner;
use crate::options::{Loss, OptimizerKind, TableOptions};
use crate::seeded::Random;
use crate::trainer::Course;

/// Every byte of a record is a feature of its one example; the first byte is also the event's id and its label.
struct Bytes;

const FIRST_ID: u64 = 100;

impl Scan for Bytes {
    fn scan_record(&mut self, record: &[u8], index: u32, timestamp_ms: i64, block: &mut Block) {
        for &byte in record {
            block.ids.push(FIRST_ID + u64::from(byte));
            block.values.push(1.0);
        }
        block.examples.push(Example {
            end: block.ids.len() as u32,
            record: index,
            index: 0,
            label: f32::from(record[0] & 1),
            importance: 1.0,
            served: f32::NAN,
            event_id: 1 + u64::from(record[0]),
            timestamp_us: timestamp_ms * 1_000,
            label_time_us: i64::MIN,
        });
    }
}

fn learner(
    optimizer: OptimizerKind,
    duplicate_window: usize,
    threads: usize,
) -> Learner<Bytes, Vec<u8>> {
    let options = LearnerOptions {
        loss: Loss::Logistic,
        optimizer,
        alpha: 0.3,
        beta: 1.0,
        l1: 0.01,
        l2: 0.0,
        decay: 1.0,
        base_rate: None,
        base_rate_events: 50,
    };
    let course = Course {
        fingerprint: "f".to_string(),
        options,
        table: TableOptions::default(),
        record_wise: false,
        duplicate_window,
        judging: Judging::every(7),
    };
    let trainer = Trainer::new(course, 0).unwrap();
    Learner::new(trainer, Bytes, (0..threads).map(|_| Bytes)).unwrap()
}

/// Who owns a partition.
struct Owner {
    scanner: BatchScanner<Bytes, Vec<u8>>,
    trainer: Trainer,
}

fn owner(shards: u32, optimizer: OptimizerKind, duplicate_window: usize, threads: usize) -> Owner {
    let trainer = learner(optimizer, duplicate_window, 0).trainer;
    let helping = (0..threads).map(|_| Bytes);
    let options = &trainer.course().options;
    Owner {
        scanner: BatchScanner::new(options, shards, Bytes, helping).unwrap(),
        trainer,
    }
}

impl Owner {
    fn remember(&mut self, records: &[Option<Vec<u8>>]) -> u64 {
        let mut known = 0;
        let each = self.scanner.each(of_partition(records), |block| {
            known += self.trainer.remember(3, &block)?;
            Ok(Some(block))
        });
        each.map(|()| known).unwrap()
    }
}

fn of_partition(values: &[Option<Vec<u8>>]) -> Records<Vec<u8>> {
    Records {
        partition: 3,
        values: values.to_vec(),
        timestamps_ms: vec![5; values.len()],
    }
}

/// The shards, as plainly as can be.
#[derive(Default)]
struct Store(BTreeMap<u64, Row>);

impl Store {
    fn pull(&self, batch: &Batch) -> Vec<Vec<u8>> {
        let of_shard = |ids: &Vec<u64>| {
            let mut values = Vec::new();
            let rows = ids.iter().map(|id| self.0.get(id).copied());
            rows.for_each(|row| push_values(&mut values, row.unwrap_or_default()));
            values
        };
        batch.ids.iter().map(of_shard).collect()
    }

    fn push(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            for (&id, added) in delta.ids.iter().zip(parse_values(&delta.values)) {
                let row = self.0.entry(id).or_default();
                (row.z, row.n) = (row.z + added.z, row.n + added.n);
            }
        }
    }
}

fn records(count: usize, seed: u64) -> Vec<Option<Vec<u8>>> {
    let mut random = Random(seed);
    let mut record = || {
        let size = 1 + random.below(6);
        (0..size).map(|_| random.below(60) as u8).collect()
    };
    (0..count).map(|_| Some(record())).collect()
}

fn share(owner: &mut Owner, store: &mut Store, records: &[Option<Vec<u8>>]) -> Learned {
    let batch = owner.scanner.scan(of_partition(records)).unwrap();
    let pulled = store.pull(&batch);
    let pulled: Vec<&[u8]> = pulled.iter().map(Vec::as_slice).collect();
    let (learned, deltas) = learn(&mut owner.trainer, 3, &batch, &pulled).unwrap();
    store.push(&deltas);
    learned
}

#[test]
fn a_batch_names_each_row_once_in_its_shard_and_in_order() {
    let mut owner = owner(4, OptimizerKind::Ftrl, 0, 1);
    let batch = owner.scanner.scan(of_partition(&records(500, 1))).unwrap();
    assert_eq!((batch.records, batch.events), (500, 500));
    assert_eq!(batch.ids[0][..RESERVED], [0, 1, 2]);
    let mut every: Vec<u64> = batch.ids.iter().flatten().copied().collect();
    every.sort_unstable();
    let expected: Vec<u64> = (0..3).chain(FIRST_ID..FIRST_ID + 60).collect();
    assert_eq!(every, expected);
    for (shard, ids) in batch.ids.iter().enumerate() {
        assert!(ids.is_sorted());
        assert!(
            ids.iter()
                .all(|&id| id < RESERVED_IDS && shard == 0 || id % 4 == shard as u64)
        );
    }
}

#[test]
fn rows_that_travel_are_learned_as_rows_that_stay() {
    let all = records(2_000, 2);
    let mut alone = learner(OptimizerKind::Ftrl, 10, 0);
    alone
        .learn(vec![Records {
            partition: 3,
            values: all.clone(),
            timestamps_ms: vec![5; all.len()],
        }])
        .unwrap();
    let mut shared = owner(3, OptimizerKind::Ftrl, 10, 2);
    let mut store = Store::default();
    let (mut at, mut size) = (0, 1);
    while at < all.len() {
        let to = all.len().min(at + size);
        share(&mut shared, &mut store, &all[at..to]);
        (at, size) = (to, size * 2 % 301);
    }
    for id in FIRST_ID..FIRST_ID + 60 {
        let (here, there) = (store.0[&id], alone.trainer.table().get(id).unwrap());
        assert!((here.z - there.z).abs() < 1e-4 && (here.n - there.n).abs() < 1e-4);
    }
    let state = alone.trainer.score_state();
    assert!((store.0[&0].z - state.bias.z).abs() < 1e-4);
    assert_eq!(shared.trainer.score_state().base, state.base);
    let counters = shared.trainer.counters();
    assert_eq!(counters, alone.trainer.counters());
    assert!(counters.duplicates > 100);
}

/// The next owner has the blob, and reads the window back: also an event that comes again across the change counts once.
#[test]
fn counts_are_exact_across_owners_and_whatever_the_batches() {
    let all = records(600, 3);
    let mut window = learner(OptimizerKind::Counting, 10, 0);
    let mut expected: BTreeMap<u64, f32> = BTreeMap::new();
    for record in &all {
        let part = Records {
            partition: 3,
            values: vec![record.clone()],
            timestamps_ms: vec![5],
        };
        if window.learn(vec![part]).unwrap().learned == 1 {
            // Twice in one event is one occurrence.
            let bytes: BTreeSet<u8> = record.iter().flatten().copied().collect();
            for byte in bytes {
                *expected.entry(FIRST_ID + u64::from(byte)).or_default() += 1.0;
            }
        }
    }
    let mut store = Store::default();
    let mut state: Option<Vec<u8>> = None;
    for at in (0..all.len()).step_by(50) {
        let mut owner = owner(3, OptimizerKind::Counting, 10, 0);
        if let Some(state) = &state {
            owner.trainer.load_partition_state(state).unwrap();
        }
        let known = at.saturating_sub(10)..at;
        let count = known.len();
        assert_eq!(owner.remember(&all[known]), count as u64);
        share(&mut owner, &mut store, &all[at..at + 17]);
        share(&mut owner, &mut store, &all[at + 17..at + 50]);
        state = Some(owner.trainer.partition_state());
    }
    let found: BTreeMap<u64, f32> = store.0.iter().map(|(&id, row)| (id, row.z)).collect();
    let features: BTreeMap<u64, f32> = found.clone().split_off(&RESERVED_IDS);
    assert_eq!(features, expected);
    assert_eq!(found[&0] as u64, window.trainer.counters().learned);
    let mut last = owner(3, OptimizerKind::Counting, 10, 0);
    last.trainer.load_partition_state(&state.unwrap()).unwrap();
    assert_eq!(last.trainer.counters(), window.trainer.counters());
}

#[test]
fn a_state_of_another_plan_or_damaged_is_refused() {
    let trainer = learner(OptimizerKind::Ftrl, 0, 0).trainer;
    let state = trainer.partition_state();
    let mut other = learner(OptimizerKind::Ftrl, 0, 0).trainer;
    assert!(other.load_partition_state(&state).is_ok());
    assert!(other.load_partition_state(&state[1..]).is_err());
    assert!(
        other
            .load_partition_state(&state[..state.len() - 1])
            .is_err()
    );
    assert!(other.load_partition_state(&trainer.state_bytes()).is_err());
    let course = Course {
        fingerprint: "g".to_string(),
        ..trainer.course().clone()
    };
    let mut of_another = Trainer::new(course, 0).unwrap();
    let refused = of_another.load_partition_state(&state).unwrap_err();
    assert!(refused.to_string().contains("of plan f"), "{refused}");
}
