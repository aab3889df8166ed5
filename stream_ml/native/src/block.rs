//! What the scan hands to learning and scoring: many examples in flat columns, no object per event.

use crate::texts::Texts;

/// Bound of a number slot's value.
pub const MAX_VALUE: f64 = 1e6;

/// One scanned event. Its features are `ids[previous.end..end]` of the block, in slot order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Example {
    pub end: u32,
    /// Index of the record in the range, and of the event in the record.
    pub record: u32,
    pub index: u32,
    /// NaN where the event has none (scoring).
    pub label: f32,
    pub importance: f32,
    /// Probability served at decision time; NaN where the event brings none.
    pub served: f32,
    /// Hash of the event id; 0 where the model names none.
    pub event_id: u64,
    /// Microseconds since 1970; `i64::MIN` where the event has none.
    pub timestamp_us: i64,
    /// When the label became known; the same.
    pub label_time_us: i64,
}

/// One that says nothing.
impl Default for Example {
    fn default() -> Example {
        Example {
            end: 0,
            record: 0,
            index: 0,
            label: f32::NAN,
            importance: 1.0,
            served: f32::NAN,
            event_id: 0,
            timestamp_us: i64::MIN,
            label_time_us: i64::MIN,
        }
    }
}

/// An event that was refused: which bytes of which record, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub record: u32,
    pub index: u32,
    pub start: u32,
    pub end: u32,
    pub reason: Reason,
    pub detail: String,
}

/// Why an event is refused; the codes are part of the contract with producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    InvalidJson,
    InvalidUtf8,
    TooDeep,
    TooLarge,
    WrongType,
    OutOfRange,
    NoLabel,
    NoEventId,
    NoTimestamp,
    FutureTimestamp,
}

impl Reason {
    const ALL: [Reason; 10] = [
        Reason::InvalidJson,
        Reason::InvalidUtf8,
        Reason::TooDeep,
        Reason::TooLarge,
        Reason::WrongType,
        Reason::OutOfRange,
        Reason::NoLabel,
        Reason::NoEventId,
        Reason::NoTimestamp,
        Reason::FutureTimestamp,
    ];

    /// The reason that `code` spells.
    pub fn of(code: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// As dead letters and scores spell it.
    pub fn code(self) -> &'static str {
        match self {
            Reason::InvalidJson => "invalid_json",
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::TooDeep => "too_deep",
            Reason::TooLarge => "too_large",
            Reason::WrongType => "wrong_type",
            Reason::OutOfRange => "out_of_range",
            Reason::NoLabel => "no_label",
            Reason::NoEventId => "no_event_id",
            Reason::NoTimestamp => "no_timestamp",
            Reason::FutureTimestamp => "future_timestamp",
        }
    }
}

/// Reused from block to block: `clear` keeps the memory.
#[derive(Default, Debug)]
pub struct Block {
    pub examples: Vec<Example>,
    pub ids: Vec<u64>,
    pub values: Vec<f32>,
    /// Slot of each feature; filled only when the scanner is asked to (contributions, explain, challengers).
    pub slots: Vec<u16>,
    /// For learning. Of each example as many words: a bit for each of the plan's first slots that has no feature.
    pub absent: Vec<u64>,
    /// For learning. The segment of each example, where the model names one.
    pub segments: Texts,
    pub refusals: Vec<Refusal>,
    /// Tombstones and blank records.
    pub empty: u64,
    /// Unlabelled events, where the model says skip.
    pub skipped: u64,
}

impl Block {
    pub fn clear(&mut self) {
        self.examples.clear();
        self.ids.clear();
        self.values.clear();
        self.slots.clear();
        self.absent.clear();
        self.segments.clear();
        self.refusals.clear();
        self.empty = 0;
        self.skipped = 0;
    }

    /// The features of example `at`: `ids[range]`, `values[range]`.
    pub fn features(&self, at: usize) -> std::ops::Range<usize> {
        let start = if at == 0 {
            0
        } else {
            self.examples[at - 1].end as usize
        };
        start..self.examples[at].end as usize
    }

    /// Words of `absent` that each example has.
    pub fn absent_words(&self) -> usize {
        self.absent.len() / self.examples.len().max(1)
    }
}
