//! Challengers for Python. Every call works detached from the interpreter.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

use super::learning::{bytes, check_timestamps, contiguous, course_of, no_memory};
use super::scanning::Plan;
use crate::challengers::{self, Course, Figures, Histogram, SegmentFigures, Settings};
use crate::learner::Records;
use crate::options::OptimizerKind;
use crate::plan;
use crate::scan::{Mode, Scanner};
use crate::scanned::ScannedRange;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Challengers>()?;
    module.add_class::<ComparedBlock>()
}

/// alpha, beta, l1, l2, decay, slots by number (None: all), the first example that is learned.
type Given = (f32, f32, f32, f32, f32, Option<Vec<usize>>, u64);
type Inner = challengers::Challengers<Scanner>;

#[pyclass(frozen)]
pub struct Challengers {
    inner: Mutex<Inner>,
    count: usize,
}

impl Challengers {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, challengers: &[usize]) -> PyResult<()> {
        match challengers.iter().find(|&&at| at >= self.count) {
            Some(at) => Err(PyValueError::new_err(format!(
                "challenger {at} of {}",
                self.count
            ))),
            None => Ok(()),
        }
    }
}

fn settings_of(plan: &plan::Plan, given: Vec<Given>) -> PyResult<Vec<Settings>> {
    let known = plan.slots().len();
    let settings = given.into_iter().map(|one| {
        let (alpha, beta, l1, l2, decay, slots, from) = one;
        let mut options = plan.learner().clone();
        (options.alpha, options.beta) = (alpha, beta);
        (options.l1, options.l2, options.decay) = (l1, l2, decay);
        options.check().map_err(PyValueError::new_err)?;
        let slots = slots.map(|slots| slots_of(slots, known)).transpose()?;
        Ok(Settings {
            options,
            slots,
            from,
        })
    });
    settings.collect()
}

fn slots_of(numbers: Vec<usize>, known: usize) -> PyResult<Vec<bool>> {
    let mut slots = vec![false; known];
    for number in numbers {
        let slot = slots.get_mut(number);
        *slot.ok_or_else(|| PyValueError::new_err(format!("slot {number} of {known}")))? = true;
    }
    Ok(slots)
}

#[pymethods]
impl Challengers {
    #[new]
    #[pyo3(signature = (plan, settings, *, threads = 1, block_examples = 1000, max_rows = None, expected_rows = 0))]
    fn new(
        plan: &Plan,
        settings: Vec<Given>,
        threads: usize,
        block_examples: u64,
        max_rows: Option<usize>,
        expected_rows: usize,
    ) -> PyResult<Challengers> {
        let plan = &plan.plan;
        if settings.is_empty() || threads == 0 || block_examples == 0 {
            return Err(PyValueError::new_err(
                "no challengers, no threads, or blocks of none",
            ));
        }
        if plan.learner().optimizer == OptimizerKind::Counting {
            return Err(PyValueError::new_err("counting has no weights to compare"));
        }
        let settings = settings_of(plan, settings)?;
        let differ = settings.iter().any(|one| one.slots.is_some());
        let mut course = shared_course(plan, block_examples, differ);
        course.table.max_rows = max_rows.unwrap_or(usize::MAX).min(course.table.max_rows);
        let scanners = (0..threads).map(|_| scanner_of(plan, differ)).collect();
        let slots = plan.slots().len();
        let inner = Inner::new(course, &settings, slots, scanners, expected_rows);
        Ok(Challengers {
            inner: Mutex::new(inner.map_err(no_memory)?),
            count: settings.len(),
        })
    }

    fn learn(
        &self,
        py: Python<'_>,
        ranges: Vec<(i32, Vec<Option<PyBackedBytes>>, Vec<i64>)>,
    ) -> PyResult<Vec<ComparedBlock>> {
        let ranges = records_of(ranges)?;
        let done = py.detach(|| self.lock().learn(ranges));
        Ok(blocks(done.map_err(no_memory)?))
    }

    fn learn_scanned(
        &self,
        py: Python<'_>,
        ranges: Vec<(i32, PyBackedBytes)>,
    ) -> PyResult<Vec<ComparedBlock>> {
        let done = py.detach(|| {
            let parsed = ranges
                .iter()
                .map(|(partition, scan)| ScannedRange::parse(*partition, scan))
                .collect::<Result<Vec<_>, _>>();
            parsed
                .map_err(|damaged| damaged.to_string())
                .and_then(|parsed| self.lock().learn_scanned(&parsed))
        });
        done.map(blocks).map_err(PyValueError::new_err)
    }

