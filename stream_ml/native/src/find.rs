//! The first of two passes over an event: finds the fields' values, and checks every byte on the way.

use std::sync::Arc;

use crate::fields::{Fields, Token};
use crate::json::{self, Fault, FaultKind, Kind, Reader, Value};
use crate::keys::{Key, Keys, Target};
use crate::plan::Plan;
use crate::quick::{Features, Quick};

/// Fields of one event after the other.
pub struct Finder {
    plan: Arc<Plan>,
    keys: Keys,
    /// One more than there are fields: the last is for values that nobody asks for.
    tokens: Vec<Token>,
    /// Number of the event at hand, so that nothing has to be cleared between events.
    event: u32,
    /// Last event in which each object on a path was met, to notice repeated keys.
    met: Vec<u32>,
    /// An escaped key.
    unescaped: Vec<u8>,
    /// Members of the event, repeated ones too.
    members: usize,
    /// Unless tokens are wanted of every field.
    quick: Option<Quick>,
    was_quick: bool,
}

impl Finder {
    pub fn new(plan: Arc<Plan>) -> Finder {
        Finder {
            keys: plan.keys.clone(),
            tokens: vec![Token::NONE; plan.field_names.len() + 1],
            event: 0,
            met: vec![0; plan.fields_below.len()],
            unescaped: Vec::new(),
            members: 0,
            quick: Some(Quick::new(&plan)),
            was_quick: false,
            plan,
        }
    }

    /// Find the fields of the object that begins at `at`; return where its line ends.
    pub fn find(&mut self, reader: Reader, at: usize) -> Result<usize, Fault> {
        if self.event == u32::MAX {
            self.event = 0;
            self.tokens.fill(Token::NONE);
            self.met.fill(0);
        }
        self.event += 1;
        let attempt = self.quick.as_mut();
        let end = attempt.and_then(|quick| quick.attempt(reader, at, &mut self.tokens, self.event));
        self.was_quick = end.is_some();
        if let Some(end) = end {
            return Ok(end);
        }
        self.find_any(reader, at)
    }

    /// The general way.
    #[inline(never)]
    fn find_any(&mut self, reader: Reader, at: usize) -> Result<usize, Fault> {
        if reader.byte(at) != b'{' {
            return Err(FaultKind::NotAnObject.at(at));
        }
        let end = self.object(reader, at, 0, 1)?;
        let end = reader.skip_space(end);
        if end < reader.held.len() && reader.byte(end) != b'\n' {
            return Err(FaultKind::Trailing.at(end));
        }
        if let Some(quick) = &mut self.quick {
            quick.learn(&self.keys, self.members);
        }
        Ok(end)
    }

    /// Note every field's token from now on: names and texts of features are made of them.
    pub fn forgo_quick_way(&mut self) {
        self.quick = None;
    }

    /// Features of the bare slots, if the event was read in the quick way.
    pub fn quick_features(&self) -> Option<&Features> {
        self.quick
            .as_ref()
            .filter(|_| self.was_quick)
            .map(Quick::features)
    }

    /// What was found, over what the reader read.
    pub fn fields<'a>(&'a self, input: &'a [u8]) -> Fields<'a> {
        Fields {
            input,
            tokens: &self.tokens,
            event: self.event,
            names: &self.plan.field_names,
        }
    }

