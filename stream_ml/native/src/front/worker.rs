//! The answer to one frame; a large call of `score` is answered in pieces.

use std::cell::Cell;
use std::mem::take;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use thrift::ApplicationErrorKind;
use thrift::protocol::TMessageType;

use super::{Front, Served, age_seconds, origin, statuses};
use crate::call::{CallReader, Header, Refused, ScoreArguments, ScoreOptions};
use crate::counters::Outcome;
use crate::limits::Limits;
use crate::noted::{Call, Said};
use crate::replica::Standing;
use crate::reply::{Fault, ReplyWriter, Status};
use crate::score::EventScorer;

/// What comes after an answer, or a piece of one.
pub enum Next {
    /// The connection's next call.
    Call,
    /// The next piece of this call; what others ask is answered before.
    Piece(Box<ScoreCall>),
    /// Nothing: the connection must end.
    Close,
}

/// A call of `score` whose answer is begun; frame and output stay with the connection between two pieces.
pub struct ScoreCall {
    header: Header,
    begun: Begun,
}

/// What was decided before the first event was scored, and how far it is.
struct Begun {
    arguments: ScoreArguments,
    served: Arc<Served>,
    standing: Standing,
    weights_age_seconds: f64,
    /// When, of a call that may be noted.
    at: Option<Instant>,
    /// Where in the output the answer begins.
    start: usize,
    /// How many events are answered.
    answered: usize,
}

/// Answers the frames of one server thread; holds the memory that calls reuse.
pub struct Worker {
    front: Arc<Front>,
    limits: Limits,
    lag: Rc<Cell<Duration>>,
    arguments: ScoreArguments,
    scorers: Vec<(Arc<Served>, EventScorer)>,
}

impl Worker {
    pub fn new(front: Arc<Front>, limits: Limits, lag: Rc<Cell<Duration>>) -> Self {
        Worker {
            front,
            limits,
            lag,
            arguments: ScoreArguments::default(),
            scorers: Vec::new(),
        }
    }

    /// Append the answer to *frame* to *output*, or its first piece.
    pub fn answer(&mut self, frame: &[u8], output: &mut Vec<u8>) -> Next {
        let mut reader = CallReader::new(frame);
        let header = match reader.header() {
            Ok(header) => header,
            Err(error) => {
                self.malformed(&unreadable(), &error.to_string(), output);
                return Next::Close;
            }
        };
        let start = output.len();
        let answered = match (header.kind, header.name.as_str()) {
            (TMessageType::Call, "score") => match self.begin_score(reader, &header, output) {
                Ok(Ok(begun)) => return self.score(ScoreCall { header, begun }, frame, output),
                Ok(Err(outcome)) => Ok(outcome),
                Err(error) => Err(error),
            },
            (TMessageType::Call, "status") => self.status(reader, &header, output),
            (TMessageType::Call, "models") => self.models(reader, &header, output),
            _ => return self.unknown(&header, output),
        };
        match answered {
            Ok(outcome) => self.front.counters.call(outcome),
            Err(error) => {
                output.truncate(start);
                self.malformed(&header, &error.to_string(), output);
            }
        }
        Next::Call
    }

    /// Append the next piece of the answer to *frame*.
    pub fn go_on(&mut self, call: ScoreCall, frame: &[u8], output: &mut Vec<u8>) -> Next {
        self.score(call, frame, output)
    }

    /// Append the answer to a frame that is too large to be read.
    pub fn refuse_frame(&mut self, length: usize, limit: usize, output: &mut Vec<u8>) {
        let message = format!(
            "a frame of {length} bytes, the limit is {limit}: send fewer events in a call, framed"
        );
        self.malformed(&unreadable(), &message, output);
    }

