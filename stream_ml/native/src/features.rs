//! The second pass over an event: slots in their order, each to its features in the block.

use crate::block::{Block, Reason};
use crate::expr::Scratch;
use crate::fields::{Fields, Refused, Textual};
use crate::hash::feature_id;
use crate::number;
use crate::plan::{Plan, Rule};
use crate::roles::in_range;

/// Features of one event; more refuse it.
pub const MAX_FEATURES: usize = 1 << 17;
/// Bound of a number slot's value.
pub const MAX_VALUE: f64 = 1e6;

/// Where features go.
pub struct Output<'a> {
    pub block: &'a mut Block,
    /// Whether to fill `Block::slots`.
    pub slots: bool,
    /// Values as people read them, where asked for.
    pub texts: Option<&'a mut Vec<String>>,
}

impl Output<'_> {
    /// Append the features of an event.
    pub fn event(
        &mut self,
        plan: &Plan,
        fields: Fields,
        scratch: &mut Scratch,
    ) -> Result<(), Box<Refused>> {
        let first = self.block.ids.len();
        for (slot, rule) in (0..).zip(&plan.rules) {
            self.slot(rule, slot, fields, scratch)?;
            if self.block.ids.len() - first > MAX_FEATURES {
                let detail = format!("an event of more than {MAX_FEATURES} features");
                return Err(Refused::new(Reason::TooLarge, detail));
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn slot(
        &mut self,
        rule: &Rule,
        slot: u16,
        fields: Fields,
        scratch: &mut Scratch,
    ) -> Result<(), Box<Refused>> {
        match rule {
            Rule::BareText { field, seed } => match fields.text(*field, &mut scratch.bytes)? {
                None => {}
                Some(Textual::InPlace(text)) => self.category(text, *seed, slot),
                Some(Textual::Appended) => self.appended_category(scratch, *seed, slot),
            },
            Rule::BareNumber { field, id } => {
                if let Some(value) = fields.number(*field)? {
                    self.number(value, *id, slot)?;
                }
            }
            Rule::Number { number, id } => {
                if let Some(value) = number.evaluate(fields, scratch)? {
                    self.number(value, *id, slot)?;
                }
            }
            Rule::Category { text, seed } => {
                if text.append(fields, scratch)? {
                    self.appended_category(scratch, *seed, slot);
                }
            }
            Rule::Set { set, seed } => {
                if set.append(fields, scratch)? {
                    let mut begin = 0;
                    for end in scratch.ends.drain(..) {
                        let element = &scratch.bytes[begin..end];
                        self.feature(feature_id(element, *seed), 1.0, slot, || set.show(element));
                        begin = end;
                    }
                    scratch.bytes.clear();
                }
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn category(&mut self, text: &[u8], seed: u64, slot: u16) {
        self.feature(feature_id(text, seed), 1.0, slot, || {
            String::from_utf8_lossy(text).into_owned()
        });
    }

    fn appended_category(&mut self, scratch: &mut Scratch, seed: u64, slot: u16) {
        self.category(&scratch.bytes, seed, slot);
        scratch.bytes.clear();
    }

    #[inline(always)]
    fn number(&mut self, value: f64, id: u64, slot: u16) -> Result<(), Box<Refused>> {
        let x = in_range(
            value.abs() <= MAX_VALUE,
            value,
            "a numeric feature from -1e6 to 1e6",
        )?;
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
