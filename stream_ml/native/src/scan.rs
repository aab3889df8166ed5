//! Records to examples: splits them into events, finds the fields of each, evaluates the plan.
//!
//! An event is delivered whole or not at all: a refused one leaves nothing in the block, whatever else its
//! record holds.

use std::sync::Arc;

use crate::block::{Block, Example, Reason, Refusal};
use crate::expr::Scratch;
use crate::features::Output;
use crate::fields::Refused;
use crate::find::Finder;
use crate::json::{Fault, MAX_BYTES, Reader, Window};
use crate::plan::Plan;
use crate::roles::{self, Stop};

/// Half of a first-level cache: what was copied is still there when it is read.
const HELD_BYTES: usize = 16 << 10;

#[cfg(test)]
pub(crate) mod tests;

/// What the examples are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything is read and checked.
    Learn,
    /// Only the features are.
    Score,
    /// As for learning, but nothing need be there; slots and value texts of features are kept.
    Explain,
}

/// One thread's scanner of one plan; its memory is reused from event to event.
pub struct Scanner {
    plan: Arc<Plan>,
    mode: Mode,
    name_slots: bool,
    window: Window,
    finder: Finder,
    scratch: Scratch,
    texts: Vec<String>,
}

/// Where an event comes from.
struct Place {
    record: u32,
    index: u32,
    record_ms: i64,
    /// Of the window's first byte within the record.
    base: usize,
}

impl Scanner {
    pub fn new(plan: Arc<Plan>, mode: Mode) -> Scanner {
        let scanner = Scanner {
            mode,
            name_slots: false,
            window: Window::new(),
            finder: Finder::new(Arc::clone(&plan)),
            scratch: Scratch::default(),
            texts: Vec::new(),
            plan,
        };
        if mode == Mode::Explain {
            scanner.name_slots()
        } else {
            scanner
        }
    }

    /// Fill `Block::slots` too.
    pub fn with_slots(mut self) -> Scanner {
        self.name_slots = true;
        self
    }

