//! The learner of one partition for Python. Every call works detached from the interpreter.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

use super::learning::{
    Contiguous, Learned, bytes, check_timestamps, contiguous, course_of, dict_of, no_memory,
};
use super::scanning::Plan;
use crate::block::Block;
use crate::codec::Damaged;
use crate::partition::{self, BatchScanner, Delta, Refused};
use crate::records::Records;
use crate::rows::ID_BYTES;
use crate::scan::{Mode, Scanner};
use crate::score_state::ScoreState;
use crate::trainer::Trainer;
use crate::trainer::state::partition_watermark;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(score_state, module)?)?;
    module.add_function(wrap_pyfunction!(blob_watermark, module)?)?;
    module.add_function(wrap_pyfunction!(reserved_rows, module)?)?;
    module.add_class::<PartitionLearner>()?;
    module.add_class::<Batch>()
}

type Values = Vec<Option<PyBackedBytes>>;

/// Ids and what to add to the rows of each, as bytes.
type Deltas = Vec<(Py<PyBytes>, Py<PyBytes>)>;

/// Scanning has a lock of its own: the next batch is scanned while this one is learned.
#[pyclass(frozen)]
pub struct PartitionLearner {
    partition: i32,
    fingerprint: String,
    scanner: Mutex<BatchScanner<Scanner, PyBackedBytes>>,
    trainer: Mutex<Trainer>,
}

#[pyclass(frozen)]
pub struct Batch {
    batch: partition::Batch,
    /// Plan and partition.
    of: (String, i32),
    #[pyo3(get)]
    ids: Vec<Py<PyBytes>>,
}

#[pymethods]
impl Batch {
    #[getter]
    fn events(&self) -> usize {
        self.batch.events
    }

    #[getter]
    fn records(&self) -> usize {
        self.batch.records
    }
}

impl PartitionLearner {
    fn trainer(&self) -> MutexGuard<'_, Trainer> {
        lock(&self.trainer)
    }

    fn records(&self, values: Values, timestamps_ms: Vec<i64>) -> PyResult<Records<PyBackedBytes>> {
        check_timestamps(values.len(), timestamps_ms.len())?;
        Ok(Records {
            partition: self.partition,
            values,
            timestamps_ms,
        })
    }

    fn check(&self, batch: &Batch) -> PyResult<()> {
        let (fingerprint, partition) = (&self.fingerprint, self.partition);
        if batch.of == (fingerprint.clone(), partition) {
            return Ok(());
        }
        let (other, of) = &batch.of;
        Err(PyValueError::new_err(format!(
            "a batch of partition {of} and plan {other}; this learner has {partition} and {fingerprint}"
        )))
    }
}

#[pymethods]
impl PartitionLearner {
    #[new]
    #[pyo3(signature = (plan, *, partition, shards, scan_threads = 1))]
    fn new(
        plan: &Plan,
        partition: i32,
        shards: u32,
        scan_threads: usize,
    ) -> PyResult<PartitionLearner> {
        let (plan, course) = (&plan.plan, course_of(&plan.plan));
        if shards == 0 {
            return Err(PyValueError::new_err("0 shards; at least 1"));
        }
        course.can_share_rows().map_err(PyValueError::new_err)?;
        let mut trainer = Trainer::new(course, 0).map_err(no_memory)?;
        // The window is there from now on, so that learning never lacks the memory for it.
        trainer
            .remember(partition, &Block::default())
            .map_err(no_memory)?;
        let scanner = || Scanner::new(Arc::clone(plan), Mode::Learn);
        let helping = (0..scan_threads).map(|_| scanner());
        let scanner =
            BatchScanner::new(plan.learner(), shards, scanner(), helping).map_err(no_memory)?;
        Ok(PartitionLearner {
            partition,
            fingerprint: plan.fingerprint().to_string(),
            scanner: Mutex::new(scanner),
            trainer: Mutex::new(trainer),
        })
    }

    fn scan(&self, py: Python<'_>, values: Values, timestamps_ms: Vec<i64>) -> PyResult<Batch> {
        let records = self.records(values, timestamps_ms)?;
        let scanned = py.detach(|| lock(&self.scanner).scan(records));
        let batch = scanned.map_err(no_memory)?;
        let ids = batch.ids.iter();
        Ok(Batch {
            ids: ids.map(|ids| id_bytes(py, ids)).collect::<PyResult<_>>()?,
            batch,
            of: (self.fingerprint.clone(), self.partition),
        })
    }

