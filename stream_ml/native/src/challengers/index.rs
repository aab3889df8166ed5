//! The one ordered step that all challengers share: duplicates, and the line of each feature.

use crate::block::{Block, Example};
use crate::bucket::NOWHERE;
use crate::challengers::figures::Common;
use crate::challengers::work::{Act, Op, Work};
use crate::evaluation::Names;
use crate::gate::Gate;
use crate::id_map::IdMap;
use crate::options::TableOptions;
use crate::trainer::record_at;
use crate::windows::{Window, Windows};

/// Buckets of this many examples ahead are on their way from memory; of so many it is known which are not at home.
const PREFETCH_EXAMPLES: usize = 8;
const KNOWN_EXAMPLES: usize = 4;

/// What of a model's plan concerns the order of events.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    pub table: TableOptions,
    pub record_wise: bool,
    pub duplicate_window: usize,
    /// Judged examples of a block of figures.
    pub block_examples: u64,
    /// Whether challengers differ in their slots.
    pub slots: bool,
    /// Whether examples have segments.
    pub segments: bool,
}

/// Totals so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub records: u64,
    pub learned: u64,
    pub duplicates: u64,
    pub refused: u64,
    pub skipped: u64,
    pub empty: u64,
}

impl Counts {
    pub fn all(&self) -> [(&'static str, u64); 6] {
        [
            ("records", self.records),
            ("learned", self.learned),
            ("duplicates", self.duplicates),
            ("refused", self.refused),
            ("skipped", self.skipped),
            ("empty", self.empty),
        ]
    }
}

pub struct Index {
    course: Course,
    /// Feature id → its line; 0 is nobody's.
    map: IdMap,
    /// Line → its feature id.
    ids: Vec<u64>,
    gate: Option<Gate>,
    windows: Windows,
    pub counts: Counts,
    pub watermark_us: i64,
    judged: u64,
    pub names: Names,
    open: Common,
    pub closed: Vec<Common>,
    homes: Vec<u32>,
    positions: Vec<u32>,
    elsewhere: Vec<u32>,
}

impl Index {
    /// `room`: rows there may be at most.
    pub fn new(course: Course, room: usize, expected_rows: usize) -> std::io::Result<Index> {
        let most = course.table.max_rows.min(room);
        let table = TableOptions {
            max_rows: most,
            ..course.table
        };
        Windows::new(course.duplicate_window).of(0)?;
        Ok(Index {
            map: IdMap::new_within(most, expected_rows.min(most), 0)?,
            ids: vec![0],
            gate: Gate::new(&table),
            windows: Windows::new(course.duplicate_window),
            counts: Counts::default(),
            watermark_us: i64::MIN,
            judged: 0,
            names: Names::default(),
            open: Common::default(),
            closed: Vec::new(),
            homes: Vec::new(),
            positions: Vec::new(),
            elsewhere: Vec::new(),
            course,
        })
    }

    pub fn wants_slots(&self) -> bool {
        self.course.slots
    }

    /// Whether the open block of figures has no example yet.
    pub fn is_between_blocks(&self) -> bool {
        self.judged == self.open.from
    }

    pub fn has_segments(&self) -> bool {
        self.course.segments
    }

    /// Feature ids by line, of which line 0 has none.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// The line of an id that is put in, as restored; None if there is no room.
    pub fn put(&mut self, id: u64) -> Option<usize> {
        self.map.reserve(1);
        self.insert(id).map(|line| line as usize)
    }

    pub fn count_records(&mut self, records: usize) {
        self.counts.records += records as u64;
    }

    /// Append what is to be done with a block of whole records of one partition.
    pub fn add(&mut self, partition: i32, block: &Block, work: &mut Work) -> std::io::Result<()> {
        self.counts.refused += block.refusals.len() as u64;
        self.counts.skipped += block.skipped;
        self.counts.empty += block.empty;
        // Taken out for the time of the block, so that it can be borrowed beside the rest.
        let mut windows = std::mem::take(&mut self.windows);
        let done = windows
            .of(partition)
            .map(|window| self.add_in_order(window, block, work));
        self.windows = windows;
        done
    }

    fn add_in_order(&mut self, mut window: Option<&mut Window>, block: &Block, work: &mut Work) {
        let count = block.examples.len();
        self.homes.resize(block.ids.len(), 0);
        for at in 0..count.min(PREFETCH_EXAMPLES) {
            self.prefetch(window.as_deref(), block, at);
        }
        let mut next = 0;
        while next < count {
            let together = match self.course.record_wise {
                true => record_at(block, next),
                false => next..next + 1,
            };
            next = together.end;
            let alone = together.len() == 1;
            let mut judged = Vec::new();
            for at in together {
                self.look_ahead(window.as_deref(), block, at);
                if self.is_duplicate(&mut window, &block.examples[at]) {
                    continue;
                }
                if alone {
                    self.act(Act::Both, block, at, work);
                } else {
                    self.act(Act::Judge, block, at, work);
                    judged.push(at);
                }
            }
            for at in judged {
                self.act(Act::Learn, block, at, work);
            }
        }
    }

