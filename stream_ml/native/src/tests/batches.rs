use crate::block::Block;
use crate::block::Example;
use crate::evaluation::Judging;
use crate::options::LearnerOptions;
use crate::options::{Loss, OptimizerKind, TableOptions};
use crate::partition::*;
use crate::records::{Records, Scan};
use crate::rows::VALUE_BYTES;
use crate::rows::parse_values;
use crate::score_state::ScoreState;
use crate::trainer::Course;
use crate::trainer::Trainer;

/// A record is one example; each of its bytes is a feature, its first also the label's parity.
struct Bytes;

impl Scan for Bytes {
    fn scan_record(&mut self, record: &[u8], index: u32, timestamp_ms: i64, block: &mut Block) {
        block.ids.extend(record.iter().map(|&byte| u64::from(byte)));
        block.values.resize(block.ids.len(), 1.0);
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

fn options(optimizer: OptimizerKind, base_rate: Option<f64>) -> LearnerOptions {
    LearnerOptions {
        loss: Loss::Logistic,
        optimizer,
        alpha: 0.5,
        beta: 1.0,
        l1: 0.0,
        l2: 0.0,
        decay: 1.0,
        base_rate,
        base_rate_events: 10,
    }
}

fn trainer(options: LearnerOptions, table: TableOptions) -> Trainer {
    let course = Course {
        fingerprint: "f".into(),
        options,
        table,
        record_wise: false,
        duplicate_window: 0,
        judging: Judging::every(100),
    };
    Trainer::new(course, 0).unwrap()
}

fn scanned(options: &LearnerOptions, shards: u32, records: &[&[u8]]) -> Batch {
    let mut scanner = BatchScanner::new(options, shards, Bytes, [Bytes]).unwrap();
    let values: Vec<_> = records.iter().map(|record| Some(record.to_vec())).collect();
    let timestamps_ms = vec![0; values.len()];
    let partition = 0;
    let records = Records {
        partition,
        values,
        timestamps_ms,
    };
    scanner.scan(records).unwrap()
}

fn zeros(batch: &Batch) -> Vec<Vec<u8>> {
    let bytes = batch.ids.iter().map(|ids| vec![0; ids.len() * VALUE_BYTES]);
    bytes.collect()
}

fn learned(trainer: &mut Trainer, batch: &Batch, rows: &[Vec<u8>]) -> Vec<Delta> {
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    learn(trainer, 0, batch, &rows).unwrap().1
}

#[test]
fn ids_lie_ascending_in_their_shards_behind_those_of_the_state() {
    let options = options(OptimizerKind::Counting, None);
    let batch = scanned(&options, 3, &[&[9, 10, 200], &[10, 6, 9], &[11, 12]]);
    assert_eq!(
        batch.ids,
        [vec![0, 1, 2, 6, 9, 12], vec![10], vec![11, 200]]
    );
    assert_eq!((batch.events, batch.records), (3, 3));
}

/// A text whose hash is 1 cannot write into the base rate.
#[test]
fn a_feature_with_a_reserved_id_moves_out_of_the_way() {
    let options = options(OptimizerKind::Counting, None);
    let batch = scanned(&options, 1, &[&[1, 2, 3], &[1]]);
    assert_eq!(batch.ids, [[0, 1, 2, 5, 6, 7]]);
    let mut trainer = trainer(options, TableOptions::default());
    let deltas = learned(&mut trainer, &batch, &zeros(&batch));
    let z: Vec<f32> = parse_values(&deltas[0].values).map(|row| row.z).collect();
    // Bias, labels, examples; then the features.
    assert_eq!(
        (&deltas[0].ids, z),
        (&vec![0, 1, 2, 5, 6, 7], vec![2.0, 2.0, 2.0, 2.0, 1.0, 1.0])
    );
}

#[test]
fn only_what_changed_is_to_be_added_and_what_was_pulled_is_learned_with() {
    let options = options(OptimizerKind::Ftrl, Some(0.5));
    let batch = scanned(&options, 2, &[&[9, 10]]);
    assert_eq!(batch.ids, [vec![0, 10], vec![9]]);
    // A weight so large that the prediction is the label: nothing is left to be learned.
    let mut rows = zeros(&batch);
    rows[1] = [(-300.0f32).to_le_bytes(), 1.0f32.to_le_bytes()].concat();
    let mut trainer = trainer(options, TableOptions::default());
    let deltas = learned(&mut trainer, &batch, &rows);
    assert_eq!(deltas, [Delta::default(), Delta::default()]);
    let fresh = learned(&mut trainer, &batch, &zeros(&batch));
    assert_eq!(fresh[0].ids, [0, 10]);
    assert_eq!(fresh[1].ids, [9]);
}

/// The memory of a batch goes back when it does, and not before.
#[test]
fn a_batch_may_be_learned_after_the_next_was_scanned() {
    let options = options(OptimizerKind::Counting, Some(0.5));
    let mut scanner = BatchScanner::new(&options, 1, Bytes, []).unwrap();
    let mut scan = |byte: u8| {
        let (values, timestamps_ms) = (vec![Some(vec![byte; 1]); 200], vec![0; 200]);
        let partition = 0;
        scanner
            .scan(Records {
                partition,
                values,
                timestamps_ms,
            })
            .unwrap()
    };
    let mut trainer = trainer(options, TableOptions::default());
    let batches = [scan(20), scan(30)];
    drop(scan(40));
    for (batch, id) in batches.iter().zip([20, 30]) {
        let deltas = learned(&mut trainer, batch, &zeros(batch));
        assert_eq!(deltas[0].ids, [0, id]);
        assert!(parse_values(&deltas[0].values).all(|row| row.z == 200.0));
    }
}

#[test]
fn a_state_of_rows_is_the_state_they_came_of() {
    let options = options(OptimizerKind::Ftrl, None);
    let mut trainer = trainer(options.clone(), TableOptions::default());
    for events in [3, 30] {
        let records: Vec<&[u8]> = [&[7u8, 9] as &[u8], &[8, 9]].repeat(events);
        let batch = scanned(&options, 2, &records);
        learned(&mut trainer, &batch, &zeros(&batch));
        let state = trainer.score_state();
        let rows = state.to_rows();
        assert_eq!(rows[2].z, (2 * events).min(10) as f32);
        let mut again = ScoreState::new(&options);
        again.adopt_rows(&options, rows);
        again.watermark_us = state.watermark_us;
        assert_eq!(&again, state);
    }
}

#[test]
fn models_that_drop_or_limit_rows_say_why_they_cannot_share_them() {
    let course = |table: TableOptions| Course {
        fingerprint: String::new(),
        options: options(OptimizerKind::Ftrl, None),
        table,
        record_wise: false,
        duplicate_window: 0,
        judging: Judging::every(1),
    };
    let refused = |table| course(table).can_share_rows().err().unwrap_or_default();
    let table = TableOptions::default();
    assert_eq!(refused(table), "");
    let expire_after_seconds = Some(5.0);
    let expiring = TableOptions {
        expire_after_seconds,
        ..table
    };
    assert!(refused(expiring).starts_with("expire_after_seconds"));
    let max_rows = 100;
    assert!(refused(TableOptions { max_rows, ..table }).starts_with("max_rows"));
    let mut forgetting = course(table);
    forgetting.options.decay = 0.5;
    let refusal = forgetting.can_share_rows().err().unwrap_or_default();
    assert!(refusal.starts_with("decay"), "{refusal}");
}
