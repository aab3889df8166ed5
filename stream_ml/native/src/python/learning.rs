//! The learner for Python. Every call works detached from the interpreter.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use xxhash_rust::xxh3::xxh3_64;

use super::scanning::{Plan, Refusal};
use crate::block::Block;
use crate::codec::{Damaged, Pieces, Written};
use crate::learner::{self, Records, Scan};
use crate::plan::LearnAfter;
use crate::rows::{parse_ids, push_row};
use crate::scan::{Mode, Scanner};
use crate::scanned::{ScannedRange, Writer};
use crate::trainer::{Course, Trainer};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Learner>()?;
    module.add_class::<Learned>()?;
    module.add_class::<Cut>()?;
    module.add_class::<Seal>()?;
    module.add_class::<StatePieces>()
}

impl Scan for Scanner {
    fn scan_record(&mut self, record: &[u8], index: u32, timestamp_ms: i64, block: &mut Block) {
        Scanner::scan_record(self, record, index, timestamp_ms, block);
    }
}

/// A range as Python gives it: partition, values, timestamps.
type Range = (i32, Vec<Option<PyBackedBytes>>, Vec<i64>);

/// A range that was scanned before: partition, what was kept.
type Kept = (i32, PyBackedBytes);

type Inner = learner::Learner<Scanner, PyBackedBytes>;

#[pyclass(frozen)]
pub struct Learner {
    inner: Mutex<Inner>,
}

impl Learner {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learn, detached, and say for Python what was done.
    fn timed<'py>(
        &self,
        py: Python<'py>,
        learn: impl FnOnce(&mut Inner) -> Result<std::io::Result<learner::Learned>, Damaged> + Send,
    ) -> PyResult<Learned> {
        let (done, seconds) = py.detach(|| {
            let start = Instant::now();
            let done = learn(&mut self.lock());
            (done, start.elapsed().as_secs_f64())
        });
        let done = done.map_err(|damaged| PyValueError::new_err(damaged.to_string()))?;
        Learned::new(py, done.map_err(no_memory)?, seconds)
    }

    /// Work on the trainer, detached.
    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Trainer) -> T + Send) -> T {
        py.detach(|| work(&mut self.lock().trainer))
    }
}

pub(super) fn course_of(plan: &crate::plan::Plan) -> Course {
    Course {
        fingerprint: plan.fingerprint().to_string(),
        options: plan.learner().clone(),
        table: *plan.table(),
        record_wise: plan.events().learn_after == LearnAfter::Record,
        duplicate_window: plan.events().duplicate_window as usize,
        judging: Arc::new(plan.judging()),
    }
}

#[pymethods]
impl Learner {
    #[new]
    #[pyo3(signature = (plan, *, scan_threads = 1, expected_rows = 0, waiting_labels = None))]
    fn new(
        plan: &Plan,
        scan_threads: usize,
        expected_rows: usize,
        waiting_labels: Option<usize>,
    ) -> PyResult<Learner> {
        let plan = &plan.plan;
        let mut trainer = Trainer::new(course_of(plan), expected_rows).map_err(no_memory)?;
        if let Some(most) = waiting_labels {
            trainer.wait_for_labels(most);
        }
        let scanner = || Scanner::new(Arc::clone(plan), Mode::Learn);
        let helping = (0..scan_threads).map(|_| scanner());
        let inner = Inner::new(trainer, scanner(), helping).map_err(no_memory)?;
        Ok(Learner {
            inner: Mutex::new(inner),
        })
    }

    #[pyo3(signature = (ranges, *, keep_scans = false))]
    fn learn(&self, py: Python<'_>, ranges: Vec<Range>, keep_scans: bool) -> PyResult<Learned> {
        let ranges: Vec<_> = ranges
            .into_iter()
            .map(|(partition, values, timestamps_ms)| Records {
                partition,
                values,
                timestamps_ms,
            })
            .collect();
        ranges.iter().try_for_each(|range| {
            check_timestamps(range.values.len(), range.timestamps_ms.len())
        })?;
        self.timed(py, |learner| {
            Ok(if keep_scans {
                learner.learn_and_keep(ranges)
            } else {
                learner.learn(ranges)
            })
        })
    }

    fn learn_scanned(&self, py: Python<'_>, ranges: Vec<Kept>) -> PyResult<Learned> {
        self.timed(py, |learner| {
            let parsed: Vec<_> = ranges
                .iter()
                .map(|(partition, scan)| ScannedRange::parse(*partition, scan))
                .collect::<Result<_, _>>()?;
            Ok(learner.learn_scanned(&parsed))
        })
    }