    /// An object that fields' paths lead through; returns the place after it.
    fn object(&mut self, reader: Reader, at: usize, node: u16, depth: u32) -> Result<usize, Fault> {
        let (empty, first) = reader.open(at, b'}', depth)?;
        if empty {
            self.members = 0;
            return Ok(first);
        }
        let mut previous = u32::from(node);
        let mut expected = self.keys.entry(previous).follower;
        let mut at = first - 1;
        let mut members = 0;
        loop {
            members += 1;
            // Here `at` is the place before a key: of the brace, the comma, or white space.
            let entry = self.keys.entry(expected);
            let target;
            if let Some(end) = entry.matches(reader, at) {
                (previous, expected, target, at) = (expected, entry.follower, entry.target, end);
            } else {
                (previous, target, at) = self.other_key(reader, at, node, previous)?;
                expected = self.keys.entry(previous).follower;
            }
            at = match reader.byte(at) {
                b'"' if target.node == 0 => {
                    let (value, end) = reader.text(at)?;
                    self.note(target.field, value);
                    end
                }
                b'-' | b'0'..=b'9' if target.node == 0 => {
                    let (value, end) = reader.number(at)?;
                    self.note(target.field, value);
                    end
                }
                _ => self.other_value(reader, at, target, depth)?,
            };
            if reader.byte(at) != b',' {
                let (another, next) = reader.another(at, b'}')?;
                if !another {
                    self.members = members; // in the end those of the outermost object
                    return Ok(next);
                }
                at = next - 1;
            }
        }
    }

    #[inline(always)]
    fn note(&mut self, field: u16, value: Value) {
        self.tokens[usize::from(field)] = Token::new(value, self.event);
    }

    /// A key that is not the expected one, the first one, or has white space before it: the key to go on
    /// from, its target, and where its value is.
    #[inline(never)]
    fn other_key(
        &mut self,
        reader: Reader,
        at: usize,
        node: u16,
        previous: Key,
    ) -> Result<(Key, Target, usize), Fault> {
        let before = reader.byte(at);
        let start = reader.skip_space(at + 1);
        if start > at + 1 || before != b',' {
            let expected = self.keys.entry(previous).follower;
            let entry = self.keys.entry(expected);
            if let Some(end) = entry.matches_after(reader, start - 1) {
                return Ok((expected, entry.target, end));
            }
        }
        let (text, at) = reader.key(start)?;
        let (start, end) = (text.start as usize, text.end as usize);
        let found = if text.kind == Kind::Text {
            self.keys.find(node, previous, reader, start, end)
        } else {
            self.unescaped.clear();
            json::unescape(&reader.held[start..end], &mut self.unescaped);
            self.keys.find_unescaped(node, previous, &self.unescaped)
        };
        Ok(match found {
            Some(key) => (key, self.keys.entry(key).target, at),
            None => (previous, self.keys.unused(), at),
        })
    }

    /// A value after white space, one that is neither text nor number, or one at whose place paths go on.
    #[inline(never)]
    fn other_value(
        &mut self,
        reader: Reader,
        at: usize,
        target: Target,
        depth: u32,
    ) -> Result<usize, Fault> {
        let at = reader.skip_space(at);
        let (value, end) = if target.node == 0 {
            reader.value(at, depth)?
        } else {
            self.node_value(reader, at, target.node, depth)?
        };
        self.note(target.field, value);
        Ok(end)
    }

    /// A value at whose place paths go on.
    fn node_value(
        &mut self,
        reader: Reader,
        at: usize,
        node: u16,
        depth: u32,
    ) -> Result<(Value, usize), Fault> {
        // Of a repeated key only the last object counts.
        if self.met[usize::from(node)] == self.event {
            self.set_below(node, 0);
        }
        self.met[usize::from(node)] = self.event;
        if reader.byte(at) == b'{' {
            let end = self.object(reader, at, node, depth + 1)?;
            return Ok((
                Value {
                    kind: Kind::Object,
                    start: at as u32,
                    end: end as u32,
                    number: 0.0,
                },
                end,
            ));
        }
        let (value, end) = reader.value(at, depth)?;
        if value.kind != Kind::Null {
            self.set_below(node, self.event);
        }
        Ok((value, end))
    }

    /// All fields below an object are off their path in this event, or (event 0) not met.
    fn set_below(&mut self, node: u16, event: u32) {
        for field in &self.plan.fields_below[usize::from(node)] {
            self.tokens[usize::from(*field)] = Token {
                event,
                ..Token::NONE
            };
        }
    }
}

#[cfg(test)]
#[path = "tests/find.rs"]
mod tests;
