//! The way of most events: the same keys in the same order as an event before, with plain values.
//!
//! Each step compares one key with its comma, reads the value, and writes the features of the slots that are
//! this field alone. Whatever else there is, from white space to an escape, ends the attempt, and the event
//! takes the general way: this one only saves time, it decides nothing.

use crate::block::MAX_VALUE;
use crate::fields::Token;
use crate::hash::feature_id;
use crate::json::{Kind, Reader, Value};
use crate::keys::{Key, Keys};
use crate::lanes::Lanes;
use crate::plan::{Bare, Plan, RuleKind};
use crate::step::{Step, StepKind};
#[cfg(target_arch = "x86_64")]
use crate::wide;

/// Events at most that take the general way between two attempts where attempts fail.
const MAX_PAUSE: u32 = 1024;

pub struct Quick {
    steps: Vec<Step>,
    /// Of each field, and of those that nobody asks for.
    uses: Vec<Use>,
    lanes: Lanes,
    features: Features,
    /// Whether events of this order lack the field of some bare slot.
    unwritten: bool,
    /// Events to let pass before the next attempt.
    wait: u32,
    pause: u32,
}

/// What the bare slots of an event gave, in slot order.
pub struct Features {
    pub ids: Vec<u64>,
    /// 0 where a slot has no feature.
    pub values: Vec<f32>,
    /// Whether some slot may have none.
    pub gaps: bool,
}

/// What a field is used for.
#[derive(Clone, Default)]
struct Use {
    /// The first bare slot, and its place among all bare slots.
    bare: Option<(Bare, usize)>,
    more: Vec<(Bare, usize)>,
    /// Whether an expression reads it.
    token: bool,
}

impl Quick {
    pub fn new(plan: &Plan) -> Quick {
        let token = |read: &bool| Use {
            token: *read,
            ..Use::default()
        };
        let mut uses: Vec<Use> = plan.read_fields.iter().map(token).collect();
        uses.push(Use::default());
        let runs = plan.rules.iter().filter_map(|rule| match &rule.kind {
            RuleKind::Bare(run) => Some(run),
            _ => None,
        });
        let mut slots = 0;
        for bare in runs.flatten() {
            let used = &mut uses[usize::from(bare.field)];
            match used.bare {
                None => used.bare = Some((*bare, slots)),
                Some(_) => used.more.push((*bare, slots)),
            }
            slots += 1;
        }
        let features = Features {
            ids: vec![0; slots],
            values: vec![0.0; slots],
            gaps: false,
        };
        Quick {
            steps: Vec::new(),
            uses,
            lanes: Lanes::default(),
            features,
            unwritten: false,
            wait: 0,
            pause: 0,
        }
    }

    /// Features of the last attempt, if it came to its end.
    pub fn features(&self) -> &Features {
        &self.features
    }

    #[cfg(test)]
    pub fn is_due(&self) -> bool {
        self.wait == 0 && !self.steps.is_empty()
    }

    /// Read the event that begins at `start`; return where its line ends, or `None` for the general way.
    pub fn attempt(
        &mut self,
        reader: Reader,
        start: usize,
        tokens: &mut [Token],
        event: u32,
    ) -> Option<usize> {
        if self.wait > 0 || self.steps.is_empty() {
            self.wait = self.wait.saturating_sub(1);
            return None;
        }
        let end = self.run(reader, start, tokens, event);
        self.pause = if end.is_some() {
            0
        } else {
            MAX_PAUSE.min(2 * self.pause + 1)
        };
        self.wait = self.pause;
        end
    }

    /// Expect the order of an event that took the general way and had so many members.
    pub fn learn(&mut self, keys: &Keys, members: usize) {
        if self.wait > 0 {
            return;
        }
        let order: Vec<Key> = std::iter::successors(Some(0), |key| Some(keys.entry(*key).follower))
            .skip(1)
            .take(members)
            .collect();
        if order.iter().eq(self.steps.iter().map(|step| &step.key)) {
            return;
        }
        self.steps.clear();
        self.lanes = Lanes::default();
        if order.iter().any(|key| keys.entry(*key).target.node != 0) {
            return;
        }
        for (at, &key) in order.iter().enumerate() {
            let entry = keys.entry(key);
            let entry = if at == 0 {
                entry.first_of_object()
            } else {
                entry.clone()
            };
            let used = &self.uses[usize::from(entry.target.field)];
            let alone = used.bare.filter(|_| !used.token && used.more.is_empty());
            self.steps
                .push(Step::new(key, entry, alone, &mut self.lanes));
        }
        self.forget_features();
    }

