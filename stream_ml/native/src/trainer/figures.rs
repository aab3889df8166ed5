//! What a learner counts, and all its figures by name.

use super::Trainer;
use crate::codec::{Damaged, Reader};
use crate::evaluation::Evaluation;

/// Totals since the variant began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub records: u64,
    pub learned: u64,
    pub duplicates: u64,
    pub refused: u64,
    pub skipped: u64,
    pub empty: u64,
}

impl Counters {
    const NAMES: [&str; 6] = [
        "records",
        "learned",
        "duplicates",
        "refused",
        "skipped",
        "empty",
    ];

    pub(super) fn all(&self) -> [u64; 6] {
        [
            self.records,
            self.learned,
            self.duplicates,
            self.refused,
            self.skipped,
            self.empty,
        ]
    }

    pub(super) fn read(reader: &mut Reader) -> Result<Counters, Damaged> {
        Ok(Counters {
            records: reader.u64()?,
            learned: reader.u64()?,
            duplicates: reader.u64()?,
            refused: reader.u64()?,
            skipped: reader.u64()?,
            empty: reader.u64()?,
        })
    }
}

impl Trainer {
    /// Totals since the variant began; a figure that does not exist yet is NaN.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let mut metrics: Vec<(String, f64)> = Counters::NAMES
            .iter()
            .zip(self.counters.all())
            .map(|(name, count)| (name.to_string(), count as f64))
            .collect();
        let Evaluation {
            progressive,
            served,
        } = self.evaluations.total();
        for (prefix, tally) in [("", progressive), ("served_", served)] {
            let figures = tally.figures();
            metrics.extend(figures.map(|(name, figure)| (format!("{prefix}{name}"), figure)));
        }
        let expired = self.expiry.as_ref().map_or(0, |expiry| expiry.dropped);
        let table = [
            ("rows", self.table.len() as f64),
            ("rows_refused", self.table.refused as f64),
            ("rows_not_admitted", self.table.not_admitted as f64),
            ("rows_expired", expired as f64),
            ("table_bytes", self.table.bytes() as f64),
            ("evaluations", self.evaluations.index as f64),
        ];
        let late = self.late.iter().flat_map(|late| {
            let (waiting, early) = (late.waiting() as f64, late.early as f64);
            [("labels_waiting", waiting), ("labels_early", early)]
        });
        let others = table.into_iter().chain(late);
        metrics.extend(others.map(|(name, figure)| (name.to_string(), figure)));
        metrics
    }
}
