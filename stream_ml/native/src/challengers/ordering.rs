//! The order in which challengers learn, and the line of each feature, for arithmetic that runs elsewhere (a GPU).

use crate::challengers::index::{Counts, Course, Index};
pub use crate::challengers::work::{Act, Op, Work};
use crate::pipeline::Job;
use crate::records::{Records, Scan};

pub struct Ordering<S> {
    scanner: S,
    index: Index,
}

impl<S: Scan> Ordering<S> {
    pub fn new(course: Course, scanner: S, most_rows: usize) -> std::io::Result<Ordering<S>> {
        let index = Index::new(course, most_rows, 0)?;
        Ok(Ordering { scanner, index })
    }

    /// What is to be done with these records, in order.
    pub fn order<R: AsRef<[u8]>>(&mut self, ranges: Vec<Records<R>>) -> std::io::Result<Work> {
        let partitions: Vec<i32> = ranges.iter().map(|range| range.partition).collect();
        let records = ranges.iter().map(|range| range.values.len()).sum();
        let Ordering { scanner, index } = self;
        let mut work = Work::default();
        Job::new(ranges, Vec::new()).each_block(scanner, |range, block| {
            index.add(partitions[range], &block, &mut work)?;
            Ok(Some(block))
        })?;
        index.count_records(records);
        index.closed.clear();
        Ok(work)
    }

    /// Names of segments by place, so far; None where the model has none.
    pub fn segments(&self) -> Option<&[String]> {
        self.index.has_segments().then(|| self.index.names.all())
    }

    pub fn counts(&self) -> Counts {
        self.index.counts
    }

    pub fn watermark_us(&self) -> i64 {
        self.index.watermark_us
    }

    /// Feature ids by line, of which line 0 has none.
    pub fn ids(&self) -> &[u64] {
        self.index.ids()
    }

    /// The line of an id that has a row already; None if there is no room.
    pub fn put(&mut self, id: u64) -> Option<usize> {
        self.index.put(id)
    }
}
