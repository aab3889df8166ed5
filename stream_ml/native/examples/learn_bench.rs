//! Nanoseconds an event for learning alone: `cargo run --release --example learn_bench -- [events]`.
//!
//! Workload: 13 numbers and 26 categories with the cardinalities of the Criteo set, by Zipf's law (exponent 1.1); every
//! 4th label is positive. The table starts empty, so its growth is part of the first figure.

use std::time::Instant;

use _native::block::{Block, Example};
use _native::evaluation::Judging;
use _native::options::{LearnerOptions, Loss, OptimizerKind, TableOptions};
use _native::trainer::{Course, Trainer};

/// One feature of each number; of the Criteo display-advertising set, the categories of each field.
const NUMBERS: u64 = 13;
#[rustfmt::skip]
const CARDINALITIES: [u64; 26] = [
    1_460, 583, 10_131_226, 2_202_608, 305, 24, 12_517, 633, 3, 93_145, 5_683, 8_351_592, 3_194,
    27, 14_992, 5_461_306, 10, 5_652, 2_173, 4, 7_046_547, 18, 15, 286_181, 105, 142_572,
];
const BLOCK: usize = 128;
const ROUNDS: usize = 8;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>().expect("a number"));
    let events = arguments.next().unwrap_or(1_000_000) as usize;
    let blocks = blocks(events);
    let mut trainer = Trainer::new(course(), 0).expect("address space");
    let mut best = vec![f64::INFINITY; blocks.len()];
    report("from empty", events, &learn(&mut trainer, &blocks));
    let rows = trainer.table().len();
    println!(
        "{rows} rows, {:.1} bytes a row",
        trainer.table().bytes() as f64 / rows as f64
    );
    for _ in 0..ROUNDS {
        for (best, seconds) in best.iter_mut().zip(learn(&mut trainer, &blocks)) {
            *best = best.min(seconds);
        }
    }
    report("again, best of each block", events, &best);
}

/// Seconds of each block.
fn learn(trainer: &mut Trainer, blocks: &[Block]) -> Vec<f64> {
    let timed = |block| {
        let start = Instant::now();
        trainer.learn(0, block, &mut Vec::new()).expect("memory");
        start.elapsed().as_secs_f64()
    };
    blocks.iter().map(timed).collect()
}

fn report(name: &str, events: usize, seconds: &[f64]) {
    let (sum, longest) = (
        seconds.iter().sum::<f64>(),
        seconds.iter().copied().fold(0.0, f64::max),
    );
    let (each, rate) = (sum * 1e9 / events as f64, events as f64 / sum / 1e6);
    println!(
        "{name}: {each:.0} ns an event, {rate:.2} M events/s, longest block {:.2} ms",
        longest * 1e3
    );
}

fn course() -> Course {
    let options = LearnerOptions {
        loss: Loss::Logistic,
        optimizer: OptimizerKind::Ftrl,
        alpha: 0.1,
        beta: 1.0,
        l1: 0.0,
        l2: 0.0,
        decay: 1.0,
        base_rate: None,
        base_rate_events: 1_000,
    };
    Course {
        fingerprint: String::new(),
        options,
        table: TableOptions::default(),
        record_wise: false,
        duplicate_window: 0,
        judging: Judging::every(10_000),
    }
}

fn blocks(events: usize) -> Vec<Block> {
    let mut state = 1u64;
    (0..events.div_ceil(BLOCK))
        .map(|at| {
            let mut block = Block::default();
            for record in 0..BLOCK.min(events - at * BLOCK) as u32 {
                for number in 0..NUMBERS {
                    block.ids.push(mix(number) | 1);
                    block.values.push((next(&mut state) % 1000) as f32 / 100.0);
                }
                for (field, &cardinality) in (NUMBERS..).zip(&CARDINALITIES) {
                    let value = zipf(&mut state, cardinality);
                    block.ids.push(mix(value << 8 | field) | 1);
                    block.values.push(1.0);
                }
                block.examples.push(Example {
                    end: block.ids.len() as u32,
                    record,
                    index: 0,
                    label: f32::from(u8::from(next(&mut state).is_multiple_of(4))),
                    importance: 1.0,
                    served: f32::NAN,
                    event_id: 0,
                    timestamp_us: i64::MIN,
                    label_time_us: i64::MIN,
                });
            }
            block
        })
        .collect()
}

/// Inverse of the continuous distribution with density x^-1.1 on [1, values].
fn zipf(state: &mut u64, values: u64) -> u64 {
    let unit = (next(state) >> 11) as f64 / (1u64 << 53) as f64;
    let top = (values as f64).powf(-0.1);
    (1.0 - unit * (1.0 - top)).powf(-10.0) as u64
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mix(*state)
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