    /// The same for those who read names and texts of features (contributions).
    pub fn name_slots(mut self) -> Scanner {
        self.name_slots = true;
        self.finder.forgo_quick_way();
        self
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// In explain mode: the value of each feature since the scanner was made, as people read it.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Append the events of a record to the block: examples, refusals, counts.
    ///
    /// `record_timestamp_ms` is Kafka's; a negative one is unknown.
    pub fn scan_record(
        &mut self,
        record: &[u8],
        record_index: u32,
        record_timestamp_ms: i64,
        block: &mut Block,
    ) {
        let mut place = Place {
            record: record_index,
            index: 0,
            record_ms: record_timestamp_ms,
            base: 0,
        };
        let mut rest = record;
        while !rest.is_empty() {
            let (lines, after) = rest.split_at(held_together(rest));
            let first = blanks(lines);
            place.base += first;
            self.scan_lines(&lines[first..], &mut place, block);
            place.base += lines.len() - first;
            rest = after;
        }
        block.empty += u64::from(place.index == 0);
    }

    /// Whole lines that begin with an event; more than a window holds is one line.
    fn scan_lines(&mut self, lines: &[u8], place: &mut Place, block: &mut Block) {
        if lines.strip_suffix(b"\n").unwrap_or(lines).len() > MAX_BYTES {
            let detail = format!("an event of more than {MAX_BYTES} bytes");
            let refused = Refused::new(Reason::TooLarge, detail);
            let end = lines.trim_ascii_end().len();
            block.refusals.push(refusal(*refused, place, 0, end));
            place.index += 1;
            return;
        }
        self.window.hold(lines);
        let mut at = 0;
        while at < lines.len() {
            at = self.scan_event(at, place, block);
            at += blanks(&lines[at..]);
            place.index += 1;
        }
    }

    /// Scan the event that begins at `start` of the window; return where its line ends.
    fn scan_event(&mut self, start: usize, place: &Place, block: &mut Block) -> usize {
        let features = block.ids.len();
        let texts = self.texts.len();
        self.scratch.bytes.clear();
        self.scratch.ends.clear();
        let reader = Reader::new(&self.window);
        let found = self.finder.find(reader, start);
        let outcome = match check_bytes(found, reader, start) {
            Ok(end) => self.evaluate(place, block).map(|()| end),
            Err(refused) => Err(refused.into()),
        };
        match outcome {
            Ok(end) => return end,
            Err(Stop::Unlabelled) => block.skipped += 1,
            Err(Stop::Refused(refused)) => {
                let end = start + line(self.window.held(), start).trim_ascii_end().len();
                block.refusals.push(refusal(*refused, place, start, end));
            }
        }
        block.ids.truncate(features);
        block.values.truncate(features);
        block.slots.truncate(features);
        self.texts.truncate(texts);
        start + line(self.window.held(), start).len()
    }

    fn evaluate(&mut self, place: &Place, block: &mut Block) -> Result<(), Stop> {
        let Scanner {
            plan,
            mode,
            name_slots,
            window,
            finder,
            scratch,
            texts,
        } = self;
        let fields = finder.fields(window.held());
        let mut example = Example {
            record: place.record,
            index: place.index,
            ..Example::default()
        };
        if *mode != Mode::Score {
            roles::read(
                plan,
                *mode == Mode::Learn,
                place.record_ms,
                fields,
                scratch,
                &mut example,
            )?;
        }
        let texts = (*mode == Mode::Explain).then_some(texts);
        let mut output = Output::new(block, *name_slots, texts);
        output.event(plan, finder.quick_features(), fields, scratch)?;
        let absent = output.absent;
        if *mode != Mode::Score {
            if let Some(segment) = &plan.roles.segment {
                roles::read_segment(segment, fields, scratch, &mut block.segments)?;
            }
            let words = absent.words(plan.absent_words());
            block.absent.extend_from_slice(words);
        }
        example.end = block.ids.len() as u32;
        block.examples.push(example);
        Ok(())
    }
}

/// How many bytes of the record are copied into the window at once: whole lines, few enough for the first-level cache,
/// or one long line.
fn held_together(record: &[u8]) -> usize {
    let near = &record[..record.len().min(HELD_BYTES)];
    if near.len() == record.len() {
        return near.len();
    }
    match last_line_feed(near) {
        Some(last) => last + 1,
        None => near.len() + with_line_feed(&record[near.len()..]),
    }
}

/// Many bytes at a time, without a branch in between: the compiler makes vectors of that.
fn last_line_feed(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    for chunk in bytes.rchunks(64) {
        if chunk
            .iter()
            .fold(false, |found, byte| found | (*byte == b'\n'))
        {
            break;
        }
        end -= chunk.len();
    }
    bytes[..end].iter().rposition(|byte| *byte == b'\n')
}

fn with_line_feed(rest: &[u8]) -> usize {
    (line(rest, 0).len() + 1).min(rest.len())
}

/// White space before an event, empty lines included.
fn blanks(input: &[u8]) -> usize {
    input
        .iter()
        .take_while(|byte| b" \t\r\n".contains(byte))
        .count()
}

/// From `start` up to the line feed.
fn line(input: &[u8], start: usize) -> &[u8] {
    let rest = &input[start..];
    let length = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(rest.len());
    &rest[..length]
}

/// Refuse what the first pass did not like, and bytes that are not UTF-8, which it does not look at.
#[inline(always)]
fn check_bytes(
    found: Result<usize, Fault>,
    reader: Reader,
    start: usize,
) -> Result<usize, Box<Refused>> {
    match found {
        Ok(end) if reader.ascii || reader.held[start..end].is_ascii() => Ok(end),
        _ => check_wide_bytes(found, reader, start),
    }
}

#[inline(never)]
fn check_wide_bytes(
    found: Result<usize, Fault>,
    reader: Reader,
    start: usize,
) -> Result<usize, Box<Refused>> {
    if let Err(error) = std::str::from_utf8(line(reader.held, start)) {
        let detail = format!("byte {}: not valid UTF-8", error.valid_up_to());
        return Err(Refused::new(Reason::InvalidUtf8, detail));
    }
    found.map_err(|Fault { kind, at }| {
        Refused::new(
            kind.reason(),
            format!("byte {}: {}", at as usize - start, kind.message()),
        )
    })
}

fn refusal(refused: Refused, place: &Place, start: usize, end: usize) -> Refusal {
    let within = |at: usize| u32::try_from(place.base + at).unwrap_or(u32::MAX);
    Refusal {
        record: place.record,
        index: place.index,
        start: within(start),
        end: within(end),
        reason: refused.reason,
        detail: refused.detail,
    }
}
