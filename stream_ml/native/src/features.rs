//! The second pass over an event: slots in their order, each to its features in the block.

use crate::absent::AbsentSlots;
use crate::block::{Block, MAX_VALUE, Reason};
use crate::expr::Scratch;
use crate::fields::{Fields, Found, Refused};
use crate::hash::feature_id;
use crate::json::Kind;
use crate::number;
use crate::plan::{Bare, Plan, Rule, RuleKind};
use crate::quick;
use crate::roles::in_range;
use crate::text::append_field;

/// Features of one event; more refuse it.
pub const MAX_FEATURES: usize = 1 << 17;

/// Where features go.
pub struct Output<'a> {
    block: &'a mut Block,
    /// Features that the block held before the event.
    first: usize,
    /// Whether to fill `Block::slots`.
    slots: bool,
    /// Values as people read them, where asked for.
    texts: Option<&'a mut Vec<String>>,
    /// Slots without a feature.
    pub absent: AbsentSlots,
}

impl<'a> Output<'a> {
    pub fn new(
        block: &'a mut Block,
        slots: bool,
        texts: Option<&'a mut Vec<String>>,
    ) -> Output<'a> {
        Output {
            first: block.ids.len(),
            block,
            slots,
            texts,
            absent: AbsentSlots::default(),
        }
    }

    /// Append the features of an event.
    pub fn event(
        &mut self,
        plan: &Plan,
        quick: Option<&quick::Features>,
        fields: Fields,
        scratch: &mut Scratch,
    ) -> Result<(), Box<Refused>> {
        let mut bare_slots = 0;
        for Rule { slot, kind } in &plan.rules {
            match kind {
                RuleKind::Bare(run) if self.texts.is_some() => {
                    for (slot, bare) in (*slot..).zip(run) {
                        let before = self.block.ids.len();
                        self.named_bare(bare, slot, fields, scratch)?;
                        self.note_absent(slot, before);
                    }
                }
                RuleKind::Bare(run) => {
                    match quick {
                        Some(quick) => self.copy(quick, bare_slots, run.len(), *slot),
                        None => self.bare(run, *slot, fields, scratch)?,
                    }
                    bare_slots += run.len();
                }
                other => {
                    let before = self.block.ids.len();
                    self.evaluated(other, *slot, fields, scratch)?;
                    self.note_absent(*slot, before);
                }
            }
        }
        Ok(())
    }

    /// `before`: how many features there were before those of the slot.
    #[inline(always)]
    fn note_absent(&mut self, slot: u16, before: usize) {
        if self.block.ids.len() == before {
            self.absent.note(usize::from(slot));
        }
    }

    /// Slots whose expression is a field alone: at most one feature each.
    #[inline(always)]
    fn bare(
        &mut self,
        run: &[Bare],
        slot: u16,
        fields: Fields,
        scratch: &mut Scratch,
    ) -> Result<(), Box<Refused>> {
        let Block { ids, values, .. } = &mut *self.block;
        let first = ids.len();
        ids.resize(first + run.len(), 0);
        values.resize(first + run.len(), 0.0);
        let absent = fill(
            run,
            fields,
            scratch,
            &mut ids[first..],
            &mut values[first..],
        )?;
        self.name(slot, first);
        if absent != 0 {
            self.compact(first, slot);
        }
        Ok(())
    }

    /// The features that the first pass left.
    #[inline(always)]
    fn copy(&mut self, quick: &quick::Features, first: usize, count: usize, slot: u16) {
        let Block { ids, values, .. } = &mut *self.block;
        let before = ids.len();
        ids.extend_from_slice(&quick.ids[first..first + count]);
        values.extend_from_slice(&quick.values[first..first + count]);
        self.name(slot, before);
        if quick.gaps {
            self.compact(before, slot);
        }
    }

    /// Name the slots of a run that begins with `slot`, whose features begin at `first`, the absent ones (x = 0) among them.
    #[inline(always)]
    fn name(&mut self, slot: u16, first: usize) {
        if self.slots {
            let Block { values, slots, .. } = &mut *self.block;
            let named = (slot..).zip(&values[first..]);
            slots.extend(named.filter(|(_, x)| **x != 0.0).map(|(slot, _)| slot));
        }
    }

    #[inline(always)]
    fn compact(&mut self, first: usize, slot: u16) {
        let Block { ids, values, .. } = &mut *self.block;
        let (new, x) = (&mut ids[first..], &mut values[first..]);
        let present = compact(new, x, slot, &mut self.absent);
        ids.truncate(first + present);
        values.truncate(first + present);
    }

    fn named_bare(
        &mut self,
        bare: &Bare,
        slot: u16,
        fields: Fields,
        scratch: &mut Scratch,
    ) -> Result<(), Box<Refused>> {
        match *bare {
            Bare {
                field,
                number: true,
                seed,
            } => {
                if let Some(value) = fields.number(field)? {
                    self.number(value, seed, slot)?;
                }
            }
            Bare {
                field,
                number: false,
                seed,
            } => {
                if append_field(field, fields, &mut scratch.bytes)? {
                    self.category(&scratch.bytes, seed, slot);
                    scratch.bytes.clear();
                }
            }
        }
        Ok(())
    }

    fn evaluated(
        &mut self,
        rule: &RuleKind,
        slot: u16,
        fields: Fields,
        scratch: &mut Scratch,
    ) -> Result<(), Box<Refused>> {
        match rule {
            RuleKind::Bare(_) => {}
            RuleKind::Number { number, id } => {
                if let Some(value) = number.evaluate(fields, scratch)? {
                    self.number(value, *id, slot)?;
                }
            }
            RuleKind::Category { text, seed } => {
                if text.append(fields, scratch)? {
                    self.category(&scratch.bytes, *seed, slot);
                    scratch.bytes.clear();
                }
            }
            RuleKind::Set { set, seed } => {
                if set.append(fields, scratch)? {
                    let mut begin = 0;
                    for end in scratch.ends.drain(..) {
                        let element = &scratch.bytes[begin..end];
                        self.feature(feature_id(element, *seed), 1.0, slot, || set.show(element));
                        begin = end;
                    }
                    scratch.bytes.clear();
                    self.check_count()?;
                }
            }
        }
        Ok(())
    }

    fn check_count(&self) -> Result<(), Box<Refused>> {
        if self.block.ids.len() - self.first <= MAX_FEATURES {
            return Ok(());
        }
        let detail = format!("an event of more than {MAX_FEATURES} features");
        Err(Refused::new(Reason::TooLarge, detail))
    }

    #[inline(always)]
    fn category(&mut self, text: &[u8], seed: u64, slot: u16) {
        self.feature(feature_id(text, seed), 1.0, slot, || {
            String::from_utf8_lossy(text).into_owned()
        });
    }

    fn number(&mut self, value: f64, id: u64, slot: u16) -> Result<(), Box<Refused>> {
        let x = bounded(value)?;
        if x != 0.0 {
            self.feature(id, x, slot, || number::text(value));
        }
        Ok(())
    }

    #[inline(always)]
    fn feature(&mut self, id: u64, x: f32, slot: u16, text: impl FnOnce() -> String) {
        self.block.ids.push(id);
        self.block.values.push(x);
        if self.slots {
            self.block.slots.push(slot);
            if let Some(texts) = &mut self.texts {
                texts.push(text());
            }
        }
    }
}