    fn learn_waiting(&self, py: Python<'_>) -> PyResult<Learned> {
        self.timed(py, |learner| Ok(learner.learn_waiting()))
    }

    fn cut(&self, py: Python<'_>) -> Cut {
        let (rows, removed, state) = self.with(py, |trainer| {
            let (rows, removed) = trainer.table_mut().cut();
            (rows, removed, trainer.score_state().to_bytes())
        });
        Cut {
            rows: bytes(py, &rows),
            removed: bytes(py, &removed),
            score_state: bytes(py, &state),
        }
    }

    fn begin_image(&self, py: Python<'_>) {
        self.with(py, |trainer| trainer.table_mut().begin_image());
    }

    fn take_image(&self, py: Python<'_>, max_rows: usize) -> Py<PyBytes> {
        let rows = self.with(py, |trainer| trainer.table_mut().take_image(max_rows));
        bytes(py, &rows)
    }

    fn seal_image(&self, py: Python<'_>) -> Seal {
        let (sealed, state, score_state) = self.with(py, |trainer| {
            let sealed = trainer.table_mut().seal_image();
            (sealed, trainer.state(), trainer.score_state().to_bytes())
        });
        Seal {
            rows: bytes(py, &sealed.rows),
            removed: bytes(py, &sealed.removed),
            written: Arc::new(state),
            score_state: bytes(py, &score_state),
            total_rows: sealed.total_rows,
            rows_hash: sealed.rows_hash,
        }
    }

    fn load_rows(&self, py: Python<'_>, rows: &Bound<'_, PyAny>) -> PyResult<()> {
        let rows = contiguous(rows)?;
        let loaded = self.with(py, |trainer| trainer.table_mut().load(&rows));
        loaded.map_err(PyValueError::new_err)
    }

    fn load_removed(&self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<()> {
        let ids = parse_ids(&contiguous(ids)?).map_err(PyValueError::new_err)?;
        self.with(py, |trainer| {
            ids.iter().for_each(|&id| trainer.table_mut().drop_row(id))
        });
        Ok(())
    }

    fn load_state(&self, py: Python<'_>, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let state = contiguous(state)?;
        let loaded = self.with(py, |trainer| trainer.load_state(&state));
        loaded.map_err(|damaged| PyValueError::new_err(damaged.to_string()))
    }

    fn load_score_state(&self, py: Python<'_>, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let state = contiguous(state)?;
        let loaded = self.with(py, |trainer| trainer.load_score_state(&state));
        loaded.map_err(|damaged| PyValueError::new_err(damaged.to_string()))
    }

    fn remember(
        &self,
        py: Python<'_>,
        partition: i32,
        values: Vec<Option<PyBackedBytes>>,
        timestamps_ms: Vec<i64>,
    ) -> PyResult<u64> {
        let records = Records {
            partition,
            values,
            timestamps_ms,
        };
        py.detach(|| self.lock().remember(records))
            .map_err(no_memory)
    }

    fn forget(&self, py: Python<'_>) {
        self.with(py, Trainer::forget_windows);
    }

    #[pyo3(signature = (before, state, *, same_ids, same_times))]
    fn begin_with(
        &self,
        py: Python<'_>,
        before: &Plan,
        state: &Bound<'_, PyAny>,
        same_ids: bool,
        same_times: bool,
    ) -> PyResult<()> {
        let (state, before) = (contiguous(state)?, course_of(&before.plan));
        let begun = self.with(py, |trainer| {
            trainer.begin_with(&before, &state, same_ids, same_times)
        });
        begun.map_err(|damaged| PyValueError::new_err(damaged.to_string()))
    }

    fn begin_variant(&self, py: Python<'_>) {
        self.with(py, |trainer| trainer.begin_variant());
    }

    fn lookup(&self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<Py<PyBytes>> {
        let ids = parse_ids(&contiguous(ids)?).map_err(PyValueError::new_err)?;
        let rows = self.with(py, |trainer| {
            let mut rows = Vec::new();
            for &id in &ids {
                push_row(&mut rows, id, trainer.table().get(id).unwrap_or_default());
            }
            rows
        });
        Ok(bytes(py, &rows))
    }

    fn digest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (rows, rows_hash, state_hash) = self.with(py, |trainer| {
            let table = trainer.table();
            (table.len(), table.hash(), xxh3_64(&trainer.state_bytes()))
        });
        let digest = PyDict::new(py);
        digest.set_item("rows", rows)?;
        digest.set_item("rows_hash", rows_hash)?;
        digest.set_item("state_hash", state_hash)?;
        Ok(digest)
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict_of(py, self.with(py, |trainer| trainer.metrics()))
    }

    #[getter]
    fn watermark_us(&self, py: Python<'_>) -> i64 {
        self.with(py, |trainer| trainer.score_state().watermark_us)
    }
}

#[pyclass(frozen, get_all)]
pub struct Learned {
    learned: u64,
    duplicates: u64,
    skipped: u64,
    empty: u64,
    refused: Vec<Py<Refusal>>,
    evaluations: Vec<Py<PyBytes>>,
    scans: Vec<Py<PyBytes>>,
    seconds: f64,
}

impl Learned {
    pub(super) fn new(py: Python<'_>, done: learner::Learned, seconds: f64) -> PyResult<Learned> {
        let refused = done
            .refused
            .iter()
            .map(|(partition, refusal)| Py::new(py, Refusal::new(*partition, refusal)))
            .collect::<PyResult<_>>()?;
        let scans = done.scans.into_iter().map(Writer::finish);
        Ok(Learned {
            learned: done.learned,
            duplicates: done.duplicates,
            skipped: done.skipped,
            empty: done.empty,
            refused,
            evaluations: done
                .evaluations
                .iter()
                .map(|json| bytes(py, json))
                .collect(),
            scans: scans.map(|scan| bytes(py, &scan)).collect(),
            seconds,
        })
    }
}

#[pyclass(frozen, get_all)]
pub struct Cut {
    rows: Py<PyBytes>,
    removed: Py<PyBytes>,
    score_state: Py<PyBytes>,
}

#[pyclass(frozen)]
pub struct Seal {
    #[pyo3(get)]
    rows: Py<PyBytes>,
    #[pyo3(get)]
    removed: Py<PyBytes>,
    #[pyo3(get)]
    score_state: Py<PyBytes>,
    #[pyo3(get)]
    total_rows: usize,
    #[pyo3(get)]
    rows_hash: u64,
    written: Arc<Written>,
}

#[pymethods]
impl Seal {
    #[getter]
    fn state(&self, py: Python<'_>) -> Py<PyBytes> {
        bytes(py, &py.detach(|| self.written.to_bytes()))
    }

