//! Hostile bytes for the scanner and the front: `cargo run --release --example mangle [COUNT [SEED]]`.
//!
//! Events and frames with a few things wrong, drawn from a seed, so that a run that fails is repeated. Nothing
//! may panic; whether memory is touched that is not ours, a sanitizer tells (see docs/soak.md).

use std::rc::Rc;
use std::sync::Arc;

use _native::block::Block;
use _native::front::{Front, Worker};
use _native::plan::Plan;
use _native::replica::Replica;
use _native::scan::{Mode, Scanner};
use _native::server::Limits;

/// Categories, a cross, words and a number.
const PLAN: &str = r#"{
  "format": 1, "math": 1, "name": "mangled", "event_id": ["text", 1], "timestamp": null, "label": ["number", 0],
  "fields": [["label"], ["id"], ["user"], ["page", "name"], ["price"]], "importance": null, "served": null,
  "learn_after": "event", "unlabelled": "refuse", "max_skew_seconds": 86400.0, "duplicate_window": 100,
  "evaluate_every": 10000,
  "slots": [
    {"expr": ["text", 2], "kind": "category", "name": "user", "seed": "afb08c5a84001a58"},
    {"expr": ["text", 3], "kind": "category", "name": "page", "seed": "d9e31daf4ccee1bd"},
    {"expr": ["cross", ["text", 2], ["text", 3]], "kind": "category", "name": "both", "seed": "d0d3a27c9a1fd147"},
    {"expr": ["words", ["text", 2]], "kind": "set", "name": "words", "seed": "fbd6dd79aa25e5f8"},
    {"expr": ["log1p", ["number", 4]], "kind": "number", "name": "price", "seed": "f0c1687cebd08f47"}
  ],
  "learner": {"loss": "logistic", "optimizer": "ftrl", "alpha": 0.1, "beta": 1.0, "l1": 0.0, "l2": 0.0,
    "base_rate": null, "base_rate_events": 1000}
}"#;
const EVENTS: [&[u8]; 5] = [
    br#"{"id":"e1","label":1,"user":"u1","page":{"name":"p\u00e9\ud83d\ude00","size":[1,2]},"price":1.5}"#,
    br#"{"id":2,"label":0,"user":["a","b",null,true],"price":-1.5e-7,"other":{"deep":{"deeper":[[[]]]}}}"#,
    b"{\"id\":\"\",\"label\":1,\"user\":\"\xd1\x84\xf0\x9f\x98\x80 \\\"quoted\\\\\",\"price\":18446744071616}",
    b"{\"id\":1,\"label\":1,\"user\":\"a\"}\n{\"label\":0,\"id\":2,\"user\":\"b\",\"price\":0}\r\n\n",
    b"{}",
];
/// Bytes that mean something to one of the readers.
const TOKENS: [&[u8]; 16] = [
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"1e999",
    b"-",
    b"\n",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
];

/// A small generator (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        ((self.next() >> 32) as usize) % limit
    }
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"));
    let count: u64 = numbers.next().unwrap_or(1_000_000);
    let seed: u64 = numbers.next().unwrap_or(1);
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
    let plan = Arc::new(Plan::parse(PLAN.as_bytes()).expect("a plan"));
    let mut scanner = Scanner::new(Arc::clone(&plan), Mode::Learn);
    let (mut block, mut output) = (Block::default(), Vec::new());
    let mut worker = worker(plan);
    let (mut learned, mut refused, mut answered) = (0, 0, 0);
    for _ in 0..count {
        let event = mangled(EVENTS[random.below(EVENTS.len())], &mut random);
        block.clear();
        scanner.scan_record(&event, 0, 0, &mut block);
        learned += block.examples.len();
        refused += block.refusals.len();
        // The event as it is in a frame that is well, or all of the frame mangled.
        let frame = frame_of(&event);
        let frame = if random.below(2) == 0 {
            frame
        } else {
            mangled(&frame, &mut random)
        };
        output.clear();
        worker.answer(&frame, &mut output);
        answered += output.len();
    }
    println!(
        "seed {seed}: {count} mutants; {learned} examples, {refused} refusals, {answered} bytes answered"
    );
    assert!(
        learned > 0 && refused > 0 && answered > 0,
        "mutants of every fate"
    );
}

/// One to three things wrong with *bytes*.
fn mangled(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 => {
                let token = TOKENS[random.below(TOKENS.len())];
                bytes.splice(at..at, token.iter().copied());
            }
            3 => {
                let end = (at + random.below(9)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let other = EVENTS[random.below(EVENTS.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
        }
    }
    bytes
}

fn frame_of(event: &[u8]) -> Vec<u8> {
    let mut frame =
        b"\x80\x01\x00\x01\x00\x00\x00\x05score\x00\x00\x00\x07\x0f\x00\x01\x0b\x00\x00\x00\x01"
            .to_vec();
    frame.extend_from_slice(&(event.len() as i32).to_be_bytes());
    frame.extend_from_slice(event);
    frame.push(0);
    frame
}

fn worker(plan: Arc<Plan>) -> Worker {
    let front = Arc::new(Front::default());
    front.serve(
        "mangled",
        "v",
        Arc::new(Replica::new(plan, 0).expect("room for no rows")),
    );
    Worker::new(front, Limits::default(), Rc::default())
}
