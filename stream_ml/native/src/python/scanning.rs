//! Plans and scans for Python.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

use crate::block::{self, Block, Example};
use crate::hash;
use crate::math::MATH_VERSION;
use crate::plan;
use crate::scan::{Mode, Scanner};

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MATH_VERSION", MATH_VERSION)?;
    module.add_function(wrap_pyfunction!(checksum, module)?)?;
    module.add_class::<Plan>()?;
    module.add_class::<Scan>()?;
    module.add_class::<Refusal>()
}

#[pyfunction]
fn checksum(py: Python<'_>, records: Vec<Option<PyBackedBytes>>) -> u64 {
    py.detach(|| hash::checksum(records.iter().map(|record| record.as_deref())))
}

#[pyclass(frozen)]
pub struct Plan {
    pub plan: Arc<plan::Plan>,
}

#[pymethods]
impl Plan {
    #[new]
    fn new(py: Python<'_>, plan: PyBackedBytes) -> PyResult<Plan> {
        let parsed = py.detach(|| plan::Plan::parse(&plan));
        let plan = Arc::new(parsed.map_err(|error| PyValueError::new_err(error.to_string()))?);
        Ok(Plan { plan })
    }

    #[getter]
    fn fingerprint(&self) -> &str {
        self.plan.fingerprint()
    }

    #[getter]
    fn scan_fingerprint(&self) -> String {
        self.plan.scan_fingerprint()
    }

    #[getter]
    fn source<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.plan.source())
    }

    fn explain<'py>(&self, py: Python<'py>, event: PyBackedBytes) -> PyResult<Bound<'py, PyDict>> {
        let mut scanner = Scanner::new(Arc::clone(&self.plan), Mode::Explain);
        let mut block = Block::default();
        py.detach(|| scanner.scan_record(&event, 0, -1, &mut block));
        if let Some(refusal) = block.refusals.first() {
            return Err(PyValueError::new_err((
                refusal.reason.code(),
                refusal.detail.clone(),
            )));
        }
        let [example] = block.examples[..] else {
            let found = block.examples.len();
            return Err(PyValueError::new_err((
                "invalid_json",
                format!("{found} events where one is asked"),
            )));
        };
        explanation(py, &example, &block, &scanner)
    }

    fn scan(
        &self,
        py: Python<'_>,
        records: Vec<Option<PyBackedBytes>>,
        timestamps_ms: Vec<i64>,
    ) -> PyResult<Scan> {
        if records.len() != timestamps_ms.len() {
            let (records, timestamps) = (records.len(), timestamps_ms.len());
            return Err(PyValueError::new_err(format!(
                "{records} records, {timestamps} timestamps"
            )));
        }
        let block = py.detach(|| {
            let mut block = Block::default();
            let mut scanner = Scanner::new(Arc::clone(&self.plan), Mode::Learn);
            for ((index, record), timestamp_ms) in (0..).zip(&records).zip(timestamps_ms) {
                scanner.scan_record(
                    record.as_deref().unwrap_or_default(),
                    index,
                    timestamp_ms,
                    &mut block,
                );
            }
            block
        });
        Ok(Scan { block })
    }
}

fn explanation<'py>(
    py: Python<'py>,
    example: &Example,
    block: &Block,
    scanner: &Scanner,
) -> PyResult<Bound<'py, PyDict>> {
    let slots = scanner.plan().slots();
    let names = block
        .slots
        .iter()
        .map(|slot| slots[usize::from(*slot)].name.as_str());
    let values = block.ids.iter().zip(&block.values);
    let features: Vec<(&str, &str, u64, f32)> = names
        .zip(scanner.texts())
        .zip(values)
        .map(|((name, text), (id, x))| (name, text.as_str(), *id, *x))
        .collect();
    let explained = PyDict::new(py);
    explained.set_item("label", (!example.label.is_nan()).then_some(example.label))?;
    explained.set_item("importance", example.importance)?;
    explained.set_item(
        "timestamp_us",
        (example.timestamp_us != i64::MIN).then_some(example.timestamp_us),
    )?;
    explained.set_item(
        "event_id",
        (example.event_id != 0).then_some(example.event_id),
    )?;
    explained.set_item(
        "served",
        (!example.served.is_nan()).then_some(example.served),
    )?;
    explained.set_item(
        "label_time_us",
        (example.label_time_us != i64::MIN).then_some(example.label_time_us),
    )?;
    explained.set_item("segment", block.segments.get(0))?;
    explained.set_item("features", features)?;
    Ok(explained)
}

#[pyclass(frozen)]
pub struct Scan {
    block: Block,
}

impl Scan {
    fn column<'py, T: bytemuck::NoUninit>(
        &self,
        py: Python<'py>,
        of: impl Fn(&Example) -> T,
    ) -> Bound<'py, PyBytes> {
        let values: Vec<T> = self.block.examples.iter().map(of).collect();
        PyBytes::new(py, bytemuck::cast_slice(&values))
    }
}

#[pymethods]
impl Scan {
    #[getter]
    fn events(&self) -> usize {
        self.block.examples.len()
    }

    #[getter]
    fn record<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.column(py, |example| example.record)
    }

    #[getter]
    fn index<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.column(py, |example| example.index)
    }

    #[getter]
    fn label<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.column(py, |example| example.label)
    }

    #[getter]
    fn importance<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.column(py, |example| example.importance)
    }

    #[getter]
    fn served<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.column(py, |example| example.served)
    }

    #[getter]
    fn timestamp_us<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.column(py, |example| example.timestamp_us)
    }

    #[getter]
    fn label_time_us<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.column(py, |example| example.label_time_us)
    }

    #[getter]
    fn event_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.column(py, |example| example.event_id)
    }

    #[getter]
    fn offsets<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let offsets: Vec<u32> = [0]
            .into_iter()
            .chain(self.block.examples.iter().map(|example| example.end))
            .collect();
        PyBytes::new(py, bytemuck::cast_slice(&offsets))
    }

    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, bytemuck::cast_slice(&self.block.ids))
    }

    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, bytemuck::cast_slice(&self.block.values))
    }

    #[getter]
    fn skipped(&self) -> u64 {
        self.block.skipped
    }

    #[getter]
    fn empty(&self) -> u64 {
        self.block.empty
    }

    #[getter]
    fn refused(&self) -> Vec<Refusal> {
        self.block
            .refusals
            .iter()
            .map(|refusal| Refusal::new(0, refusal))
            .collect()
    }
}

/// One event that was not learned.
#[pyclass(frozen, get_all)]
pub struct Refusal {
    partition: i32,
    record: u32,
    index: u32,
    start: u32,
    end: u32,
    reason: &'static str,
    detail: String,
}

impl Refusal {
    pub fn new(partition: i32, refusal: &block::Refusal) -> Refusal {
        Refusal {
            partition,
            record: refusal.record,
            index: refusal.index,
            start: refusal.start,
            end: refusal.end,
            reason: refusal.reason.code(),
            detail: refusal.detail.clone(),
        }
    }
}