    fn load_rows(
        &self,
        py: Python<'_>,
        challengers: Vec<usize>,
        before: &Plan,
        rows: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.check(&challengers)?;
        let (rows, before) = (contiguous(rows)?, before.plan.learner());
        let done = py.detach(|| self.lock().load_rows(&challengers, before, &rows));
        done.map_err(PyValueError::new_err)
    }

    fn load_score_state(
        &self,
        py: Python<'_>,
        challengers: Vec<usize>,
        before: &Plan,
        state: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.check(&challengers)?;
        let (state, before) = (contiguous(state)?, before.plan.learner());
        let done = py.detach(|| self.lock().load_score_state(&challengers, before, &state));
        done.map_err(|damaged| PyValueError::new_err(damaged.to_string()))
    }

    fn rows(
        &self,
        py: Python<'_>,
        challenger: usize,
        first: usize,
        count: usize,
    ) -> PyResult<Py<PyBytes>> {
        self.check(&[challenger])?;
        let rows = py.detach(|| self.lock().rows(challenger, first, count));
        Ok(bytes(py, &rows))
    }

    fn score_state(&self, py: Python<'_>, challenger: usize) -> PyResult<Py<PyBytes>> {
        self.check(&[challenger])?;
        let state = py.detach(|| self.lock().score_state(challenger).to_bytes());
        Ok(bytes(py, &state))
    }

    fn begin_histograms(&self, py: Python<'_>) {
        py.detach(|| self.lock().begin_histograms());
    }

    fn histogram(&self, py: Python<'_>, challenger: usize) -> PyResult<Option<HistogramSums>> {
        self.check(&[challenger])?;
        let found = py.detach(|| self.lock().histogram(challenger));
        let sums = |one: Histogram| (one.positives, one.negatives, one.predictions);
        Ok(found.map(sums))
    }

    #[getter]
    fn features(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().lines())
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = py.detach(|| self.lock().counts());
        dict_of_counts(py, counts)
    }
}

/// Sums over the same examples, by challenger.
#[pyclass(frozen, get_all)]
pub struct ComparedBlock {
    first: u64,
    end: u64,
    importance_sum: f64,
    label_sum: f64,
    watermark_us: i64,
    loss_sums: Vec<f64>,
    prediction_sums: Vec<f64>,
    segments: Vec<SegmentSums>,
}

/// Name, examples, importance and loss of each challenger.
type SegmentSums = (Option<String>, u64, f64, Vec<f64>);
type HistogramSums = (Vec<f64>, Vec<f64>, Vec<f64>);

fn blocks(figures: Vec<Figures>) -> Vec<ComparedBlock> {
    let block = |one: Figures| ComparedBlock {
        first: one.common.from,
        end: one.common.to,
        importance_sum: one.common.importance_sum,
        label_sum: one.common.label_sum,
        watermark_us: one.common.watermark_us,
        loss_sums: one.loss,
        prediction_sums: one.prediction,
        segments: one.segments.into_iter().map(segment_sums).collect(),
    };
    figures.into_iter().map(block).collect()
}

fn segment_sums(segment: SegmentFigures) -> SegmentSums {
    let SegmentFigures { name, share, loss } = segment;
    (name, share.examples, share.importance_sum, loss)
}

pub(super) fn shared_course(plan: &plan::Plan, block_examples: u64, slots: bool) -> Course {
    let own = course_of(plan);
    Course {
        table: own.table,
        record_wise: own.record_wise,
        duplicate_window: own.duplicate_window,
        block_examples,
        slots,
        segments: own.judging.segments,
    }
}

pub(super) fn scanner_of(plan: &Arc<plan::Plan>, slots: bool) -> Scanner {
    let scanner = Scanner::new(Arc::clone(plan), Mode::Learn);
    if slots { scanner.with_slots() } else { scanner }
}

pub(super) fn records_of(
    ranges: Vec<(i32, Vec<Option<PyBackedBytes>>, Vec<i64>)>,
) -> PyResult<Vec<Records<PyBackedBytes>>> {
    ranges
        .iter()
        .try_for_each(|(_, values, timestamps)| check_timestamps(values.len(), timestamps.len()))?;
    let range = |(partition, values, timestamps_ms)| Records {
        partition,
        values,
        timestamps_ms,
    };
    Ok(ranges.into_iter().map(range).collect())
}

pub(super) fn dict_of_counts<'py>(
    py: Python<'py>,
    counts: challengers::Counts,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, count) in counts.all() {
        dict.set_item(name, count)?;
    }
    Ok(dict)
}
