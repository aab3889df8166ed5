//! The replies of `schemas/predictor.thrift`, appended to a buffer as framed messages.

use thrift::ApplicationErrorKind;
use thrift::protocol::{
    TBinaryOutputProtocol, TFieldIdentifier, TListIdentifier, TMessageIdentifier, TMessageType,
    TOutputProtocol, TType,
};

use crate::call::Header;
use crate::score::{Score, Sink};

/// What a variant answers with, in a `ScoreResponse` or a `ModelStatus`.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin<'a> {
    pub model: &'a str,
    pub variant: &'a str,
    pub fingerprint: &'a str,
    pub step: i64,
    pub watermark_us: Option<i64>,
    pub weights_age_seconds: f64,
    pub stale: bool,
}

/// One model as `models` and `status` tell it; `origin` is None while it is waited for.
pub struct ModelStatus<'a> {
    pub model: &'a str,
    pub origin: Option<Origin<'a>>,
    pub rows: i64,
}

pub struct Status<'a> {
    pub version: &'a str,
    pub uptime_seconds: f64,
    pub connections: i32,
    pub draining: bool,
    pub models: Vec<ModelStatus<'a>>,
}

/// The IDL's exceptions of `score`.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    NoModelYet(String),
    UnknownModel(String, Vec<String>),
    StaleWeights(String, f64),
    BadRequest(String),
    Overloaded(String, f64),
}

impl Fault {
    pub fn message(&self) -> &str {
        match self {
            Fault::NoModelYet(message)
            | Fault::UnknownModel(message, _)
            | Fault::StaleWeights(message, _)
            | Fault::BadRequest(message)
            | Fault::Overloaded(message, _) => message,
        }
    }
}

/// Appends one framed reply to a buffer.
pub struct ReplyWriter<'a> {
    protocol: TBinaryOutputProtocol<&'a mut Vec<u8>>,
    start: usize,
}

impl<'a> ReplyWriter<'a> {
    fn begin(output: &'a mut Vec<u8>, header: &Header, kind: TMessageType) -> thrift::Result<Self> {
        let start = output.len();
        output.extend_from_slice(&[0; 4]); // the frame's length, filled in by `finish`
        let mut writer = ReplyWriter {
            protocol: TBinaryOutputProtocol::new(output, header.strict),
            start,
        };
        let name = header.name.as_str();
        let message = TMessageIdentifier::new(name, kind, header.sequence);
        writer.protocol.write_message_begin(&message)?;
        Ok(writer)
    }

    /// Begin the answer to `score`: exactly *events* calls of `score` or `refused` follow, then `finish_scores`.
    pub fn begin_scores(
        output: &'a mut Vec<u8>,
        header: &Header,
        events: usize,
    ) -> thrift::Result<Self> {
        let mut writer = Self::begin(output, header, TMessageType::Reply)?;
        writer.field(TType::Struct, 0)?;
        writer.list(1, TType::Struct, events)?;
        Ok(writer)
    }

    /// Go on with the answer to `score` that begins at *start* of *output*.
    pub fn resume(output: &'a mut Vec<u8>, start: usize) -> Self {
        let protocol = TBinaryOutputProtocol::new(output, true); // no message is begun: it need not be known how
        ReplyWriter { protocol, start }
    }

    pub fn finish_scores(
        mut self,
        origin: &Origin<'_>,
        correlation_id: Option<&str>,
    ) -> thrift::Result<()> {
        self.text(2, origin.model)?;
        self.text(3, origin.variant)?;
        self.text(4, origin.fingerprint)?;
        self.long(5, origin.step)?;
        if let Some(watermark_us) = origin.watermark_us {
            self.long(6, watermark_us)?;
        }
        self.double(7, origin.weights_age_seconds)?;
        self.boolean(8, origin.stale)?;
        if let Some(id) = correlation_id {
            self.text(9, id)?;
        }
        self.stop()?;
        self.finish()
    }

    pub fn fault(output: &'a mut Vec<u8>, header: &Header, fault: &Fault) -> thrift::Result<()> {
        let mut writer = Self::begin(output, header, TMessageType::Reply)?;
        let (id, message) = match fault {
            Fault::NoModelYet(message) => (1, message),
            Fault::UnknownModel(message, _) => (2, message),
            Fault::StaleWeights(message, _) => (3, message),
            Fault::BadRequest(message) => (4, message),
            Fault::Overloaded(message, _) => (5, message),
        };
        writer.field(TType::Struct, id)?;
        writer.text(1, message)?;
        match fault {
            Fault::UnknownModel(_, models) => {
                writer.list(2, TType::String, models.len())?;
                for model in models {
                    writer.protocol.write_string(model)?;
                }
            }
            Fault::StaleWeights(_, seconds) | Fault::Overloaded(_, seconds) => {
                writer.double(2, *seconds)?
            }
            Fault::NoModelYet(_) | Fault::BadRequest(_) => {}
        }
        writer.stop()?;
        writer.finish()
    }

