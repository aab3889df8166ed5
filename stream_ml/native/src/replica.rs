//! A model being served: rows, score state and plan; readers score while one writer applies deltas.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::codec::Damaged;
use crate::plan::Plan;
use crate::rows::{ROW_BYTES, parse_ids, parse_rows};
use crate::score_state::ScoreState;
use crate::table::{MAX_ROWS, Table};

/// Rows put in while scoring waits: some 10 µs.
const ROWS_A_LOCK: usize = 256;
/// Between two such chunks of a replica that is served, so that a large delta takes a small part of a shared core:
/// 256 rows each 60 µs and more are 2–4 M rows/s at most.
const PAUSE: Duration = Duration::from_micros(60);

/// Where a replica stands; all of it as of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    pub step: i64,
    pub watermark_us: Option<i64>,
    /// Unix seconds.
    pub learned_at: f64,
}

/// What a score is computed from, under one lock.
pub struct Weights {
    pub table: Table,
    pub state: ScoreState,
    standing: Standing,
}

pub struct Replica {
    plan: Arc<Plan>,
    weights: RwLock<Weights>,
    /// Held for a whole delta, so that two writers cannot mix theirs.
    writer: Mutex<()>,
    live: AtomicBool,
}

impl Replica {
    /// Raises what the system says when it has no address space.
    pub fn new(plan: Arc<Plan>, expected_rows: usize) -> io::Result<Self> {
        let weights = Weights {
            table: Table::new(MAX_ROWS, expected_rows)?,
            state: ScoreState::new(plan.learner()),
            standing: Standing {
                step: 0,
                watermark_us: None,
                learned_at: 0.0,
            },
        };
        Ok(Replica {
            plan,
            weights: RwLock::new(weights),
            writer: Mutex::new(()),
            live: AtomicBool::new(false),
        })
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub fn fingerprint(&self) -> &str {
        self.plan.fingerprint()
    }

    pub fn standing(&self) -> Standing {
        self.read().standing
    }

    pub fn rows(&self) -> usize {
        self.read().table.len()
    }

    /// Whether a score would come from anything but the model file: else all its batches were refused, or none came.
    pub fn has_learned(&self) -> bool {
        let weights = self.read();
        !weights.table.is_empty() || weights.state.has_learned()
    }

    /// Say that scores are taken from it: from now on deltas leave room for them.
    pub fn set_live(&self) {
        self.live.store(true, Relaxed);
    }

    pub fn read(&self) -> RwLockReadGuard<'_, Weights> {
        self.weights.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Weights> {
        self.weights.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Put rows in absolutely, in the wire format; nothing is touched if one is damaged.
    pub fn load_rows(&self, rows: &[u8]) -> Result<(), Damaged> {
        check(rows)?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(rows);
        Ok(())
    }

    /// Take rows out, by their ids in the wire format.
    pub fn load_removed(&self, removed: &[u8]) -> Result<(), Damaged> {
        let removed = parse_ids(removed).map_err(Damaged)?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.remove(&removed);
        Ok(())
    }

    /// Apply one whole delta; nothing is touched if a part of it is damaged.
    pub fn apply(
        &self,
        rows: &[u8],
        removed: &[u8],
        score_state: &[u8],
        step: i64,
        learned_at: f64,
    ) -> Result<(), Damaged> {
        check(rows)?;
        let removed = parse_ids(removed).map_err(Damaged)?;
        let state = ScoreState::from_bytes(score_state)?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(rows);
        self.remove(&removed);
        let mut weights = self.write();
        weights.standing = Standing {
            step,
            watermark_us: (state.watermark_us != i64::MIN).then_some(state.watermark_us),
            learned_at,
        };
        weights.state = state;
        Ok(())
    }

    /// Say that at *learned_at* these rows were still the newest.
    pub fn confirm(&self, learned_at: f64) {
        let standing = &mut self.write().standing;
        standing.learned_at = standing.learned_at.max(learned_at);
    }

    fn put(&self, rows: &[u8]) {
        self.change(|table| table.make_room(rows));
        let mut batch = Vec::with_capacity(ROWS_A_LOCK);
        let mut ids = Vec::with_capacity(ROWS_A_LOCK);
        for chunk in rows.chunks(ROWS_A_LOCK * ROW_BYTES) {
            batch.clear();
            batch.extend(parse_rows(chunk).flatten());
            ids.clear();
            ids.extend(batch.iter().map(|(id, _)| *id));
            self.change(|table| {
                table.prefetch(&ids);
                for (id, row) in &batch {
                    table.put(*id, *row);
                }
            });
        }
    }

    fn remove(&self, removed: &[u64]) {
        for chunk in removed.chunks(ROWS_A_LOCK) {
            self.change(|table| chunk.iter().for_each(|id| table.drop_row(*id)));
        }
    }

    /// Change the table while scoring waits, then let it go on.
    fn change(&self, change: impl FnOnce(&mut Table)) {
        change(&mut self.write().table);
        if self.live.load(Relaxed) {
            std::thread::sleep(PAUSE);
        }
    }
}

fn check(rows: &[u8]) -> Result<(), Damaged> {
    parse_rows(rows)
        .try_for_each(|row| row.map(drop))
        .map_err(Damaged)
}

#[cfg(test)]
#[path = "tests/replica.rs"]
pub(crate) mod tests;
