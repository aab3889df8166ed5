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
fn steps_of_refused_events_are_nothing_learned_and_a_bias_alone_is_something() {
    let replica = replica();
    let untouched = ScoreState::new(plan().learner());
    replica
        .apply(&[], &[], &untouched.to_bytes(), 4, 1.0)
        .unwrap();
    assert!(!replica.has_learned());
    replica
        .apply(&[], &[], &state().to_bytes(), 5, 2.0)
        .unwrap();
    assert!(replica.has_learned() && replica.rows() == 0);
}

#[test]
fn rows_of_a_seed_are_something_learned() {
    let replica = replica();
    replica.load_rows(&rows(&[(1, 1.0, 1.0)])).unwrap();
    assert!(replica.has_learned());
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
