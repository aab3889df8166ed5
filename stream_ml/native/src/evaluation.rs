//! Progressive validation: evaluations of examples that were scored before they were learned.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::absent::{TOGETHER, Together};
use crate::block::Block;
use crate::codec::{Damaged, Reader, Writer};
use crate::options::Loss;
use crate::tally::{Said, Tally};
use details::Details;
pub use segments::{BINS, NAMED, Names};

mod details;
mod segments;

/// Of an evaluation's JSON.
const FORMAT: u32 = 2;
/// The same without details: of one that was open when an older release's learner stopped.
const FORMAT_WITHOUT_DETAILS: u32 = 1;
/// Examples whose costs are computed together.
const COSTS: usize = 64;
const _: () = assert!(COSTS <= TOGETHER);

/// What of a plan concerns evaluations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judging {
    /// Examples of one evaluation.
    pub every: u64,
    /// Names of the slots whose absence is noted.
    pub slots: Vec<String>,
    /// Whether examples have segments.
    pub segments: bool,
}

impl Judging {
    /// Evaluations of so many examples, without slots and segments.
    pub fn every(every: u64) -> Arc<Judging> {
        Arc::new(Judging {
            every,
            ..Judging::default()
        })
    }
}

/// One scored example.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    pub score: f32,
    pub prediction: f32,
    pub label: f32,
    pub importance: f32,
    /// What was served at decision time; NaN if the event did not say.
    pub served: f32,
    /// Which example of the block it is.
    pub at: u32,
    /// Features of it that had no row.
    pub unseen: u32,
    /// The latest event time up to this one.
    pub watermark_us: i64,
}

impl Judged {
    fn said(&self, cost: f64) -> Said {
        Said {
            score: self.score,
            prediction: self.prediction,
            label: self.label,
            importance: self.importance,
            cost,
        }
    }

    /// The same of what was served, if anything was.
    fn said_by_served(&self, loss: Loss) -> Option<Said> {
        let prediction = Some(f64::from(self.served)).filter(|served| !served.is_nan())?;
        // A probability of exactly 0 or 1 would cost infinitely much.
        let bounded = if loss == Loss::Logistic {
            prediction.clamp(1e-7, 1.0 - 1e-7)
        } else {
            prediction
        };
        let score = loss.score(bounded) as f32;
        Some(Said {
            score,
            prediction: self.served,
            ..self.said(loss.cost(score, self.label))
        })
    }
}

/// The figures of what the learner said, and of what was served at decision time where events bring it back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    pub progressive: Tally,
    pub served: Tally,
}

impl Evaluation {
    fn merge(&mut self, other: &Evaluation) {
        self.progressive.merge(&other.progressive);
        self.served.merge(&other.served);
    }

    fn write(&self, writer: &mut Writer) {
        self.progressive.write(writer);
        self.served.write(writer);
    }

    fn read(reader: &mut Reader) -> Result<Evaluation, Damaged> {
        Ok(Evaluation {
            progressive: Tally::read(reader)?,
            served: Tally::read(reader)?,
        })
    }
}

/// The open evaluation, and the sum of the closed ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluations {
    judging: Arc<Judging>,
    /// Number of the open one.
    pub index: u64,
    open: Evaluation,
    closed: Evaluation,
    /// Of the open one; none are known if it was begun by an older release.
    details: Option<Details>,
}

impl Evaluations {
    pub fn new(judging: &Arc<Judging>) -> Evaluations {
        Evaluations {
            index: 0,
            open: Evaluation::default(),
            closed: Evaluation::default(),
            details: Some(Details::new(judging)),
            judging: Arc::clone(judging),
        }
    }

    /// Count examples of a block in order; the JSON of each evaluation that closes is appended to `closed`.
    #[inline(always)]
    pub fn add(&mut self, loss: Loss, block: &Block, judged: &[Judged], closed: &mut Vec<Vec<u8>>) {
        let mut costs = [0.0; COSTS];
        let mut absent = Together::default();
        let words = block.absent_words();
        for judged in judged.chunks(COSTS) {
            loss.costs(judged.iter().map(|one| (one.score, one.label)), &mut costs);
            for (one, &cost) in judged.iter().zip(&costs) {
                let (said, served) = (one.said(cost), one.said_by_served(loss));
                self.open.progressive.add(loss, said);
                if let Some(served) = served {
                    self.open.served.add(loss, served);
                }
                absent.add(&block.absent[one.at as usize * words..][..words]);
                if let Some(details) = &mut self.details {
                    details.add(loss, block, one, (said, served));
                }
                if self.open.progressive.examples >= self.judging.every {
                    self.count_absent(&mut absent);
                    closed.push(self.close(one.watermark_us));
                }
            }
            self.count_absent(&mut absent);
        }
    }

    #[inline(always)]
    fn count_absent(&mut self, absent: &mut Together) {
        if let Some(details) = &mut self.details {
            absent.count_into(&mut details.missing);
        }
    }

    #[cold]
    fn close(&mut self, watermark_us: i64) -> Vec<u8> {
        let Tally { examples, .. } = self.open.progressive;
        let from = self.closed.progressive.examples;
        let mut value = self.open.progressive.to_json();
        value["format"] = json!(FORMAT_WITHOUT_DETAILS);
        value["index"] = json!(self.index);
        value["learned_from"] = json!(from);
        value["learned_to"] = json!(from + examples);
        value["watermark_us"] = json!((watermark_us != i64::MIN).then_some(watermark_us));
        value["served"] = if self.open.served.examples > 0 {
            self.open.served.to_json()
        } else {
            Value::Null
        };
        match &mut self.details {
            Some(details) => {
                value["format"] = json!(FORMAT);
                details.close(&self.judging, &mut value);
            }
            none => *none = Some(Details::new(&self.judging)),
        }
        self.closed.merge(&self.open);
        self.open = Evaluation::default();
        self.index += 1;
        value.to_string().into_bytes()
    }

    /// All examples so far.
    pub fn total(&self) -> Evaluation {
        let mut total = self.closed.clone();
        total.merge(&self.open);
        total
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(self.judging.every);
        writer.u64(self.index);
        self.open.write(writer);
        self.closed.write(writer);
        writer.u32(u32::from(self.details.is_some()));
        if let Some(details) = &self.details {
            details.write(writer);
        }
    }

    /// `detailed`: whether the release that wrote it knew of details.
    pub(crate) fn read(
        reader: &mut Reader,
        judging: &Arc<Judging>,
        detailed: bool,
    ) -> Result<Evaluations, Damaged> {
        let every = reader.u64()?;
        if every != judging.every {
            return Err(Damaged(format!(
                "learner state: evaluations of {every} examples, of this plan they have {}",
                judging.every
            )));
        }
        Ok(Evaluations {
            judging: Arc::clone(judging),
            index: reader.u64()?,
            open: Evaluation::read(reader)?,
            closed: Evaluation::read(reader)?,
            details: if detailed && reader.u32()? != 0 {
                Some(Details::read(reader, judging)?)
            } else {
                None
            },
        })
    }
}

#[cfg(test)]
#[path = "tests/evaluation.rs"]
mod tests;
