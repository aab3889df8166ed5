//! Nanoseconds per event of scanning and hashing, on one core: `cargo run --release --example scan_bench [PASSES [ORDER]]`.
//!
//! 39 fields, about 585 bytes an event: 13 numbers, 26 categories. Best and median of many passes over a
//! thousand events that lie in the second-level cache, as they do behind a fetch from the broker.

use std::sync::Arc;
use std::time::Instant;

use _native::block::Block;
use _native::plan::Plan;
use _native::scan::{Mode, Scanner};

const EVENTS: usize = 1_000;

/// A small generator (xorshift64*), so that every run scans the same bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

fn main() {
    let passes: usize = std::env::args()
        .nth(1)
        .map_or(200, |passes| passes.parse().expect("a number of passes"));
    let plan = Arc::new(Plan::parse(plan_source().as_bytes()).expect("a plan"));
    println!(
        "{:<22} {:>6} {:>10} {:>12}",
        "key order", "bytes", "best ns", "median ns"
    );
    let only = std::env::args().nth(2);
    for (name, shuffled) in [("predictable", false), ("shuffled", true)] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let events = events(shuffled);
        let mut scanner = Scanner::new(Arc::clone(&plan), Mode::Learn);
        let mut times: Vec<f64> = (0..passes).map(|_| pass(&mut scanner, &events)).collect();
        times.sort_by(f64::total_cmp);
        let bytes = events.iter().map(Vec::len).sum::<usize>() / EVENTS;
        println!(
            "{name:<22} {bytes:>6} {:>10.0} {:>12.0}",
            times[0],
            times[passes / 2]
        );
    }
}

/// Nanoseconds per event of one pass, in blocks of 128 events.
fn pass(scanner: &mut Scanner, events: &[Vec<u8>]) -> f64 {
    let mut block = Block::default();
    let started = Instant::now();
    for chunk in events.chunks(128) {
        block.clear();
        for (index, event) in (0..).zip(chunk) {
            scanner.scan_record(event, index, 0, &mut block);
        }
        assert_eq!(block.examples.len(), chunk.len());
    }
    started.elapsed().as_nanos() as f64 / events.len() as f64
}

fn plan_source() -> String {
    let names: Vec<String> = (1..=13)
        .map(|at| format!("I{at}"))
        .chain((1..=26).map(|at| format!("C{at}")))
        .collect();
    let slots = names.iter().enumerate().map(|(at, name)| {
        let (kind, leaf) = if at < 13 { ("number", "number") } else { ("category", "text") };
        let seed = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(at as u64 + 1);
        serde_json::json!({"name": name, "kind": kind, "seed": format!("{seed:016x}"), "expr": [leaf, at + 1]})
    });
    let fields: Vec<Vec<String>> = std::iter::once("_label".to_string())
        .chain(names.clone())
        .map(|name| vec![name])
        .collect();
    serde_json::json!({
        "format": 1, "math": 1, "name": "bench", "fields": fields, "event_id": null, "timestamp": null,
        "label": ["number", 0], "importance": null, "served": null, "learn_after": "event",
        "unlabelled": "refuse", "max_skew_seconds": 86400.0, "duplicate_window": 0, "evaluate_every": 10000,
        "slots": slots.collect::<Vec<_>>(),
        "learner": {"loss": "logistic", "optimizer": "ftrl", "alpha": 0.1, "beta": 1.0, "l1": 0.0, "l2": 0.0,
            "base_rate": null, "base_rate_events": 1000}
    })
    .to_string()
}

fn events(shuffled: bool) -> Vec<Vec<u8>> {
    let mut random = Random(42);
    (0..EVENTS).map(|_| event(&mut random, shuffled)).collect()
}

fn event(random: &mut Random, shuffled: bool) -> Vec<u8> {
    let mut members = vec![format!("\"_label\":{}", random.below(2))];
    for at in 1..=13 {
        let sign = if random.below(10) == 0 { "-" } else { "" };
        let hundredths = random.below(300);
        members.push(format!("\"I{at}\":{sign}{}", hundredths as f64 / 100.0));
    }
    for at in 1..=26 {
        members.push(format!("\"C{at}\":\"{:08x}\"", random.next() as u32));
    }
    if shuffled {
        for at in (1..members.len()).rev() {
            members.swap(at, random.below(at as u64 + 1) as usize);
        }
    }
    format!("{{{}}}", members.join(",")).into_bytes()
}