    pub fn status(
        output: &'a mut Vec<u8>,
        header: &Header,
        status: &Status<'_>,
    ) -> thrift::Result<()> {
        let mut writer = Self::begin(output, header, TMessageType::Reply)?;
        writer.field(TType::Struct, 0)?;
        writer.text(1, status.version)?;
        writer.double(2, status.uptime_seconds)?;
        writer.field(TType::I32, 3)?;
        writer.protocol.write_i32(status.connections)?;
        writer.boolean(4, status.draining)?;
        writer.list(5, TType::Struct, status.models.len())?;
        for model in &status.models {
            writer.model(model)?;
        }
        writer.stop()?;
        writer.finish()
    }

    pub fn models(
        output: &'a mut Vec<u8>,
        header: &Header,
        models: &[ModelStatus<'_>],
    ) -> thrift::Result<()> {
        let mut writer = Self::begin(output, header, TMessageType::Reply)?;
        writer.list(0, TType::Struct, models.len())?;
        for model in models {
            writer.model(model)?;
        }
        writer.finish()
    }

    /// Answer what is not in the IDL or could not be read at all.
    pub fn application_error(
        output: &'a mut Vec<u8>,
        header: &Header,
        kind: ApplicationErrorKind,
        message: &str,
    ) -> thrift::Result<()> {
        let mut writer = Self::begin(output, header, TMessageType::Exception)?;
        writer.text(1, message)?;
        writer.field(TType::I32, 2)?;
        writer.protocol.write_i32(kind as i32)?;
        writer.finish()
    }

    fn model(&mut self, status: &ModelStatus<'_>) -> thrift::Result<()> {
        self.text(1, status.model)?;
        self.boolean(2, status.origin.is_some())?;
        if let Some(origin) = &status.origin {
            self.text(3, origin.variant)?;
            self.text(4, origin.fingerprint)?;
            self.long(5, origin.step)?;
            if let Some(watermark_us) = origin.watermark_us {
                self.long(6, watermark_us)?;
            }
            self.double(7, origin.weights_age_seconds)?;
            self.boolean(8, origin.stale)?;
            self.long(9, status.rows)?;
        }
        self.stop()
    }

    /// End the outermost struct and fill in the frame's length.
    fn finish(mut self) -> thrift::Result<()> {
        self.stop()?;
        let output = self.protocol.transport;
        let length = (output.len() - self.start - 4) as u32;
        output[self.start..self.start + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn field(&mut self, kind: TType, id: i16) -> thrift::Result<()> {
        let field = TFieldIdentifier::new::<Option<String>, String, i16>(None, kind, id);
        self.protocol.write_field_begin(&field)
    }

    fn stop(&mut self) -> thrift::Result<()> {
        self.protocol.write_field_stop()
    }

    fn list(&mut self, id: i16, kind: TType, count: usize) -> thrift::Result<()> {
        self.field(TType::List, id)?;
        let list = TListIdentifier::new(kind, count as i32);
        self.protocol.write_list_begin(&list)
    }

    fn text(&mut self, id: i16, text: &str) -> thrift::Result<()> {
        self.field(TType::String, id)?;
        self.protocol.write_string(text)
    }

    fn double(&mut self, id: i16, value: f64) -> thrift::Result<()> {
        self.field(TType::Double, id)?;
        self.protocol.write_double(value)
    }

    fn long(&mut self, id: i16, value: i64) -> thrift::Result<()> {
        self.field(TType::I64, id)?;
        self.protocol.write_i64(value)
    }

    fn boolean(&mut self, id: i16, value: bool) -> thrift::Result<()> {
        self.field(TType::Bool, id)?;
        self.protocol.write_bool(value)
    }
}

impl Sink for ReplyWriter<'_> {
    type Error = thrift::Error;

    fn score(&mut self, score: Score<'_>) -> thrift::Result<()> {
        self.double(1, score.prediction)?;
        self.double(2, score.log_odds)?;
        if let Some(uncertainty) = score.uncertainty {
            self.double(3, uncertainty)?;
        }
        if let Some(contributions) = score.contributions {
            self.list(4, TType::Struct, contributions.len())?;
            for (slot, share) in contributions {
                self.text(1, slot)?;
                self.double(2, *share)?;
                self.stop()?;
            }
        }
        self.stop()
    }

    /// Answer one event with its own error.
    fn refused(&mut self, reason: &str, detail: &str) -> thrift::Result<()> {
        self.field(TType::Struct, 5)?;
        self.text(1, reason)?;
        self.text(2, detail)?;
        self.stop()?;
        self.stop()
    }
}

#[cfg(test)]
#[path = "tests/reply.rs"]
pub(crate) mod tests;
