//! Learning with shared rows, for Python. Every call works detached from the interpreter.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

use super::learning::{Learned, bytes, course_of, no_memory};
use super::scanning::Plan;
use crate::learner;
use crate::partition::{self, Additions};
use crate::rows::Row;
use crate::scan::{Mode, Scanner};
use crate::score_state::RESERVED;
use crate::trainer::Trainer;
use crate::trainer::state::partition_watermark;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(score_state, module)?)?;
    module.add_function(wrap_pyfunction!(blob_watermark, module)?)?;
    module.add_class::<PartitionLearner>()?;
    module.add_class::<Batch>()
}

type Inner = partition::PartitionLearner<Scanner, PyBackedBytes>;

#[pyclass(frozen)]
struct PartitionLearner {
    inner: Mutex<Inner>,
}

#[pyclass(frozen)]
struct Batch {
    inner: partition::Batch,
}

#[pymethods]
impl Batch {
    #[getter]
    fn ids(&self, py: Python<'_>) -> Vec<Py<PyBytes>> {
        let every = self.inner.ids.iter();
        every.map(|ids| bytes(py, &id_bytes(ids))).collect()
    }

    #[getter]
    fn events(&self) -> usize {
        self.inner.events
    }

    #[getter]
    fn records(&self) -> usize {
        self.inner.records
    }
}

impl PartitionLearner {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Trainer) -> T + Send) -> T {
        py.detach(|| work(self.lock().trainer_mut()))
    }
}

#[pymethods]
impl PartitionLearner {
    #[new]
    #[pyo3(signature = (plan, *, partition, shards, scan_threads = 1))]
    fn new(
        plan: &Plan,
        partition: i32,
        shards: usize,
        scan_threads: usize,
    ) -> PyResult<PartitionLearner> {
        let plan = &plan.plan;
        if shards == 0 {
            return Err(PyValueError::new_err("shards: there is one at least"));
        }
        let table = plan.table();
        if table.expire_after_seconds.is_some() || table.expire_below > 0.0 {
            return Err(PyValueError::new_err(
                "expire_after_seconds, expire_below: rows that learners share do not expire",
            ));
        }
        let trainer = Trainer::new(course_of(plan), 0).map_err(no_memory)?;
        let scanner = || Scanner::new(Arc::clone(plan), Mode::Learn);
        let helping = (0..scan_threads).map(|_| scanner());
        let inner = learner::Learner::new(trainer, scanner(), helping).map_err(no_memory)?;
        Ok(PartitionLearner {
            inner: Mutex::new(partition::PartitionLearner::new(partition, shards, inner)),
        })
    }

    fn scan(
        &self,
        py: Python<'_>,
        values: Vec<Option<PyBackedBytes>>,
        timestamps_ms: Vec<i64>,
    ) -> PyResult<Batch> {
        check_sizes(&values, &timestamps_ms)?;
        let scanned = py.detach(|| self.lock().scan(values, timestamps_ms));
        Ok(Batch {
            inner: scanned.map_err(no_memory)?,
        })
    }

    #[allow(clippy::type_complexity)]
    fn learn(
        &self,
        py: Python<'_>,
        batch: &Batch,
        rows: Vec<PyBackedBytes>,
    ) -> PyResult<(Learned, Vec<(Py<PyBytes>, Py<PyBytes>)>)> {
        let batch = &batch.inner;
        let pulled = parse_pulled(batch, &rows)?;
        let (done, seconds) = py.detach(|| {
            let start = Instant::now();
            let done = self.lock().learn(batch, &pulled);
            (done, start.elapsed().as_secs_f64())
        });
        let (learned, additions) = done.map_err(no_memory)?;
        let additions = additions.iter().map(|added| additions_of(py, added));
        Ok((Learned::new(py, learned, seconds)?, additions.collect()))
    }

    fn remember(
        &self,
        py: Python<'_>,
        values: Vec<Option<PyBackedBytes>>,
        timestamps_ms: Vec<i64>,
    ) -> PyResult<u64> {
        check_sizes(&values, &timestamps_ms)?;
        py.detach(|| self.lock().remember(values, timestamps_ms))
            .map_err(no_memory)
    }

