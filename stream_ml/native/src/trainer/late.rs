//! Labels that are known later than their events, in learning from the past: an event is scored at its own time and
//! learned at its label's, by weights that know no more than a service knew then.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Trainer, record_at};
use crate::block::{Block, Example};
use crate::score_state::Score;
use crate::windows::Window;

/// Examples whose label is not known yet.
pub struct Late {
    /// More than so many do not wait.
    most: usize,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// The latest event time so far.
    now_us: i64,
    /// Examples that came.
    count: u64,
    /// Examples that were learned before their label was known, for want of room.
    pub early: u64,
    /// Examples in hand that are learned now, and what was said of them.
    due: Block,
    said: Vec<Score>,
}

/// A scored example.
struct Waiting {
    /// When its label is known, and which example it is: these two decide the order.
    due_us: i64,
    number: u64,
    said: Score,
    example: Example,
    ids: Box<[u64]>,
    values: Box<[f32]>,
    absent: Box<[u64]>,
    segment: Option<Box<str>>,
}

impl Late {
    pub fn new(most: usize) -> Late {
        Late {
            most,
            waiting: BinaryHeap::new(),
            now_us: i64::MIN,
            count: 0,
            early: 0,
            due: Block::default(),
            said: Vec::new(),
        }
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn wait(&mut self, block: &Block, at: usize, said: Score) {
        let (features, words) = (block.features(at), block.absent_words());
        let example = block.examples[at];
        self.waiting.push(Reverse(Waiting {
            due_us: example.label_time_us,
            number: self.count,
            said,
            example,
            ids: block.ids[features.clone()].into(),
            values: block.values[features].into(),
            absent: block.absent[at * words..][..words].into(),
            segment: block.segments.get(at).map(Into::into),
        }));
        self.count += 1;
    }

    /// Take in hand what has its label by now, and those whose label comes first of what there is no room for.
    fn take_due(&mut self) {
        while let Some(Reverse(next)) = self.waiting.peek() {
            let early = next.due_us > self.now_us;
            if early && self.waiting.len() <= self.most {
                break;
            }
            self.early += u64::from(early);
            self.take_next();
        }
    }

    fn take_next(&mut self) {
        let Some(Reverse(next)) = self.waiting.pop() else {
            return;
        };
        let due = &mut self.due;
        due.ids.extend_from_slice(&next.ids);
        due.values.extend_from_slice(&next.values);
        due.absent.extend_from_slice(&next.absent);
        due.segments.push(next.segment.as_deref());
        due.examples.push(Example {
            end: due.ids.len() as u32,
            ..next.example
        });
        self.said.push(next.said);
    }
}

impl Trainer {
    /// Learn every event when its label is known, from here on; at most `most` wait for theirs.
    pub fn wait_for_labels(&mut self, most: usize) {
        self.late = Some(Late::new(most));
    }

    /// Learn all that still wait, in the order of their labels.
    pub fn learn_waiting(&mut self, closed: &mut Vec<Vec<u8>>) {
        let Some(mut late) = self.late.take() else {
            return;
        };
        while late.waiting() > 0 {
            late.take_next();
        }
        self.learn_due(&mut late, closed);
        self.late = Some(late);
    }

    /// Score a block and let it wait; before each record or event comes what has its label by then.
    pub(super) fn learn_late(
        &mut self,
        late: &mut Late,
        mut window: Option<&mut Window>,
        block: &Block,
        closed: &mut Vec<Vec<u8>>,
    ) {
        let mut next = 0;
        while next < block.examples.len() {
            let together = if self.course.record_wise {
                record_at(block, next)
            } else {
                next..next + 1
            };
            next = together.end;
            let times = block.examples[together.clone()].iter();
            let latest = times.map(|example| example.timestamp_us).max();
            late.now_us = late.now_us.max(latest.unwrap_or(i64::MIN));
            late.take_due();
            self.learn_due(late, closed);
            for at in together {
                if !self.is_duplicate(&mut window, &block.examples[at]) {
                    let features = block.features(at);
                    let (ids, values) = (&block.ids[features.clone()], &block.values[features]);
                    let said = self.scorer.score(&self.table, ids, values, &self.state);
                    late.wait(block, at, said);
                }
            }
            late.take_due();
            self.learn_due(late, closed);
        }
    }

    fn learn_due(&mut self, late: &mut Late, closed: &mut Vec<Vec<u8>>) {
        let due = &late.due;
        if due.examples.is_empty() {
            return;
        }
        self.homes.resize(due.ids.len(), 0);
        self.table.aim(&due.ids, &mut self.homes);
        for (at, &said) in late.said.iter().enumerate() {
            self.learn_example(None, due, at, Some(said));
        }
        self.evaluations
            .add(self.course.options.loss, due, &self.judged, closed);
        self.judged.clear();
        late.due.clear();
        late.said.clear();
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        (self.due_us, self.number).cmp(&(other.due_us, other.number))
    }
}

#[cfg(test)]
#[path = "../tests/late.rs"]
mod tests;