#[inline(always)]
fn bounded(value: f64) -> Result<f32, Box<Refused>> {
    in_range(
        value.abs() <= MAX_VALUE,
        value,
        "a numeric feature from -1e6 to 1e6",
    )
}

/// Write one feature for each bare slot, x = 0 where it has none; return how many have none.
fn fill(
    run: &[Bare],
    fields: Fields,
    scratch: &mut Scratch,
    ids: &mut [u64],
    values: &mut [f32],
) -> Result<usize, Box<Refused>> {
    let mut absent = 0;
    for ((bare, id), x) in run.iter().zip(ids).zip(values) {
        let token = &fields.tokens[usize::from(bare.field)];
        match token.found {
            _ if token.event != fields.event => {}
            Found::Value(Kind::Text) if !bare.number => {
                *id = feature_id(fields.raw(token), bare.seed);
                *x = 1.0;
            }
            Found::Value(Kind::Integer | Kind::Decimal) if bare.number => {
                *id = bare.seed;
                *x = bounded(token.number)?;
            }
            _ => (*id, *x) = other_bare(bare, fields, scratch)?,
        }
        absent += usize::from(*x == 0.0);
    }
    Ok(absent)
}

/// Move the features with x ≠ 0 to the front and note which of the slots from `slot` on have none; return how many there
/// are.
fn compact(ids: &mut [u64], values: &mut [f32], slot: u16, absent: &mut AbsentSlots) -> usize {
    let mut present = 0;
    for at in 0..ids.len() {
        if values[at] != 0.0 {
            (ids[present], values[present]) = (ids[at], values[at]);
            present += 1;
        } else {
            absent.note(usize::from(slot) + at);
        }
    }
    present
}

/// What is seldom in a bare slot: null, a number as a category, escapes, a wrong type. No feature is x = 0.
#[inline(never)]
fn other_bare(
    bare: &Bare,
    fields: Fields,
    scratch: &mut Scratch,
) -> Result<(u64, f32), Box<Refused>> {
    if bare.number {
        return Ok((
            bare.seed,
            fields.number(bare.field)?.map_or(Ok(0.0), bounded)?,
        ));
    }
    let there = append_field(bare.field, fields, &mut scratch.bytes)?;
    let id = feature_id(&scratch.bytes, bare.seed);
    scratch.bytes.clear();
    Ok((id, f32::from(there)))
}

#[cfg(test)]
#[path = "tests/features.rs"]
mod tests;