    fn learn(
        &self,
        py: Python<'_>,
        batch: &Batch,
        rows: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<(Learned, Deltas)> {
        self.check(batch)?;
        let rows: Vec<Contiguous> = rows.iter().map(contiguous).collect::<PyResult<_>>()?;
        let rows: Vec<&[u8]> = rows.iter().map(|rows| &**rows).collect();
        let (done, seconds) = py.detach(|| {
            let start = Instant::now();
            let trainer = &mut self.trainer();
            let done = partition::learn(trainer, self.partition, &batch.batch, &rows);
            (done, start.elapsed().as_secs_f64())
        });
        let (learned, deltas) = done.map_err(|refused| match refused {
            Refused::Rows(why) => PyValueError::new_err(why),
            Refused::Memory(error) => no_memory(error),
        })?;
        let deltas = deltas.iter();
        Ok((
            Learned::new(py, learned, seconds)?,
            deltas
                .map(|Delta { ids, values }| Ok((id_bytes(py, ids)?, bytes(py, values))))
                .collect::<PyResult<_>>()?,
        ))
    }

    fn remember(&self, py: Python<'_>, values: Values, timestamps_ms: Vec<i64>) -> PyResult<u64> {
        let records = self.records(values, timestamps_ms)?;
        let mut known = 0;
        let remembered = py.detach(|| {
            let mut trainer = self.trainer();
            lock(&self.scanner).each(records, |block| {
                known += trainer.remember(self.partition, &block)?;
                Ok(Some(block))
            })
        });
        remembered.map(|()| known).map_err(no_memory)
    }

    fn forget(&self, py: Python<'_>) {
        py.detach(|| self.trainer().forget_windows());
    }

    fn state(&self, py: Python<'_>) -> Py<PyBytes> {
        let state = py.detach(|| self.trainer().partition_state());
        bytes(py, &state)
    }

    fn load_state(&self, py: Python<'_>, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let state = contiguous(state)?;
        py.detach(|| self.trainer().load_partition_state(&state))
            .map_err(damaged)
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict_of(py, py.detach(|| self.trainer().metrics()))
    }

    #[getter]
    fn watermark_us(&self, py: Python<'_>) -> i64 {
        py.detach(|| self.trainer().score_state().watermark_us)
    }
}

#[pyfunction]
fn score_state(
    py: Python<'_>,
    plan: &Plan,
    rows: &Bound<'_, PyAny>,
    watermark_us: i64,
) -> PyResult<Py<PyBytes>> {
    let state = partition::score_state(plan.plan.learner(), &contiguous(rows)?, watermark_us)
        .map_err(PyValueError::new_err)?;
    Ok(bytes(py, &state.to_bytes()))
}

#[pyfunction]
fn reserved_rows(py: Python<'_>, score_state: &Bound<'_, PyAny>) -> PyResult<Py<PyBytes>> {
    let state = ScoreState::from_bytes(&contiguous(score_state)?).map_err(damaged)?;
    let rows = state.to_shared_rows().ok_or_else(|| {
        PyValueError::new_err(
            "a base rate that was taken over from another model file is in no row",
        )
    })?;
    let values = rows.map(|row| [row.z.to_le_bytes(), row.n.to_le_bytes()]);
    Ok(bytes(py, values.as_flattened().as_flattened()))
}

#[pyfunction]
fn blob_watermark(state: &Bound<'_, PyAny>) -> PyResult<i64> {
    partition_watermark(&contiguous(state)?).map_err(damaged)
}

fn id_bytes(py: Python<'_>, ids: &[u64]) -> PyResult<Py<PyBytes>> {
    let bytes = PyBytes::new_with(py, ids.len() * ID_BYTES, |bytes| {
        let (each, _) = bytes.as_chunks_mut::<ID_BYTES>();
        for (bytes, id) in each.iter_mut().zip(ids) {
            *bytes = id.to_le_bytes();
        }
        Ok(())
    });
    bytes.map(Bound::unbind)
}

fn damaged(damaged: Damaged) -> PyErr {
    PyValueError::new_err(damaged.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
