//! A few calls a second that the log is to name, so that a caller's correlation id is found again.

use std::mem::take;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::counters::Outcome;

/// What there is to say of a call of `score`.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub outcome: Outcome,
    pub correlation_id: Option<String>,
    pub events: usize,
    pub said: Said,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Who answered, as of which step, and how long that took.
    Scores {
        model: String,
        variant: String,
        step: i64,
        seconds: f64,
    },
    /// Why there is no score.
    Fault(String),
}

/// Calls until somebody takes them; beyond a number they are forgotten, for a busy port should not notice.
#[derive(Default)]
pub struct Noted {
    answered: Kept,
    unanswered: Kept,
}

impl Noted {
    pub fn answered(&self, call: impl FnOnce() -> Call) {
        self.answered.note(call);
    }

    pub fn unanswered(&self, call: impl FnOnce() -> Call) {
        self.unanswered.note(call);
    }

    /// Return the calls since the last time, and let *most* of each kind be noted until the next.
    pub fn take(&self, most: usize) -> Vec<Call> {
        let mut calls = self.unanswered.take(most);
        calls.extend(self.answered.take(most));
        calls
    }
}

#[derive(Default)]
struct Kept {
    room: AtomicUsize,
    calls: Mutex<Vec<Call>>,
}

impl Kept {
    fn note(&self, call: impl FnOnce() -> Call) {
        let one_less = |room: usize| room.checked_sub(1);
        if self.room.fetch_update(Relaxed, Relaxed, one_less).is_ok() {
            let call = call();
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push(call);
        }
    }

    fn take(&self, most: usize) -> Vec<Call> {
        let calls = take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        self.room.store(most, Relaxed);
        calls
    }
}

#[cfg(test)]
#[path = "tests/noted.rs"]
mod tests;
