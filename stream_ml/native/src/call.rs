//! The calls of `schemas/predictor.thrift`, decoded from one frame in memory.
//!
//! This decoder meets untrusted bytes. The frame is whole before it is read, and the protocol is told its length as
//! the message's limit, so no declared length or count can ask for more than the bytes at hand.

use std::io::Cursor;
use std::ops::Range;

use thrift::protocol::{TBinaryInputProtocol, TInputProtocol, TMessageType, TType};
use thrift::{ProtocolError, ProtocolErrorKind, TConfiguration};

/// Nesting that unknown fields of newer clients may have.
const MAX_DEPTH: usize = 8;
const MAX_CORRELATION_ID_BYTES: usize = 256;
/// Of a name that is not known, what an answer repeats: a name may be as long as its frame.
const ECHOED_BYTES: usize = 64;

/// How a call announced itself; the reply answers in kind.
#[derive(Debug, PartialEq)]
pub struct Header {
    pub name: String,
    pub kind: TMessageType,
    pub sequence: i32,
    pub strict: bool,
}

/// The arguments of `score`; reused from call to call, so that `events` keeps its memory.
#[derive(Debug, Default, PartialEq)]
pub struct ScoreArguments {
    /// Where in the frame each event lies.
    pub events: Vec<Range<usize>>,
    pub options: ScoreOptions,
}

#[derive(Debug, Default, PartialEq)]
pub struct ScoreOptions {
    pub model: Option<String>,
    pub uncertainty: bool,
    pub contributions: bool,
    pub max_weights_age_seconds: Option<f64>,
    pub correlation_id: Option<String>,
}

/// Why arguments could not be taken.
#[derive(Debug)]
pub enum Refused {
    /// Not the bytes of the IDL: answered as a `TApplicationException`.
    Malformed(thrift::Error),
    /// Well-formed, but beyond a limit: answered as the IDL's `BadRequest`.
    BadRequest(String),
}

impl From<thrift::Error> for Refused {
    fn from(error: thrift::Error) -> Self {
        Refused::Malformed(error)
    }
}

/// Reads one frame.
pub struct CallReader<'a> {
    protocol: TBinaryInputProtocol<Cursor<&'a [u8]>>,
    strict: bool,
}

impl<'a> CallReader<'a> {
    pub fn new(frame: &'a [u8]) -> Self {
        let limits = TConfiguration::builder()
            .max_message_size(Some(frame.len()))
            .max_frame_size(Some(frame.len()))
            .max_string_size(Some(frame.len()))
            .max_recursion_depth(Some(MAX_DEPTH))
            .build()
            .unwrap_or_default();
        CallReader {
            protocol: TBinaryInputProtocol::with_config(Cursor::new(frame), false, limits),
            strict: frame.first().is_some_and(|byte| byte & 0x80 != 0),
        }
    }

    pub fn header(&mut self) -> thrift::Result<Header> {
        let message = self.protocol.read_message_begin()?;
        Ok(Header {
            name: echoed(&message.name).to_owned(),
            kind: message.message_type,
            sequence: message.sequence_number,
            strict: self.strict,
        })
    }

    /// Read the arguments of `score` into *arguments*, whose earlier content is forgotten.
    pub fn score_arguments(
        &mut self,
        max_events: usize,
        arguments: &mut ScoreArguments,
    ) -> Result<(), Refused> {
        arguments.events.clear();
        arguments.options = ScoreOptions::default();
        let mut has_events = false;
        self.protocol.read_struct_begin()?;
        while let Some((id, kind)) = self.field()? {
            match (id, kind) {
                (1, TType::List) => {
                    has_events = true;
                    self.events(max_events, &mut arguments.events)?;
                }
                (2, TType::Struct) => arguments.options = self.options()?,
                _ => self.skip(kind)?,
            }
        }
        self.protocol.read_struct_end()?;
        self.end()?;
        if !has_events {
            return Err(Refused::BadRequest("the call has no list of events".into()));
        }
        Ok(())
    }

    /// Read the arguments of a function that has none.
    pub fn no_arguments(&mut self) -> thrift::Result<()> {
        self.skip(TType::Struct)?;
        self.end()
    }

    fn events(&mut self, max_events: usize, events: &mut Vec<Range<usize>>) -> Result<(), Refused> {
        let list = self.protocol.read_list_begin()?;
        let count = list.size as usize; // read_list_begin refuses negative sizes
        if count > max_events {
            return Err(Refused::BadRequest(format!(
                "{count} events in one call, the limit is {max_events}: send them in several calls"
            )));
        }
        if count > 0 && list.element_type != TType::String {
            return Err(malformed("events must be a list of binary").into());
        }
        events.clear();
        events.reserve(count);
        for _ in 0..count {
            events.push(self.bytes_in_place()?);
        }
        Ok(())
    }

    /// Step over a binary value and say where it lies; nothing is copied.
    fn bytes_in_place(&mut self) -> thrift::Result<Range<usize>> {
        let length = self.protocol.read_i32()?;
        let cursor = &mut self.protocol.transport;
        let start = cursor.position() as usize;
        let left = cursor.get_ref().len().saturating_sub(start);
        match usize::try_from(length) {
            Ok(length) if length <= left => {
                cursor.set_position((start + length) as u64);
                Ok(start..start + length)
            }
            _ => Err(malformed("an event's length exceeds its frame")),
        }
    }

    fn options(&mut self) -> Result<ScoreOptions, Refused> {
        let mut options = ScoreOptions::default();
        self.protocol.read_struct_begin()?;
        while let Some((id, kind)) = self.field()? {
            match (id, kind) {
                (1, TType::String) => options.model = Some(self.protocol.read_string()?),
                (2, TType::Bool) => options.uncertainty = self.protocol.read_bool()?,
                (3, TType::Bool) => options.contributions = self.protocol.read_bool()?,
                (4, TType::Double) => {
                    options.max_weights_age_seconds = Some(self.protocol.read_double()?)
                }
                (5, TType::String) => options.correlation_id = Some(self.correlation_id()?),
                _ => self.skip(kind)?,
            }
        }
        self.protocol.read_struct_end()?;
        Ok(options)
    }

    fn correlation_id(&mut self) -> Result<String, Refused> {
        let text = self.protocol.read_string()?;
        if text.len() > MAX_CORRELATION_ID_BYTES {
            return Err(Refused::BadRequest(format!(
                "correlation_id has {} bytes, the limit is {MAX_CORRELATION_ID_BYTES}",
                text.len()
            )));
        }
        Ok(text)
    }

    fn field(&mut self) -> thrift::Result<Option<(i16, TType)>> {
        let field = self.protocol.read_field_begin()?;
        Ok(match field.field_type {
            TType::Stop => None,
            kind => Some((field.id.unwrap_or(0), kind)),
        })
    }

    fn skip(&mut self, kind: TType) -> thrift::Result<()> {
        self.protocol.skip_till_depth(kind, MAX_DEPTH as i8)
    }

    fn end(&self) -> thrift::Result<()> {
        let cursor = &self.protocol.transport;
        if (cursor.position() as usize) < cursor.get_ref().len() {
            return Err(malformed("bytes follow the arguments"));
        }
        Ok(())
    }
}

/// The beginning of *name*; all of it where it is of a name's length.
pub fn echoed(name: &str) -> &str {
    let mut end = name.len().min(ECHOED_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

fn malformed(message: &str) -> thrift::Error {
    thrift::Error::Protocol(ProtocolError::new(ProtocolErrorKind::InvalidData, message))
}

#[cfg(test)]
#[path = "tests/call.rs"]
mod tests;