    fn prefetch(&mut self, window: Option<&Window>, block: &Block, at: usize) {
        let features = block.features(at);
        self.map
            .aim(&block.ids[features.clone()], &mut self.homes[features]);
        if let Some(window) = window {
            window.prefetch(block.examples[at].event_id, PREFETCH_EXAMPLES);
        }
    }

    fn look_ahead(&mut self, window: Option<&Window>, block: &Block, at: usize) {
        let count = block.examples.len();
        if at + PREFETCH_EXAMPLES < count {
            self.prefetch(window, block, at + PREFETCH_EXAMPLES);
        }
        if at + KNOWN_EXAMPLES < count {
            let features = block.features(at + KNOWN_EXAMPLES);
            self.map
                .aim_again(&block.ids[features.clone()], &mut self.homes[features]);
        }
    }

    /// Takes the example into the window of its partition, if it has an id.
    fn is_duplicate(&mut self, window: &mut Option<&mut Window>, example: &Example) -> bool {
        let Some(window) = window.as_deref_mut().filter(|_| example.event_id != 0) else {
            return false;
        };
        let duplicate = window.accept(example.event_id);
        self.counts.duplicates += u64::from(duplicate);
        duplicate
    }

    fn act(&mut self, act: Act, block: &Block, at: usize, work: &mut Work) {
        let features = block.features(at);
        let Example {
            label, importance, ..
        } = block.examples[at];
        let first = work.lines.len() as u32;
        let outside = self.find_lines(act, block, features.clone(), work);
        work.values
            .extend_from_slice(&block.values[features.clone()]);
        if self.course.slots {
            work.slots.extend_from_slice(&block.slots[features]);
        }
        let number = self.counts.learned;
        if act != Act::Judge {
            self.counts.learned += 1;
            self.watermark_us = self.watermark_us.max(block.examples[at].timestamp_us);
        }
        let mut op = Op {
            act,
            first,
            end: work.lines.len() as u32,
            label,
            importance,
            segment: None,
            number,
            closes: false,
            outside,
        };
        if act != Act::Learn {
            self.judge(block.segments.get(at), &mut op);
        }
        work.ops.push(op);
    }

    /// Count an example that is judged: where its segment is, and whether a block of figures ends with it.
    fn judge(&mut self, segment: Option<&str>, op: &mut Op) {
        if self.course.segments {
            op.segment = Some(self.names.place_of(segment) as u8);
        }
        self.open.add(op.label, op.importance, op.segment);
        self.judged += 1;
        op.closes = self.judged - self.open.from == self.course.block_examples;
        if op.closes {
            let next = Common {
                from: self.judged,
                ..Common::default()
            };
            let open = std::mem::replace(&mut self.open, next);
            self.closed.push(Common {
                to: self.judged,
                watermark_us: self.watermark_us,
                ..open
            });
        }
    }

    /// Append the lines of features; what is learned gets one, if it may. Whether one has none.
    fn find_lines(
        &mut self,
        act: Act,
        block: &Block,
        features: std::ops::Range<usize>,
        work: &mut Work,
    ) -> bool {
        let ids = &block.ids[features.clone()];
        self.map.reserve(ids.len());
        self.positions
            .resize(ids.len().max(self.positions.len()), 0);
        self.elsewhere
            .resize(ids.len().max(self.elsewhere.len()), 0);
        let first = work.lines.len();
        work.lines.resize(first + ids.len().next_multiple_of(4), 0);
        let (positions, homes) = (&mut self.positions[..ids.len()], &self.homes[features]);
        let lines = &mut work.lines[first..];
        let elsewhere = &mut self.elsewhere;
        let count = self
            .map
            .look(ids, homes, positions, elsewhere, |four, values| {
                lines[4 * four..][..4].copy_from_slice(&values.map(|value| value as u32));
            });
        work.lines.truncate(first + ids.len());
        let mut outside = false;
        for at in 0..count {
            let index = self.elsewhere[at] as usize;
            let line = match act {
                Act::Judge => self.map.get(ids[index]).unwrap_or(0) as u32,
                _ => self.enter(ids[index]),
            };
            outside |= line == 0;
            work.lines[first + index] = line;
        }
        outside
    }

    fn enter(&mut self, id: u64) -> u32 {
        if let Some(gate) = self.gate.filter(|_| self.map.find(id).is_none()) {
            let rows = self.map.len();
            if gate.admit(id, self.counts.learned, rows).is_err() {
                return 0;
            }
        }
        self.insert(id).unwrap_or(0)
    }

    fn insert(&mut self, id: u64) -> Option<u32> {
        let position = self.map.insert(id).filter(|&at| at != NOWHERE)?;
        let line = self.map.value_mut(position);
        if *line == 0 {
            *line = self.ids.len() as u64;
            self.ids.push(id);
        }
        Some(*line as u32)
    }
}
