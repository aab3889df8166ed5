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
            name: message.name,
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

fn malformed(message: &str) -> thrift::Error {
    thrift::Error::Protocol(ProtocolError::new(ProtocolErrorKind::InvalidData, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `score` message as thriftpy2 writes it: `header`, then the arguments, byte by byte.
    fn message(arguments: &[u8]) -> Vec<u8> {
        let mut frame = b"\x80\x01\x00\x01\x00\x00\x00\x05score\x00\x00\x00\x07".to_vec();
        frame.extend_from_slice(arguments);
        frame
    }

    fn events(count: i32, events: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"\x0f\x00\x01\x0b".to_vec();
        bytes.extend_from_slice(&count.to_be_bytes());
        for event in events {
            bytes.extend_from_slice(&(event.len() as i32).to_be_bytes());
            bytes.extend_from_slice(event);
        }
        bytes
    }

    fn read(frame: &[u8]) -> Result<ScoreArguments, Refused> {
        let mut reader = CallReader::new(frame);
        let mut arguments = ScoreArguments::default();
        reader.header()?;
        reader.score_arguments(10, &mut arguments)?;
        Ok(arguments)
    }

    fn is_malformed(frame: &[u8]) -> bool {
        matches!(read(frame), Err(Refused::Malformed(_)))
    }

    #[test]
    fn a_call_is_read_without_copying_its_events() {
        let mut arguments = events(2, &[b"{}", b"{\"a\":1}"]);
        arguments.extend_from_slice(b"\x0c\x00\x02\x0b\x00\x01\x00\x00\x00\x01m\x02\x00\x02\x01");
        arguments.extend_from_slice(b"\x04\x00\x04\x40\x08\x00\x00\x00\x00\x00\x00\x00\x00");
        let frame = message(&arguments);
        let read = read(&frame).unwrap();
        let events: Vec<&[u8]> = read
            .events
            .iter()
            .map(|event| &frame[event.clone()])
            .collect();
        assert_eq!(events, [&b"{}"[..], b"{\"a\":1}"]);
        assert_eq!(
            read.options,
            ScoreOptions {
                model: Some("m".into()),
                uncertainty: true,
                max_weights_age_seconds: Some(3.0),
                ..ScoreOptions::default()
            }
        );
    }

    #[test]
    fn strict_and_unstrict_headers_are_read_and_told_apart() {
        let strict = CallReader::new(&message(b"\x00")).header().unwrap();
        let bare = b"\x00\x00\x00\x05score\x01\x00\x00\x00\x07\x00";
        let unstrict = CallReader::new(bare).header().unwrap();
        assert!(strict.strict && !unstrict.strict);
        for header in [strict, unstrict] {
            assert_eq!((header.name.as_str(), header.sequence), ("score", 7));
            assert_eq!(header.kind, TMessageType::Call);
        }
    }

    #[test]
    fn every_truncation_of_a_call_is_refused() {
        let mut arguments = events(2, &[b"{}", b"{}"]);
        arguments.extend_from_slice(b"\x0c\x00\x02\x0b\x00\x05\x00\x00\x00\x02id\x00\x00");
        let frame = message(&arguments);
        assert!(read(&frame).is_ok());
        for length in 0..frame.len() {
            assert!(is_malformed(&frame[..length]), "{length} bytes");
        }
    }

    #[test]
    fn declared_counts_and_lengths_beyond_the_frame_are_refused_before_anything_is_allocated() {
        for hostile in [
            &b"\x0f\x00\x01\x0b\xff\xff\xff\xff"[..], // minus one event
            b"\x0f\x00\x01\x0b\x00\x00\x00\x01\x7f\xff\xff\xff", // an event of 2 GiB
            b"\x0f\x00\x01\x0b\x00\x00\x00\x01\xff\xff\xff\xff",
            b"\x0f\x00\x63\x0c\x7f\xff\xff\xff", // an unknown list of 2^31 structs
            b"\x0f\x00\x63\x02\x00\x00\x10\x00", // of more booleans than there are bytes
            b"\x0d\x00\x63\x0b\x0b\x7f\xff\xff\xff", // an unknown map
            b"\x0b\x00\x63\x7f\xff\xff\xff",     // an unknown string
            b"\x0c\x00\x02\x0b\x00\x01\x7f\xff\xff\xff", // a model's name of 2 GiB
        ] {
            let mut arguments = hostile.to_vec();
            arguments.push(0);
            assert!(is_malformed(&message(&arguments)), "{hostile:x?}");
        }
        assert!(is_malformed(b"\x7f\xff\xff\xffscore")); // an unstrict name of 2 GiB
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| {
            let mut arguments = events(0, &[]);
            arguments.extend(b"\x0c\x00\x63".repeat(depth));
            arguments.extend(vec![0; depth + 1]);
            message(&arguments)
        };
        assert!(read(&nested(3)).is_ok());
        assert!(is_malformed(&nested(100)));
        assert!(is_malformed(&nested(100_000)));
        let mut lists = b"\x0f\x00\x63".to_vec();
        lists.extend(b"\x0f\x00\x00\x00\x01".repeat(10_000));
        assert!(is_malformed(&message(&lists)));
    }

    #[test]
    fn more_events_than_allowed_is_a_bad_request_and_not_a_broken_one() {
        let too_many = message(&events(11, &[&b"{}"[..]; 11]));
        assert!(matches!(read(&too_many), Err(Refused::BadRequest(why)) if why.contains("11")));
        let none = message(b"\x00");
        assert!(matches!(read(&none), Err(Refused::BadRequest(_))));
    }

    #[test]
    fn fields_of_newer_clients_are_skipped_and_bytes_after_the_end_are_not() {
        let mut arguments = b"\x08\x00\x63\x00\x00\x00\x01".to_vec();
        arguments.extend(events(1, &[b"{}"]));
        arguments.push(0);
        assert_eq!(read(&message(&arguments)).unwrap().events.len(), 1);
        arguments.push(0);
        assert!(is_malformed(&message(&arguments)));
    }

    #[test]
    fn no_mutation_of_a_call_does_harm() {
        let mut arguments = events(3, &[b"{\"a\":1}", b"", b"{}"]);
        arguments.extend_from_slice(b"\x0c\x00\x02\x0b\x00\x01\x00\x00\x00\x01m\x00\x00");
        let frame = message(&arguments);
        for at in 0..frame.len() {
            for value in 0..=255 {
                let mut mutant = frame.clone();
                mutant[at] = value;
                let mut scores = ScoreArguments::default();
                let mut reader = CallReader::new(&mutant);
                if reader.header().is_ok() && reader.score_arguments(10, &mut scores).is_ok() {
                    assert!(scores.events.iter().all(|event| event.end <= mutant.len()));
                }
            }
        }
    }
}
