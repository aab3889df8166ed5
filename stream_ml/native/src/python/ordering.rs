//! The order of challengers' learning for Python, for arithmetic that runs elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

use super::challengers::{dict_of_counts, records_of, scanner_of, shared_course};
use super::learning::{bytes, contiguous, no_memory};
use super::scanning::Plan;
use crate::challengers::ordering::{self, Act, Op, Work};
use crate::evaluation::NAMED;
use crate::scan::Scanner;

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Ordering>()?;
    module.add_class::<Ordered>()
}

#[pyclass(frozen)]
pub struct Ordering {
    inner: Mutex<ordering::Ordering<Scanner>>,
}

impl Ordering {
    fn lock(&self) -> MutexGuard<'_, ordering::Ordering<Scanner>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Ordering {
    #[new]
    #[pyo3(signature = (plan, *, slots = false))]
    fn new(plan: &Plan, slots: bool) -> PyResult<Ordering> {
        let plan = &plan.plan;
        let course = shared_course(plan, u64::MAX, slots);
        let scanner = scanner_of(plan, slots);
        let inner = ordering::Ordering::new(course, scanner, course.table.max_rows);
        Ok(Ordering {
            inner: Mutex::new(inner.map_err(no_memory)?),
        })
    }

    fn order(
        &self,
        py: Python<'_>,
        ranges: Vec<(i32, Vec<Option<PyBackedBytes>>, Vec<i64>)>,
    ) -> PyResult<Ordered> {
        let ranges = records_of(ranges)?;
        let work = py.detach(|| self.lock().order(ranges));
        Ok(Ordered {
            work: work.map_err(no_memory)?,
        })
    }

    fn put(&self, py: Python<'_>, ids: &Bound<'_, PyAny>) -> PyResult<Py<PyBytes>> {
        let ids = crate::rows::parse_ids(&contiguous(ids)?).map_err(PyValueError::new_err)?;
        let lines: Option<Vec<u32>> = py.detach(|| {
            let mut inner = self.lock();
            ids.iter()
                .map(|&id| inner.put(id).map(|line| line as u32))
                .collect()
        });
        let lines = lines.ok_or_else(|| PyValueError::new_err("there is no room for the rows"))?;
        Ok(bytes(py, bytemuck::cast_slice(&lines)))
    }

    #[getter]
    fn ids(&self, py: Python<'_>) -> Py<PyBytes> {
        let ids = py.detach(|| self.lock().ids().to_vec());
        bytes(py, bytemuck::cast_slice(&ids))
    }

    #[getter]
    fn features(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().ids().len() - 1)
    }

    #[getter]
    fn segments(&self, py: Python<'_>) -> Option<Vec<String>> {
        py.detach(|| self.lock().segments().map(<[_]>::to_vec))
    }

    #[getter]
    fn watermark_us(&self, py: Python<'_>) -> i64 {
        py.detach(|| self.lock().watermark_us())
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = py.detach(|| self.lock().counts());
        dict_of_counts(py, counts)
    }
}

/// What is to be done with examples, as columns.
#[pyclass(frozen)]
pub struct Ordered {
    work: Work,
}

impl Ordered {
    fn column<T: bytemuck::NoUninit>(&self, py: Python<'_>, of: impl Fn(&Op) -> T) -> Py<PyBytes> {
        let values: Vec<T> = self.work.ops.iter().map(of).collect();
        bytes(py, bytemuck::cast_slice(&values))
    }
}

#[pymethods]
impl Ordered {
    #[getter]
    fn judges(&self, py: Python<'_>) -> Py<PyBytes> {
        self.column(py, |op| u8::from(op.act != Act::Learn))
    }

    #[getter]
    fn learns(&self, py: Python<'_>) -> Py<PyBytes> {
        self.column(py, |op| u8::from(op.act != Act::Judge))
    }

    #[getter]
    fn first(&self, py: Python<'_>) -> Py<PyBytes> {
        self.column(py, |op| op.first)
    }

    #[getter]
    fn end(&self, py: Python<'_>) -> Py<PyBytes> {
        self.column(py, |op| op.end)
    }

    #[getter]
    fn label(&self, py: Python<'_>) -> Py<PyBytes> {
        self.column(py, |op| op.label)
    }

    #[getter]
    fn importance(&self, py: Python<'_>) -> Py<PyBytes> {
        self.column(py, |op| op.importance)
    }

    #[getter]
    fn number(&self, py: Python<'_>) -> Py<PyBytes> {
        self.column(py, |op| op.number)
    }

    #[getter]
    fn segments(&self, py: Python<'_>) -> Py<PyBytes> {
        self.column(py, |op| op.segment.unwrap_or(NAMED as u8))
    }

    #[getter]
    fn lines(&self, py: Python<'_>) -> Py<PyBytes> {
        bytes(py, bytemuck::cast_slice(&self.work.lines))
    }

    #[getter]
    fn values(&self, py: Python<'_>) -> Py<PyBytes> {
        bytes(py, bytemuck::cast_slice(&self.work.values))
    }

    #[getter]
    fn slots(&self, py: Python<'_>) -> Py<PyBytes> {
        bytes(py, bytemuck::cast_slice(&self.work.slots))
    }
}