    /// Begin the answer to a call of `score`, or say why there is none.
    fn begin_score(
        &mut self,
        mut reader: CallReader<'_>,
        header: &Header,
        output: &mut Vec<u8>,
    ) -> thrift::Result<Result<Begun, Outcome>> {
        // What is left of the call before is not this one's.
        self.arguments.events.clear();
        self.arguments.options = ScoreOptions::default();
        if let Some(fault) = self.overloaded() {
            return self.refuse(fault, header, output);
        }
        match reader.score_arguments(self.limits.events, &mut self.arguments) {
            Ok(()) => {}
            Err(Refused::Malformed(error)) => return Err(error),
            Err(Refused::BadRequest(why)) => {
                return self.refuse(Fault::BadRequest(why), header, output);
            }
        }
        let options = &self.arguments.options;
        let served = match self.front.find(options.model.as_deref()) {
            Ok(served) => served,
            Err(fault) => return self.refuse(fault, header, output),
        };
        let standing = served.replica.standing();
        let age = age_seconds(&standing);
        if let Some(fault) = too_old(age, options.max_weights_age_seconds) {
            return self.refuse(fault, header, output);
        }
        let at = options.correlation_id.is_some().then(Instant::now);
        let start = output.len();
        ReplyWriter::begin_scores(output, header, self.arguments.events.len())?;
        Ok(Ok(Begun {
            arguments: take(&mut self.arguments),
            served,
            standing,
            weights_age_seconds: age,
            at,
            start,
            answered: 0,
        }))
    }

    /// Answer that there is no score.
    fn refuse(
        &self,
        fault: Fault,
        header: &Header,
        output: &mut Vec<u8>,
    ) -> thrift::Result<Result<Begun, Outcome>> {
        let outcome = fault_reply(output, header, &fault)?;
        self.front.noted.unanswered(|| Call {
            outcome,
            correlation_id: self.arguments.options.correlation_id.clone(),
            events: self.arguments.events.len(),
            said: Said::Fault(fault.message().to_owned()),
        });
        Ok(Err(outcome))
    }

    fn score(&mut self, mut call: ScoreCall, frame: &[u8], output: &mut Vec<u8>) -> Next {
        match self.piece(&mut call.begun, frame, output) {
            Ok(true) => {
                self.front.counters.call(Outcome::Answered);
                if let Some(at) = call.begun.at {
                    self.front.noted.answered(|| answered(&call.begun, at));
                }
                self.arguments = call.begun.arguments;
                Next::Call
            }
            Ok(false) => Next::Piece(Box::new(call)),
            Err(error) => {
                output.truncate(call.begun.start);
                self.malformed(&call.header, &error.to_string(), output);
                Next::Call
            }
        }
    }

    /// Score so many events that they are a turn's bytes, one at least; whether they were the last.
    fn piece(
        &mut self,
        begun: &mut Begun,
        frame: &[u8],
        output: &mut Vec<u8>,
    ) -> thrift::Result<bool> {
        let ScoreArguments { events, options } = &begun.arguments;
        let end = end_of_piece(events, begun.answered, self.limits.turn_bytes);
        let piece = events[begun.answered..end]
            .iter()
            .map(|event| &frame[event.clone()]);
        let mut writer = ReplyWriter::resume(output, begun.start);
        let scorer = scorer_of(&mut self.scorers, &begun.served);
        let tally = scorer.score(piece, options, self.limits.event_bytes, &mut writer)?;
        let counters = &self.front.counters;
        counters.events_scored.fetch_add(tally.scored, Relaxed);
        counters.events_refused.fetch_add(tally.refused, Relaxed);
        begun.answered = end;
        if end < events.len() {
            return Ok(false);
        }
        let origin = origin(&begun.served, &begun.standing, begun.weights_age_seconds);
        writer.finish_scores(&origin, options.correlation_id.as_deref())?;
        Ok(true)
    }

    fn overloaded(&self) -> Option<Fault> {
        let lag = self.lag.get();
        (lag > self.limits.lag).then(|| {
            let seconds = lag.as_secs_f64();
            Fault::Overloaded(
                format!("the server thread is {seconds:.3} s late"),
                2.0 * seconds,
            )
        })
    }

