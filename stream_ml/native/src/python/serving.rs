//! Replicas and the Thrift front for Python.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyDict, PyList};

use crate::call::ScoreOptions;
use crate::counters::LATENCY_BOUNDS_US;
use crate::noted::{Call, Said};
use crate::score::{EventScorer, Score, Sink};
use crate::server::{Limits, Server};
use crate::{front, replica};

use super::learning::contiguous;
use super::scanning::Plan;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Replica>()?;
    module.add_class::<Front>()
}

fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

#[pyclass(frozen)]
struct Replica {
    inner: Arc<replica::Replica>,
    /// Taken only while detached.
    scorer: Mutex<EventScorer>,
}

#[pymethods]
impl Replica {
    #[new]
    #[pyo3(signature = (plan, *, expected_rows = 0))]
    fn new(plan: &Plan, expected_rows: usize) -> PyResult<Self> {
        let inner = Arc::new(replica::Replica::new(plan.plan.clone(), expected_rows)?);
        let scorer = Mutex::new(EventScorer::new(inner.clone()));
        Ok(Replica { inner, scorer })
    }

    fn load_rows(&self, py: Python<'_>, rows: &Bound<'_, PyAny>) -> PyResult<()> {
        let rows = contiguous(rows)?;
        py.detach(|| self.inner.load_rows(&rows))
            .map_err(value_error)
    }

    fn load_removed(&self, py: Python<'_>, removed: &Bound<'_, PyAny>) -> PyResult<()> {
        let removed = contiguous(removed)?;
        py.detach(|| self.inner.load_removed(&removed))
            .map_err(value_error)
    }

    fn apply(
        &self,
        py: Python<'_>,
        rows: &Bound<'_, PyAny>,
        removed: &Bound<'_, PyAny>,
        score_state: PyBackedBytes,
        step: i64,
        learned_at: f64,
    ) -> PyResult<()> {
        let (rows, removed) = (contiguous(rows)?, contiguous(removed)?);
        let (rows, removed) = (&rows, &removed);
        py.detach(|| {
            self.inner
                .apply(rows, removed, &score_state, step, learned_at)
        })
        .map_err(value_error)
    }

    fn confirm(&self, py: Python<'_>, learned_at: f64) {
        py.detach(|| self.inner.confirm(learned_at));
    }

    #[pyo3(signature = (events, *, uncertainty = false, contributions = false))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        events: Vec<PyBackedBytes>,
        uncertainty: bool,
        contributions: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let options = ScoreOptions {
            uncertainty,
            contributions,
            ..ScoreOptions::default()
        };
        let scores = py.detach(|| {
            let mut scores = Collected(Vec::with_capacity(events.len()));
            let events = events.iter().map(|event| &event[..]);
            let mut scorer = self.scorer.lock().unwrap_or_else(PoisonError::into_inner);
            let Ok(_) = scorer.score(events, &options, usize::MAX, &mut scores);
            scores.0
        });
        let scores: PyResult<Vec<_>> = scores.iter().map(|score| score.to_dict(py)).collect();
        PyList::new(py, scores?)
    }

    fn digest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (rows, hash) = py.detach(|| {
            let weights = self.inner.read();
            (weights.table.len(), weights.table.hash())
        });
        let digest = PyDict::new(py);
        digest.set_item("rows", rows)?;
        digest.set_item("rows_hash", hash)?;
        digest.set_item("step", self.inner.standing().step)?;
        Ok(digest)
    }

    #[getter]
    fn step(&self) -> i64 {
        self.inner.standing().step
    }

    #[getter]
    fn rows(&self) -> usize {
        self.inner.rows()
    }

    #[getter]
    fn has_learned(&self) -> bool {
        self.inner.has_learned()
    }

    #[getter]
    fn learned_at(&self) -> f64 {
        self.inner.standing().learned_at
    }

    #[getter]
    fn watermark_us(&self) -> Option<i64> {
        self.inner.standing().watermark_us
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        self.inner.fingerprint()
    }
}

/// The results of a call, kept until the GIL is held again.
struct Collected(Vec<Outcome>);

enum Outcome {
    Scored {
        prediction: f64,
        log_odds: f64,
        uncertainty: Option<f64>,
        contributions: Option<Vec<(String, f64)>>,
    },
    Refused(String, String),
}

impl Sink for Collected {
    type Error = Infallible;

    fn score(&mut self, score: Score<'_>) -> Result<(), Infallible> {
        let named = |shares: &[(&str, f64)]| {
            shares
                .iter()
                .map(|(slot, share)| ((*slot).to_owned(), *share))
                .collect()
        };
        self.0.push(Outcome::Scored {
            prediction: score.prediction,
            log_odds: score.log_odds,
            uncertainty: score.uncertainty,
            contributions: score.contributions.map(named),
        });
        Ok(())
    }

    fn refused(&mut self, reason: &str, detail: &str) -> Result<(), Infallible> {
        self.0
            .push(Outcome::Refused(reason.to_owned(), detail.to_owned()));
        Ok(())
    }
}

