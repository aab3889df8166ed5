//! The way of most events: the same keys in the same order as an event before, with plain values.
//!
//! Each step compares one key with its comma, reads the value, and writes the features of the slots that are
//! this field alone. Whatever else there is, from white space to an escape, ends the attempt, and the event
//! takes the general way: this one only saves time, it decides nothing.

use crate::features::MAX_VALUE;
use crate::fields::Token;
use crate::hash::feature_id;
use crate::json::{Kind, Reader, Value};
use crate::keys::{Entry, Key, Keys};
use crate::plan::{Bare, Plan, RuleKind};

/// Events at most that take the general way between two attempts where attempts fail.
const MAX_PAUSE: u32 = 1024;

pub struct Quick {
    steps: Vec<Step>,
    /// Of each field, and of those that nobody asks for.
    uses: Vec<Use>,
    features: Features,
    /// Events to let pass before the next attempt.
    wait: u32,
    pause: u32,
}

/// What the bare slots of an event gave, in slot order.
pub struct Features {
    pub ids: Vec<u64>,
    /// 0 where a slot has no feature.
    pub values: Vec<f32>,
    pub absent: usize,
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

struct Step {
    key: Key,
    entry: Entry,
    field: usize,
    used: Use,
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
            absent: 0,
        };
        Quick {
            steps: Vec::new(),
            uses,
            features,
            wait: 0,
            pause: 0,
        }
    }

    /// Features of the last attempt, if it came to its end.
    pub fn features(&self) -> &Features {
        &self.features
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
        let end = run(
            &self.steps,
            &mut self.features,
            reader,
            start,
            tokens,
            event,
        );
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
        let order = std::iter::successors(Some(0), |key| Some(keys.entry(*key).follower))
            .skip(1)
            .take(members);
        if order.clone().eq(self.steps.iter().map(|step| step.key)) {
            return;
        }
        self.steps.clear();
        for (at, key) in order.enumerate() {
            let entry = keys.entry(key);
            if entry.target.node != 0 {
                self.steps.clear();
                return;
            }
            let entry = if at == 0 {
                entry.first_of_object()
            } else {
                entry.clone()
            };
            let field = usize::from(entry.target.field);
            self.steps.push(Step {
                key,
                entry,
                field,
                used: self.uses[field].clone(),
            });
        }
    }
}

fn run(
    steps: &[Step],
    features: &mut Features,
    reader: Reader,
    start: usize,
    tokens: &mut [Token],
    event: u32,
) -> Option<usize> {
    features.absent = 0;
    let mut at = start;
    for step in steps {
        let start = step.entry.matches(reader, at)?;
        at = match reader.byte(start) {
            b'"' => {
                let (value, end) = reader.text(start).ok()?;
                step.take(reader, value, features, tokens, event)?;
                end
            }
            b'-' | b'0'..=b'9' => {
                let (value, end) = reader.number(start).ok()?;
                step.take(reader, value, features, tokens, event)?;
                end
            }
            _ => step.take_other(reader, start, features, tokens, event)?,
        };
    }
    let line_ends = at + 1 == reader.held.len() || reader.byte(at + 1) == b'\n';
    (reader.byte(at) == b'}' && line_ends).then_some(at + 1)
}

impl Step {
    #[inline(always)]
    fn take(
        &self,
        reader: Reader,
        value: Value,
        features: &mut Features,
        tokens: &mut [Token],
        event: u32,
    ) -> Option<()> {
        if let Some((bare, place)) = &self.used.bare {
            features.put(bare, *place, reader, value)?;
            if !self.used.more.is_empty() {
                self.put_more(reader, value, features)?;
            }
        }
        if self.used.token {
            tokens[self.field] = Token::new(value, event);
        }
        Some(())
    }

    #[inline(never)]
    fn put_more(&self, reader: Reader, value: Value, features: &mut Features) -> Option<()> {
        self.used
            .more
            .iter()
            .try_for_each(|(bare, place)| features.put(bare, *place, reader, value))
    }

    #[inline(never)]
    fn take_other(
        &self,
        reader: Reader,
        start: usize,
        features: &mut Features,
        tokens: &mut [Token],
        event: u32,
    ) -> Option<usize> {
        let (value, end) = reader.value(start, 1).ok()?;
        self.take(reader, value, features, tokens, event)?;
        Some(end)
    }
}

impl Features {
    /// The feature of a bare slot; `None` for values that are not plain.
    #[inline(always)]
    fn put(&mut self, bare: &Bare, place: usize, reader: Reader, value: Value) -> Option<()> {
        let raw = || &reader.held[value.start as usize..value.end as usize];
        let (id, x) = match value.kind {
            Kind::Text | Kind::True | Kind::False if !bare.number => {
                (feature_id(raw(), bare.seed), 1.0)
            }
            // Zero may be written "-0".
            Kind::Integer if !bare.number && value.number != 0.0 => {
                (feature_id(raw(), bare.seed), 1.0)
            }
            Kind::Integer | Kind::Decimal if bare.number && value.number.abs() <= MAX_VALUE => {
                (bare.seed, value.number as f32)
            }
            Kind::Null => (0, 0.0),
            _ => return None,
        };
        self.ids[place] = id;
        self.values[place] = x;
        self.absent += usize::from(x == 0.0);
        Some(())
    }
}