    fn status(
        &mut self,
        mut reader: CallReader<'_>,
        header: &Header,
        output: &mut Vec<u8>,
    ) -> thrift::Result<Outcome> {
        reader.no_arguments()?;
        let models = self.front.read();
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.front.opened.elapsed().as_secs_f64(),
            connections: self.front.counters.connections_open.load(Relaxed) as i32,
            draining: self.front.draining.load(Relaxed),
            models: statuses(&models),
        };
        ReplyWriter::status(output, header, &status)?;
        Ok(Outcome::Answered)
    }

    fn models(
        &mut self,
        mut reader: CallReader<'_>,
        header: &Header,
        output: &mut Vec<u8>,
    ) -> thrift::Result<Outcome> {
        reader.no_arguments()?;
        let models = self.front.read();
        ReplyWriter::models(output, header, &statuses(&models))?;
        Ok(Outcome::Answered)
    }

    fn unknown(&mut self, header: &Header, output: &mut Vec<u8>) -> Next {
        let message = format!(
            "no function {:?} here: see schemas/predictor.thrift",
            header.name
        );
        let kind = ApplicationErrorKind::UnknownMethod;
        self.front.counters.call(Outcome::Malformed);
        match ReplyWriter::application_error(output, header, kind, &message) {
            Ok(()) => Next::Call,
            Err(_) => Next::Close,
        }
    }

    fn malformed(&mut self, header: &Header, message: &str, output: &mut Vec<u8>) {
        self.front.counters.call(Outcome::Malformed);
        let start = output.len();
        let kind = ApplicationErrorKind::ProtocolError;
        if ReplyWriter::application_error(output, header, kind, message).is_err() {
            output.truncate(start);
        }
    }
}

/// Stands in for the header of a frame whose own could not be read.
fn unreadable() -> Header {
    Header {
        name: String::new(),
        kind: TMessageType::Call,
        sequence: 0,
        strict: true,
    }
}

fn too_old(age_seconds: f64, limit_seconds: Option<f64>) -> Option<Fault> {
    let limit = limit_seconds?;
    // Written so that a limit that is not a number refuses too.
    let fresh = age_seconds <= limit;
    (!fresh).then(|| {
        Fault::StaleWeights(
            format!("the weights were learned {age_seconds:.3} s ago, the call allows {limit} s"),
            age_seconds,
        )
    })
}

fn answered(begun: &Begun, at: Instant) -> Call {
    let ScoreArguments { events, options } = &begun.arguments;
    Call {
        outcome: Outcome::Answered,
        correlation_id: options.correlation_id.clone(),
        events: events.len(),
        said: Said::Scores {
            model: begun.served.model.clone(),
            variant: begun.served.variant.clone(),
            step: begun.standing.step,
            seconds: at.elapsed().as_secs_f64(),
        },
    }
}

fn fault_reply(output: &mut Vec<u8>, header: &Header, fault: &Fault) -> thrift::Result<Outcome> {
    ReplyWriter::fault(output, header, fault)?;
    Ok(match fault {
        Fault::NoModelYet(_) => Outcome::NoModelYet,
        Fault::UnknownModel(..) => Outcome::UnknownModel,
        Fault::StaleWeights(..) => Outcome::StaleWeights,
        Fault::BadRequest(_) => Outcome::BadRequest,
        Fault::Overloaded(..) => Outcome::Overloaded,
    })
}

/// Where a piece ends that begins with event *first* and has *bytes* bytes, or one event.
fn end_of_piece(events: &[Range<usize>], first: usize, bytes: usize) -> usize {
    let from = events.get(first).map_or(0, |event| event.start);
    let fitting = events[first..].partition_point(|event| event.end - from <= bytes);
    events.len().min(first + fitting.max(1))
}

/// This thread's scorer for *served*; a new one after a swap.
fn scorer_of<'a>(
    scorers: &'a mut Vec<(Arc<Served>, EventScorer)>,
    served: &Arc<Served>,
) -> &'a mut EventScorer {
    let at = scorers
        .iter()
        .position(|(known, _)| known.model == served.model)
        .unwrap_or(scorers.len());
    let is_current = scorers
        .get(at)
        .is_some_and(|(known, _)| Arc::ptr_eq(known, served));
    if !is_current {
        scorers.truncate(at); // the scorers of other models behind it are made again when they are asked for
        scorers.push((served.clone(), EventScorer::new(served.replica.clone())));
    }
    &mut scorers[at].1
}

#[cfg(test)]
#[path = "../tests/worker.rs"]
pub(crate) mod tests;