impl Outcome {
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        match self {
            Outcome::Scored {
                prediction,
                log_odds,
                uncertainty,
                contributions,
            } => {
                dict.set_item("prediction", prediction)?;
                dict.set_item("log_odds", log_odds)?;
                if let Some(uncertainty) = uncertainty {
                    dict.set_item("uncertainty", uncertainty)?;
                }
                if let Some(contributions) = contributions {
                    dict.set_item("contributions", contributions.clone())?;
                }
            }
            Outcome::Refused(reason, detail) => dict.set_item("error", (reason, detail))?,
        }
        Ok(dict)
    }
}

#[pyclass(frozen)]
struct Front {
    inner: Arc<front::Front>,
    server: Server,
}

#[pymethods]
impl Front {
    #[new]
    #[pyo3(signature = (host, port, *, threads = 1, limits = None))]
    fn new(
        host: &str,
        port: u16,
        threads: usize,
        limits: Option<HashMap<String, f64>>,
    ) -> PyResult<Self> {
        let limits = limits_from(limits.unwrap_or_default())?;
        let inner = Arc::new(front::Front::default());
        let server = Server::start((host, port), threads, limits, inner.clone())
            .map_err(|error| PyOSError::new_err(format!("{host}:{port}: {error}")))?;
        Ok(Front { inner, server })
    }

    #[getter]
    fn port(&self) -> u16 {
        self.server.port()
    }

    fn expect(&self, model: &str) {
        self.inner.expect(model);
    }

    fn serve(&self, py: Python<'_>, model: &str, variant: &str, replica: &Replica) {
        py.detach(|| self.inner.serve(model, variant, replica.inner.clone()));
    }

    fn mark_stale(&self, model: &str, stale: bool) {
        self.inner.mark_stale(model, stale);
    }

    fn drain(&self, py: Python<'_>, timeout_seconds: f64) -> PyResult<bool> {
        let timeout = Duration::try_from_secs_f64(timeout_seconds).map_err(value_error)?;
        self.inner.set_draining();
        Ok(py.detach(|| self.server.drain(timeout)))
    }

    fn take_calls<'py>(&self, py: Python<'py>, most: usize) -> PyResult<Bound<'py, PyList>> {
        let calls: PyResult<Vec<_>> = self
            .inner
            .noted
            .take(most)
            .iter()
            .map(|call| noted(py, call))
            .collect();
        PyList::new(py, calls?)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        py.detach(|| self.inner.free_retired(None));
        let counters = &self.inner.counters;
        let (buckets, sum_seconds) = counters.latencies();
        let bounds: Vec<f64> = LATENCY_BOUNDS_US
            .iter()
            .map(|us| *us as f64 / 1e6)
            .collect();
        let stats = PyDict::new(py);
        stats.set_item("calls", counters.calls().collect::<HashMap<_, _>>())?;
        stats.set_item("closed", counters.closures().collect::<HashMap<_, _>>())?;
        stats.set_item("events_scored", counters.events_scored.load(Relaxed))?;
        stats.set_item("events_refused", counters.events_refused.load(Relaxed))?;
        stats.set_item(
            "connections_accepted",
            counters.connections_accepted.load(Relaxed),
        )?;
        stats.set_item("connections_open", counters.connections_open.load(Relaxed))?;
        stats.set_item("latency_bounds_seconds", bounds)?;
        stats.set_item("latency_buckets", buckets)?;
        stats.set_item("latency_sum_seconds", sum_seconds)?;
        Ok(stats)
    }
}

fn noted<'py>(py: Python<'py>, call: &Call) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("outcome", call.outcome.name())?;
    dict.set_item("correlation_id", &call.correlation_id)?;
    dict.set_item("events", call.events)?;
    match &call.said {
        Said::Scores {
            model,
            variant,
            step,
            seconds,
        } => {
            dict.set_item("model", model)?;
            dict.set_item("variant", variant)?;
            dict.set_item("step", step)?;
            dict.set_item("seconds", seconds)?;
        }
        Said::Fault(why) => dict.set_item("reason", why)?,
    }
    Ok(dict)
}

fn limits_from(given: HashMap<String, f64>) -> PyResult<Limits> {
    let mut limits = Limits::default();
    for (name, value) in given {
        let duration = || Duration::try_from_secs_f64(value).map_err(value_error);
        match name.as_str() {
            "connections" => limits.connections = value as usize,
            "frame_bytes" => limits.frame_bytes = value as usize,
            "events" => limits.events = value as usize,
            "event_bytes" => limits.event_bytes = value as usize,
            "buffered_bytes" => limits.buffered_bytes = value as usize,
            "turn_bytes" => limits.turn_bytes = value as usize,
            "idle_seconds" => limits.idle = duration()?,
            "transfer_seconds" => limits.transfer = duration()?,
            "lag_seconds" => limits.lag = duration()?,
            _ => return Err(PyValueError::new_err(format!("unknown limit {name:?}"))),
        }
    }
    Ok(limits)
}
