//! The way of most events: the same keys in the same order as an event before, with plain values.
//!
//! Each step compares one key with its comma, reads the value, and writes the features of the slots that are
//! this field alone. Whatever else there is, from white space to an escape, ends the attempt, and the event
//! takes the general way: this one only saves time, it decides nothing.

use crate::features::MAX_VALUE;
use crate::fields::Token;
use crate::hash::{ShortIds, feature_id};
use crate::json::{Kind, Reader, Value, text_ends};
use crate::keys::{Entry, Key, Keys};
use crate::plan::{Bare, Plan, RuleKind};

/// Events at most that take the general way between two attempts where attempts fail.
const MAX_PAUSE: u32 = 1024;

pub struct Quick {
    steps: Vec<Step>,
    /// Of each field, and of those that nobody asks for.
    uses: Vec<Use>,
    features: Features,
    /// Bare slots that no step writes to: the events of this order lack their fields.
    unwritten: usize,
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

/// One member of the event: its key, and what the hot path wants to know of its use.
struct Step {
    entry: Entry,
    key: Key,
    field: usize,
    kind: StepKind,
    /// Whether the value has other uses than the one feature.
    more: bool,
    place: usize,
    seed: u64,
    short_ids: ShortIds,
    /// Length of the last text, if that was 1 to 8, and a mask of so many bytes; else 0 and all of them, which
    /// fits no text.
    text_length: usize,
    text_mask: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StepKind {
    Text,
    Number,
    /// Its value is no feature by itself.
    Other,
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
            unwritten: 0,
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
            self.steps.push(Step::new(key, entry, used));
        }
        self.forget_features();
    }
}

impl Quick {
    /// What slots had under another order is nothing to the events of this one.
    fn forget_features(&mut self) {
        let Features { ids, values, .. } = &mut self.features;
        ids.fill(0);
        values.fill(0.0);
        let mut written = vec![false; values.len()];
        for step in &self.steps {
            let Use { bare, more, .. } = &self.uses[step.field];
            for (_, place) in bare.iter().chain(more) {
                written[*place] = true;
            }
        }
        self.unwritten = written.iter().filter(|is| !**is).count();
    }

    #[inline(never)]
    fn run(
        &mut self,
        reader: Reader,
        start: usize,
        tokens: &mut [Token],
        event: u32,
    ) -> Option<usize> {
        let Quick {
            steps,
            uses,
            features:
                Features {
                    ids,
                    values,
                    absent,
                },
            unwritten,
            ..
        } = self;
        let (ids, values) = (&mut ids[..], &mut values[..]);
        let mut zeros = *unwritten;
        let mut at = start;
        for step in steps {
            let start = step.entry.matches(reader, at)?;
            at = match reader.byte(start) {
                b'"' if step.kind == StepKind::Text => {
                    let (id, end) = step.text(reader, start)?;
                    ids[step.place] = id;
                    values[step.place] = 1.0;
                    if step.more {
                        let token = &mut tokens[step.field];
                        take_any(reader, start, &uses[step.field], ids, values, token, event)?;
                    }
                    end + 1
                }
                b'-' | b'0'..=b'9' if step.kind == StepKind::Number => {
                    let (value, end) = reader.number(start).ok()?;
                    if value.number.abs() > MAX_VALUE {
                        return None;
                    }
                    let x = value.number as f32;
                    ids[step.place] = step.seed;
                    values[step.place] = x;
                    zeros += usize::from(x == 0.0);
                    if step.more {
                        let token = &mut tokens[step.field];
                        take_any(reader, start, &uses[step.field], ids, values, token, event)?;
                    }
                    end
                }
                _ => {
                    let token = &mut tokens[step.field];
                    let used = &uses[step.field];
                    let (end, without) = take_any(reader, start, used, ids, values, token, event)?;
                    zeros += without;
                    end
                }
            };
        }
        *absent = zeros;
        let line_ends = at + 1 == reader.held.len() || reader.byte(at + 1) == b'\n';
        (reader.byte(at) == b'}' && line_ends).then_some(at + 1)
    }
}

/// Write all features of the value at `start`, whatever it is, and its token; return where it ends, and how many
/// slots got no feature. `None` if it is not plain.
#[inline(never)]
fn take_any(
    reader: Reader,
    start: usize,
    used: &Use,
    ids: &mut [u64],
    values: &mut [f32],
    token: &mut Token,
    event: u32,
) -> Option<(usize, usize)> {
    let (value, end) = reader.value(start, 1).ok()?;
    let mut zeros = 0;
    for (bare, place) in used.bare.iter().chain(&used.more) {
        let (id, x) = feature(bare, reader, value)?;
        (ids[*place], values[*place]) = (id, x);
        zeros += usize::from(x == 0.0);
    }
    *token = Token::new(value, event);
    Some((end, zeros))
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

impl Step {
    fn new(key: Key, entry: Entry, used: &Use) -> Step {
        let field = usize::from(entry.target.field);
        let (kind, place, seed) = match used.bare {
            Some((
                Bare {
                    number: true, seed, ..
                },
                place,
            )) => (StepKind::Number, place, seed),
            Some((
                Bare {
                    number: false,
                    seed,
                    ..
                },
                place,
            )) => (StepKind::Text, place, seed),
            None => (StepKind::Other, 0, 0),
        };
        let more = used.token || !used.more.is_empty();
        Step {
            entry,
            key,
            field,
            kind,
            more,
            place,
            seed,
            short_ids: ShortIds::new(seed),
            text_length: 0,
            text_mask: u64::MAX,
        }
    }

    /// The feature id of a text without escapes, and its closing quote. Many fields have texts of one short length: then
    /// one look is enough.
    #[inline(always)]
    fn text(&mut self, reader: Reader, quote: usize) -> Option<(u64, usize)> {
        let word = reader.load(quote + 1);
        let end = quote + 1 + self.text_length;
        let plain = text_ends(word) & self.text_mask == 0;
        if !plain || reader.byte(end) != b'"' {
            return self.any_text(reader, quote);
        }
        let id = match self.text_length {
            4.. => self.short_ids.id(word, self.text_length),
            _ => feature_id(&reader.held[quote + 1..end], self.seed),
        };
        Some((id, end))
    }

    #[inline(never)]
    fn any_text(&mut self, reader: Reader, quote: usize) -> Option<(u64, usize)> {
        let (value, end) = reader.text(quote).ok()?;
        (self.text_length, self.text_mask) = match value.end - value.start {
            length @ 1..=8 => (length as usize, u64::MAX >> (64 - 8 * length)),
            _ => (0, u64::MAX),
        };
        let text = &reader.held[value.start as usize..value.end as usize];
        (value.kind == Kind::Text).then(|| (feature_id(text, self.seed), end - 1))
    }
}