    /// What slots had under another order is nothing to the events of this one.
    fn forget_features(&mut self) {
        let Features { ids, values, .. } = &mut self.features;
        ids.fill(0);
        values.fill(0.0);
        let fields: Vec<usize> = self.steps.iter().map(|step| step.field).collect();
        let has_slots = |used: &Use| used.bare.is_some();
        let mut uses = self.uses.iter().enumerate();
        self.unwritten = uses.any(|(field, used)| has_slots(used) && !fields.contains(&field));
    }
}

impl Quick {
    /// Compiled three times, for better instructions where the processor has them; the features are the same.
    fn run(
        &mut self,
        reader: Reader,
        start: usize,
        tokens: &mut [Token],
        event: u32,
    ) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if wide::widest() {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { self.run_widest(reader, start, tokens, event) };
        } else if wide::wide() {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { self.run_wide(reader, start, tokens, event) };
        }
        self.run_narrow(reader, start, tokens, event)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512dq,avx512vl")]
    fn run_widest(
        &mut self,
        reader: Reader,
        start: usize,
        tokens: &mut [Token],
        event: u32,
    ) -> Option<usize> {
        self.run_in_order(reader, start, tokens, event)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn run_wide(
        &mut self,
        reader: Reader,
        start: usize,
        tokens: &mut [Token],
        event: u32,
    ) -> Option<usize> {
        self.run_in_order(reader, start, tokens, event)
    }

    #[inline(never)]
    fn run_narrow(
        &mut self,
        reader: Reader,
        start: usize,
        tokens: &mut [Token],
        event: u32,
    ) -> Option<usize> {
        self.run_in_order(reader, start, tokens, event)
    }

    #[inline(always)]
    fn run_in_order(
        &mut self,
        reader: Reader,
        start: usize,
        tokens: &mut [Token],
        event: u32,
    ) -> Option<usize> {
        let Quick {
            steps,
            uses,
            lanes,
            features,
            unwritten,
            ..
        } = self;
        lanes.start();
        let mut at = start;
        for step in steps {
            let start = step.entry.matches(reader, at)?;
            let plain = match step.kind {
                StepKind::Text => step.text(reader, start, lanes),
                StepKind::Number => step.number(reader, start, lanes),
                StepKind::Other => None,
            };
            at = match plain {
                Some(end) => end,
                None => {
                    let token = &mut tokens[step.field];
                    take_any(reader, start, &uses[step.field], lanes, token, event)?
                }
            };
        }
        let line_ends = at + 1 == reader.held.len() || reader.byte(at + 1) == b'\n';
        if reader.byte(at) != b'}' || !line_ends {
            return None;
        }
        let zero = lanes.finish(&mut features.ids, &mut features.values)?;
        features.gaps = zero || *unwritten;
        Some(at + 1)
    }
}

/// Note all features of the value at `start`, whatever it is, and its token; return where it ends. `None` if it is not
/// plain.
#[inline(never)]
fn take_any(
    reader: Reader,
    start: usize,
    used: &Use,
    lanes: &mut Lanes,
    token: &mut Token,
    event: u32,
) -> Option<usize> {
    let (value, end) = reader.value(start, 1).ok()?;
    for (bare, place) in used.bare.iter().chain(&used.more) {
        let (id, x) = feature(bare, reader, value)?;
        lanes.other((*place, id, x));
    }
    *token = Token::new(value, event);
    Some(end)
}

/// The feature of a bare slot, x = 0 if it has none; `None` for values that are not plain.
fn feature(bare: &Bare, reader: Reader, value: Value) -> Option<(u64, f32)> {
    let text = || {
        feature_id(
            &reader.held[value.start as usize..value.end as usize],
            bare.seed,
        )
    };
    match value.kind {
        Kind::Null => Some((0, 0.0)),
        Kind::Text | Kind::True | Kind::False if !bare.number => Some((text(), 1.0)),
        // Zero may be written "-0".
        Kind::Integer if !bare.number && value.number != 0.0 => Some((text(), 1.0)),
        Kind::Integer | Kind::Decimal if bare.number && value.number.abs() <= MAX_VALUE => {
            Some((bare.seed, value.number as f32))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "tests/quick.rs"]
mod tests;
