//! What a client of the front may ask of it.

use std::time::Duration;

/// The limits of a front; each holds before memory is spent.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    pub connections: usize,
    pub frame_bytes: usize,
    pub events: usize,
    pub event_bytes: usize,
    /// Of all connections together: incomplete frames and answers not taken yet, beyond a free share each.
    pub buffered_bytes: usize,
    /// Of one connection, calls and their answers, before others get their turn; one event at least.
    pub turn_bytes: usize,
    /// Between calls.
    pub idle: Duration,
    /// From a frame's first byte to its last, and for taking an answer.
    pub transfer: Duration,
    /// Score calls are shed while the server thread is this late.
    pub lag: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 1024,
            frame_bytes: 8 << 20,
            events: 1000,
            event_bytes: 1 << 20,
            buffered_bytes: 48 << 20,
            turn_bytes: 64 << 10,
            idle: Duration::from_secs(600),
            transfer: Duration::from_secs(10),
            lag: Duration::from_millis(250),
        }
    }
}