    fn forget(&self, py: Python<'_>) {
        self.with(py, Trainer::forget_windows);
    }

    fn state(&self, py: Python<'_>) -> Py<PyBytes> {
        bytes(py, &self.with(py, |trainer| trainer.partition_state()))
    }

    fn load_state(&self, py: Python<'_>, state: PyBackedBytes) -> PyResult<()> {
        let loaded = self.with(py, |trainer| trainer.load_partition_state(&state));
        loaded.map_err(|damaged| PyValueError::new_err(damaged.to_string()))
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let figures = self.with(py, |trainer| trainer.metrics());
        let metrics = PyDict::new(py);
        figures
            .into_iter()
            .try_for_each(|(name, value)| metrics.set_item(name, value))?;
        Ok(metrics)
    }

    #[getter]
    fn watermark_us(&self, py: Python<'_>) -> i64 {
        self.with(py, |trainer| trainer.score_state().watermark_us)
    }
}

#[pyfunction]
fn score_state(
    py: Python<'_>,
    plan: &Plan,
    rows: PyBackedBytes,
    watermark_us: i64,
) -> PyResult<Py<PyBytes>> {
    let rows = parse_rows(&rows)?;
    let reserved: [Row; RESERVED] = rows
        .try_into()
        .map_err(|rows: Vec<Row>| PyValueError::new_err(format!("{} reserved rows", rows.len())))?;
    let state = partition::score_state_of(plan.plan.learner(), reserved, watermark_us);
    Ok(bytes(py, &state.to_bytes()))
}

#[pyfunction]
fn blob_watermark(state: PyBackedBytes) -> PyResult<i64> {
    partition_watermark(&state).map_err(|damaged| PyValueError::new_err(damaged.to_string()))
}

fn check_sizes(values: &[Option<PyBackedBytes>], timestamps_ms: &[i64]) -> PyResult<()> {
    let (values, timestamps) = (values.len(), timestamps_ms.len());
    if values == timestamps {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "{values} values, {timestamps} timestamps"
    )))
}

fn parse_pulled(batch: &partition::Batch, rows: &[PyBackedBytes]) -> PyResult<Vec<Vec<Row>>> {
    let pulled: Vec<Vec<Row>> = rows
        .iter()
        .map(|rows| parse_rows(rows))
        .collect::<PyResult<_>>()?;
    let sizes = || pulled.iter().map(Vec::len);
    if !sizes().eq(batch.ids.iter().map(Vec::len)) {
        return Err(PyValueError::new_err(format!(
            "rows by shard: {:?}, the batch wants {:?}",
            sizes().collect::<Vec<_>>(),
            batch.ids.iter().map(Vec::len).collect::<Vec<_>>()
        )));
    }
    Ok(pulled)
}

/// z and n, float32 each, little-endian.
fn parse_rows(bytes: &[u8]) -> PyResult<Vec<Row>> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let float = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    let rows: Vec<Row> = chunks
        .iter()
        .map(|chunk| Row {
            z: float(&chunk[..4]),
            n: float(&chunk[4..]),
        })
        .collect();
    let sound = |row: &Row| row.z.is_finite() && row.n.is_finite() && row.n >= 0.0;
    if !rest.is_empty() || !rows.iter().all(sound) {
        return Err(PyValueError::new_err(
            "rows: z and n, float32 each, are wanted; n is not negative",
        ));
    }
    Ok(rows)
}

fn additions_of(py: Python<'_>, added: &Additions) -> (Py<PyBytes>, Py<PyBytes>) {
    let deltas: Vec<u8> = added
        .deltas
        .iter()
        .flat_map(|row| [row.z.to_le_bytes(), row.n.to_le_bytes()])
        .flatten()
        .collect();
    (bytes(py, &id_bytes(&added.ids)), bytes(py, &deltas))
}

fn id_bytes(ids: &[u64]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}
