//! The first of two passes over an event: finds the fields' values, and checks every byte on the way.

use std::sync::Arc;

use crate::fields::{Fields, Found, Token};
use crate::json::{self, Fault, Kind, Reader, Value};
use crate::keys::{Key, Keys, Target};
use crate::plan::Plan;

/// Fields of one event after the other.
pub struct Finder {
    plan: Arc<Plan>,
    keys: Keys,
    tokens: Vec<Token>,
    /// Number of the event at hand, so that nothing has to be cleared between events.
    event: u32,
    /// Last event in which each object on a path was met, to notice repeated keys.
    met: Vec<u32>,
    /// An escaped key.
    unescaped: Vec<u8>,
}

impl Finder {
    pub fn new(plan: Arc<Plan>) -> Finder {
        Finder {
            keys: plan.keys.clone(),
            tokens: vec![Token::NONE; plan.field_names.len()],
            event: 0,
            met: vec![0; plan.fields_below.len()],
            unescaped: Vec::new(),
            plan,
        }
    }

    /// Find the fields of the object that begins at the reader's place, and step to the end of its line.
    pub fn find(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        if self.event == u32::MAX {
            self.event = 0;
            self.tokens.fill(Token::NONE);
            self.met.fill(0);
        }
        self.event += 1;
        if reader.peek() != b'{' {
            return Err(Fault::NotAnObject);
        }
        self.object(reader, 0, 1)?;
        reader.skip_space();
        if reader.at < reader.held.len() && reader.peek() != b'\n' {
            Err(Fault::Trailing)
        } else {
            Ok(())
        }
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

    /// An object that fields' paths lead through.
    fn object(&mut self, reader: &mut Reader, node: u16, depth: u32) -> Result<(), Fault> {
        reader.open(depth)?;
        if reader.is_empty(b'}') {
            return Ok(());
        }
        let mut previous = u32::from(node);
        let mut expected = self.keys.follower(previous);
        loop {
            reader.skip_space();
            let target = if let Some((target, follower)) = self.keys.matches(expected, reader) {
                (previous, expected) = (expected, follower);
                target
            } else {
                let found = self.find_key(reader, node, previous)?;
                previous = found.map_or(previous, |(key, _)| key);
                expected = self.keys.follower(previous);
                found.map(|(_, target)| target).unwrap_or_default()
            };
            if let Some(child) = target.node {
                self.descend(reader, child, target.field, depth)?;
            } else {
                let value = reader.value(depth)?;
                if let Some(field) = target.field {
                    self.note(field, value);
                }
            }
            if !reader.another(b'}')? {
                return Ok(());
            }
        }
    }

    #[inline(always)]
    fn note(&mut self, field: u16, value: Value) {
        self.tokens[usize::from(field)] = Token {
            number: value.number,
            event: self.event,
            start: value.start,
            end: value.end,
            found: Found::Value(value.kind),
        };
    }

    /// Read a key that is not the expected one.
    fn find_key(
        &mut self,
        reader: &mut Reader,
        node: u16,
        previous: Key,
    ) -> Result<Option<(Key, Target)>, Fault> {
        let key = reader.key()?;
        let name = &reader.held[key.start as usize..key.end as usize];
        if key.kind == Kind::Text {
            return Ok(self.keys.find(node, previous, name, true));
        }
        self.unescaped.clear();
        json::unescape(name, &mut self.unescaped);
        Ok(self.keys.find(node, previous, &self.unescaped, false))
    }

    /// A value at whose place some paths go on.
    #[inline(never)]
    fn descend(
        &mut self,
        reader: &mut Reader,
        node: u16,
        field: Option<u16>,
        depth: u32,
    ) -> Result<(), Fault> {
        reader.skip_space();
        let start = reader.at;
        if self.met[usize::from(node)] == self.event {
            self.set_below(node, 0);
        }
        self.met[usize::from(node)] = self.event;
        let value = if reader.peek() == b'{' {
            self.object(reader, node, depth + 1)?;
            Value {
                kind: Kind::Object,
                start: start as u32,
                end: reader.at as u32,
                number: 0.0,
            }
        } else {
            let value = reader.value(depth)?;
            if value.kind != Kind::Null {
                self.set_below(node, self.event);
            }
            value
        };
        if let Some(field) = field {
            self.note(field, value);
        }
        Ok(())
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
mod tests {
    use super::*;
    use crate::json::Window;

    #[test]
    fn nothing_survives_the_turn_of_the_event_number() {
        let plan = crate::scan::tests::simple();
        let mut finder = Finder::new(plan);
        let mut window = Window::new();
        finder.event = u32::MAX - 2;
        for (event, there) in [
            (r#"{"y":1,"b":2}"#, true),
            (r#"{"y":1}"#, false),
            ("{}", false),
            ("{}", false),
        ] {
            window.hold(event.as_bytes());
            finder.find(&mut Reader::new(&window, 0)).unwrap();
            assert_eq!(
                finder.fields(window.held()).number(2).unwrap().is_some(),
                there
            );
        }
    }
}
