//! Which models are served, and the answer to one frame.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thrift::ApplicationErrorKind;
use thrift::protocol::TMessageType;

use crate::call::{CallReader, Header, Refused, ScoreArguments, echoed};
use crate::counters::{Counters, Outcome};
use crate::limits::Limits;
use crate::replica::{Replica, Standing};
use crate::reply::{Fault, ModelStatus, Origin, ReplyWriter, Status};
use crate::score::EventScorer;

/// A variant as it is served.
pub struct Served {
    pub model: String,
    pub variant: String,
    pub replica: Arc<Replica>,
    stale: AtomicBool,
}

/// The models by name; None while a model is waited for.
type Models = BTreeMap<String, Option<Arc<Served>>>;

/// What all server threads share.
pub struct Front {
    models: RwLock<Models>,
    /// Variants swapped out: kept until no thread scores with them, so that none of those has to free gigabytes.
    retired: Mutex<Vec<Arc<Served>>>,
    draining: AtomicBool,
    opened: Instant,
    pub counters: Counters,
}

impl Default for Front {
    fn default() -> Self {
        Front {
            models: RwLock::default(),
            retired: Mutex::default(),
            draining: AtomicBool::new(false),
            opened: Instant::now(),
            counters: Counters::default(),
        }
    }
}

impl Front {
    /// Say that *model* is waited for: asked for it, the answer is "no model yet".
    pub fn expect(&self, model: &str) {
        self.change(|models| {
            models.entry(model.to_owned()).or_default();
        });
    }

    /// Swap in *replica*, whole; a call that began before is answered by the one before.
    pub fn serve(&self, model: &str, variant: &str, replica: Arc<Replica>) {
        replica.set_live();
        let served = Served {
            model: model.to_owned(),
            variant: variant.to_owned(),
            replica,
            stale: AtomicBool::new(false),
        };
        let before = self.change(|models| models.insert(model.to_owned(), Some(Arc::new(served))));
        self.free_retired(before.flatten());
    }

    /// Free what nothing scores with any more; called by whoever is not a server thread.
    pub fn free_retired(&self, newly: Option<Arc<Served>>) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.extend(newly);
        retired.retain(|served| Arc::strong_count(served) > 1);
    }

    pub fn mark_stale(&self, model: &str, stale: bool) {
        if let Some(Some(served)) = self.read().get(model) {
            served.stale.store(stale, Relaxed);
        }
    }

    pub fn set_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Models> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<R>(&self, change: impl FnOnce(&mut Models) -> R) -> R {
        change(&mut self.models.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, model: Option<&str>) -> Result<Arc<Served>, Fault> {
        let models = self.read();
        let (name, entry) = match model {
            Some(name) => match models.get_key_value(name) {
                Some(found) => found,
                None if models.is_empty() => return Err(no_model_yet(echoed(name))),
                None => return Err(unknown_model(name, &models)),
            },
            None if models.len() > 1 => return Err(several_models(&models)),
            None => match models.iter().next() {
                Some(only) => only,
                None => return Err(no_model_yet("any model")),
            },
        };
        entry.clone().ok_or_else(|| no_model_yet(name))
    }
}

fn no_model_yet(name: &str) -> Fault {
    Fault::NoModelYet(format!(
        "{name} has no weights yet: is a learner running, and has it learned anything and taken a snapshot?"
    ))
}

fn unknown_model(name: &str, models: &Models) -> Fault {
    let names: Vec<String> = models.keys().cloned().collect();
    Fault::UnknownModel(
        format!(
            "no model {:?} here; served: {}",
            echoed(name),
            names.join(", ")
        ),
        names,
    )
}

fn several_models(models: &Models) -> Fault {
    let names: Vec<&str> = models.keys().map(String::as_str).collect();
    Fault::BadRequest(format!(
        "several models are served: name one of {}",
        names.join(", ")
    ))
}

fn origin<'a>(served: &'a Served, standing: &Standing) -> Origin<'a> {
    Origin {
        model: &served.model,
        variant: &served.variant,
        fingerprint: served.replica.fingerprint(),
        step: standing.step,
        watermark_us: standing.watermark_us,
        weights_age_seconds: (unix_seconds() - standing.learned_at).max(0.0),
        stale: served.stale.load(Relaxed),
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// Whether a connection may go on after an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Call,
    Close,
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

    /// Append the answer to *frame* to *output*.
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
            (TMessageType::Call, "score") => self.score(reader, &header, frame, output),
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

    /// Append the answer to a frame that is too large to be read.
    pub fn refuse_frame(&mut self, length: usize, limit: usize, output: &mut Vec<u8>) {
        let message = format!(
            "a frame of {length} bytes, the limit is {limit}: send fewer events in a call, framed"
        );
        self.malformed(&unreadable(), &message, output);
    }

    fn score(
        &mut self,
        mut reader: CallReader<'_>,
        header: &Header,
        frame: &[u8],
        output: &mut Vec<u8>,
    ) -> thrift::Result<Outcome> {
        if let Some(fault) = self.overloaded() {
            return fault_reply(output, header, &fault);
        }
        match reader.score_arguments(self.limits.events, &mut self.arguments) {
            Ok(()) => {}
            Err(Refused::Malformed(error)) => return Err(error),
            Err(Refused::BadRequest(why)) => {
                return fault_reply(output, header, &Fault::BadRequest(why));
            }
        }
        let options = &self.arguments.options;
        let served = match self.front.find(options.model.as_deref()) {
            Ok(served) => served,
            Err(fault) => return fault_reply(output, header, &fault),
        };
        let standing = served.replica.standing();
        let origin = origin(&served, &standing);
        if let Some(fault) = too_old(origin.weights_age_seconds, options.max_weights_age_seconds) {
            return fault_reply(output, header, &fault);
        }
        let scorer = scorer_of(&mut self.scorers, &served);
        let mut writer = ReplyWriter::begin_scores(output, header, self.arguments.events.len())?;
        let events = self
            .arguments
            .events
            .iter()
            .map(|event| &frame[event.clone()]);
        let tally = scorer.score(events, options, self.limits.event_bytes, &mut writer)?;
        writer.finish_scores(&origin, options.correlation_id.as_deref())?;
        let counters = &self.front.counters;
        counters.events_scored.fetch_add(tally.scored, Relaxed);
        counters.events_refused.fetch_add(tally.refused, Relaxed);
        Ok(Outcome::Answered)
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

fn statuses(models: &Models) -> Vec<ModelStatus<'_>> {
    models
        .iter()
        .map(|(model, served)| ModelStatus {
            model,
            origin: served
                .as_ref()
                .map(|served| origin(served, &served.replica.standing())),
            rows: served
                .as_ref()
                .map_or(0, |served| served.replica.rows() as i64),
        })
        .collect()
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
#[path = "tests/front.rs"]
mod tests;
