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
pub(crate) mod tests {
    use std::sync::atomic::AtomicBool;

    use serde_json::json;

    use super::*;
    use crate::rows::{Row, push_row};

    /// A category, a number and a set; no hyper-parameter is one that hides a mistake.
    pub fn plan() -> Arc<Plan> {
        let source = json!({
            "format": 1, "math": 1, "name": "m", "fields": [["y"], ["c"], ["x"], ["w"]],
            "event_id": null, "timestamp": null, "label": ["number", 0], "importance": null,
            "served": null, "learn_after": "event", "unlabelled": "refuse",
            "max_skew_seconds": 60.0, "duplicate_window": 10, "evaluate_every": 10,
            "slots": [
                {"name": "c", "kind": "category", "seed": "0000000000000001", "expr": ["text", 1]},
                {"name": "x", "kind": "number", "seed": "0000000000000002", "expr": ["number", 2]},
                {"name": "w", "kind": "set", "seed": "0000000000000003", "expr": ["words", ["text", 3]]},
            ],
            "learner": {"loss": "logistic", "optimizer": "ftrl", "alpha": 0.25, "beta": 0.5, "l1": 0.125,
                "l2": 0.75, "base_rate": 0.2, "base_rate_events": 1000}
        });
        Arc::new(Plan::parse(source.to_string().as_bytes()).unwrap())
    }

    pub fn rows(rows: &[(u64, f32, f32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (id, z, n) in rows {
            push_row(&mut bytes, *id, Row { z: *z, n: *n });
        }
        bytes
    }

    pub fn state() -> ScoreState {
        let mut state = ScoreState::new(plan().learner());
        state.bias = Row { z: -1.5, n: 2.25 };
        state.watermark_us = 1_700_000_000_000_000;
        state
    }

    fn replica() -> Replica {
        Replica::new(plan(), 0).unwrap()
    }

    #[test]
    fn a_delta_is_absolute_and_may_be_applied_twice() {
        let replica = replica();
        replica
            .load_rows(&rows(&[(1, 1.0, 1.0), (2, 2.0, 2.0)]))
            .unwrap();
        for _ in 0..2 {
            let removed = 2u64.to_le_bytes();
            let changed = rows(&[(1, -3.0, 4.0), (5, 0.5, 0.25)]);
            replica
                .apply(&changed, &removed, &state().to_bytes(), 7, 123.0)
                .unwrap();
            let weights = replica.read();
            assert_eq!(weights.table.len(), 2);
            assert_eq!(weights.table.get(1), Some(Row { z: -3.0, n: 4.0 }));
            assert_eq!(weights.table.get(2), None);
            assert_eq!(weights.state, state());
        }
        let standing = replica.standing();
        assert_eq!((standing.step, standing.learned_at), (7, 123.0));
        assert_eq!(standing.watermark_us, Some(1_700_000_000_000_000));
    }

    #[test]
    fn a_damaged_delta_touches_nothing() {
        let replica = replica();
        let good = rows(&[(1, 1.0, 1.0)]);
        replica
            .apply(&good, &[], &state().to_bytes(), 3, 1.0)
            .unwrap();
        let before = (replica.read().table.hash(), replica.standing());
        let mut damaged_state = state().to_bytes();
        damaged_state[9] ^= 1;
        let changed = rows(&[(1, 9.0, 9.0)]);
        let not_finite = rows(&[(1, 9.0, 9.0), (2, f32::NAN, 1.0)]);
        for (rows, removed, state) in [
            (&changed[..15], &[][..], state().to_bytes()),
            (&not_finite[..], &[][..], state().to_bytes()),
            (&changed[..], &[0; 7][..], state().to_bytes()),
            (&changed[..], &[][..], damaged_state),
        ] {
            assert!(replica.apply(rows, removed, &state, 4, 2.0).is_err());
            assert_eq!((replica.read().table.hash(), replica.standing()), before);
        }
    }

    #[test]
    fn a_heartbeat_makes_the_rows_younger_and_never_older() {
        let replica = replica();
        replica
            .apply(&[], &[], &state().to_bytes(), 3, 100.0)
            .unwrap();
        replica.confirm(101.0);
        replica.confirm(99.0);
        assert_eq!(replica.standing().learned_at, 101.0);
    }

    #[test]
    fn readers_meet_a_whole_row_and_the_step_moves_last() {
        let replica = Arc::new(replica());
        replica.set_live();
        let ended = Arc::new(AtomicBool::new(false));
        let reader = std::thread::spawn({
            let (replica, ended) = (replica.clone(), ended.clone());
            move || {
                while !ended.load(Relaxed) {
                    let weights = replica.read();
                    let step = weights.standing.step as f32;
                    for id in [1, 700, 1500] {
                        let Some(row) = weights.table.get(id) else {
                            continue;
                        };
                        assert_eq!(row.z, row.n, "z and n were written together");
                        assert!(row.z >= step, "what the step promises is there");
                    }
                }
            }
        });
        for step in 1..=20 {
            let value = step as f32;
            let all: Vec<_> = (1..=1500).map(|id| (id, value, value)).collect();
            replica
                .apply(&rows(&all), &[], &state().to_bytes(), step, 0.0)
                .unwrap();
        }
        ended.store(true, Relaxed);
        reader.join().unwrap();
    }
}