    fn state_pieces(&self) -> StatePieces {
        let pieces = Pieces::of(Shared(Arc::clone(&self.written)));
        StatePieces {
            pieces: Mutex::new(pieces),
        }
    }
}

struct Shared(Arc<Written>);

impl AsRef<Written> for Shared {
    fn as_ref(&self) -> &Written {
        &self.0
    }
}

#[pyclass(frozen)]
pub struct StatePieces {
    pieces: Mutex<Pieces<Shared>>,
}

#[pymethods]
impl StatePieces {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> Option<Py<PyBytes>> {
        let lock = || self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        py.detach(|| lock().next()).map(|piece| bytes(py, &piece))
    }
}

/// Bytes of an argument: `bytes` as they are, anything else with a buffer (memoryview, bytearray) as a copy.
pub(super) enum Contiguous {
    Shared(PyBackedBytes),
    Copied(Vec<u8>),
}

impl std::ops::Deref for Contiguous {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Contiguous::Shared(bytes) => bytes,
            Contiguous::Copied(bytes) => bytes,
        }
    }
}

pub(super) fn contiguous(data: &Bound<'_, PyAny>) -> PyResult<Contiguous> {
    match data.extract::<PyBackedBytes>() {
        Ok(bytes) => Ok(Contiguous::Shared(bytes)),
        Err(_) => Ok(Contiguous::Copied(
            PyBuffer::<u8>::get(data)?.to_vec(data.py())?,
        )),
    }
}

pub(super) fn check_timestamps(values: usize, timestamps: usize) -> PyResult<()> {
    if values == timestamps {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "{values} values, {timestamps} timestamps"
    )))
}

pub(super) fn dict_of(py: Python<'_>, figures: Vec<(String, f64)>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    figures
        .into_iter()
        .try_for_each(|(name, value)| dict.set_item(name, value))?;
    Ok(dict)
}

pub(super) fn bytes(py: Python<'_>, data: &[u8]) -> Py<PyBytes> {
    PyBytes::new(py, data).unbind()
}

pub(super) fn no_memory(error: std::io::Error) -> PyErr {
    PyMemoryError::new_err(format!("no memory for a learner: {error}"))
}
