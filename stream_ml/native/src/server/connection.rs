//! A connection: cuts frames, answers in order, and holds no more than its share.
//!
//! What a readable burst holds is answered in one write.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::counters::Closed;
use crate::front::{Front, Next, Worker};
use crate::limits::Limits;

/// Room made for each read; what an idle connection costs.
const READ_BYTES: usize = 16 * 1024;
/// What a connection may hold without being charged for it.
const FREE_BYTES: usize = 2 * READ_BYTES;
/// Memory for answers that an idle connection keeps.
const KEPT_BYTES: usize = 256 * 1024;
/// A drained connection that is between calls is read for this long once more, for calls already on the wire.
const DRAIN_GRACE: Duration = Duration::from_millis(20);
/// How long the bytes of a refused frame are read and thrown away, so that the refusal is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);

/// When draining must be over, once it has begun.
pub(super) type Draining = watch::Receiver<Option<Instant>>;

pub(super) struct Shared {
    pub(super) front: Arc<Front>,
    pub(super) limits: Limits,
    pub(super) buffered: AtomicUsize,
}

/// Wait until draining begins; returns when it must be over.
pub(super) async fn deadline(mut draining: Draining) -> Instant {
    match draining.wait_for(Option::is_some).await {
        Ok(deadline) => deadline.unwrap_or_else(Instant::now),
        Err(_) => Instant::now(), // the server is gone
    }
}

pub(super) fn admit(
    stream: TcpStream,
    shared: &Arc<Shared>,
    worker: &Rc<RefCell<Worker>>,
) -> Option<Connection> {
    let counters = &shared.front.counters;
    counters.connections_accepted.fetch_add(1, Relaxed);
    let open = counters.connections_open.fetch_add(1, Relaxed);
    let connection = Connection {
        stream,
        shared: shared.clone(),
        worker: worker.clone(),
        input: Vec::new(),
        output: Vec::new(),
        charged: 0,
    };
    if open >= shared.limits.connections as i64 {
        counters.closed(Closed::TooManyConnections);
        return None;
    }
    // Without it an answer can wait for the acknowledgement of the one before.
    connection.stream.set_nodelay(true).ok()?;
    Some(connection)
}

pub(super) struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
    worker: Rc<RefCell<Worker>>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// What this connection has taken of the shared buffer budget.
    charged: usize,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.buffered.fetch_sub(self.charged, Relaxed);
        self.shared
            .front
            .counters
            .connections_open
            .fetch_sub(1, Relaxed);
    }
}

impl Connection {
    /// Answer calls until the client leaves, breaks a limit, or the server drains.
    pub(super) async fn converse(mut self, draining: Draining) {
        if let Err(Some(why)) = self.bursts(draining).await {
            self.shared.front.counters.closed(why);
        }
    }

    /// Ends with the reason if it is we who end it, with None if the client does.
    async fn bursts(&mut self, draining: Draining) -> Result<(), Option<Closed>> {
        // The last answer, or the first byte of a frame that is not whole yet.
        let mut since = Instant::now();
        let mut closing_at = None;
        let mut drained = pin!(deadline(draining));
        // Set anew only when it rings or must ring earlier: most reads end long before.
        let mut alarm = pin!(sleep_until(since + self.shared.limits.idle));
        loop {
            self.make_room();
            let between_calls = self.input.is_empty();
            let deadline = match closing_at {
                Some(at) if between_calls && at <= Instant::now() => return Ok(()),
                Some(at) if between_calls => at,
                None if between_calls => since + self.shared.limits.idle,
                _ => since + self.shared.limits.transfer,
            };
            if alarm.deadline() > deadline {
                alarm.as_mut().reset(deadline);
            }
            tokio::select! {
                biased;
                _ = &mut drained, if closing_at.is_none() => {
                    closing_at = Some(Instant::now() + DRAIN_GRACE);
                    continue;
                }
                read = self.stream.read_buf(&mut self.input) => match read {
                    Ok(1..) => {}
                    _ => return Err(None),
                },
                () = &mut alarm => {
                    if Instant::now() < deadline {
                        alarm.as_mut().reset(deadline);
                        continue;
                    }
                    return match closing_at {
                        _ if !between_calls => Err(Some(Closed::SlowFrame)),
                        Some(_) => Ok(()),
                        None => Err(Some(Closed::Idle)),
                    };
                }
            }
            if self.burst().await? || between_calls {
                since = Instant::now();
            }
        }
    }

    fn make_room(&mut self) {
        // What is left of a large frame's memory is not charged for: it must not outlast the frame.
        if self.input.capacity() > 4 * READ_BYTES + 2 * self.input.len() {
            self.input.shrink_to(self.input.len() + READ_BYTES);
        }
        if self.output.capacity() > KEPT_BYTES {
            self.output = Vec::new();
        }
        if self.input.capacity() - self.input.len() < READ_BYTES / 2 {
            self.input.reserve(READ_BYTES);
        }
    }

    /// Answer the whole frames of the input, a turn after the other; whether there were any.
    async fn burst(&mut self) -> Result<bool, Option<Closed>> {
        let began = Instant::now();
        let filled = self.input.len() == self.input.capacity();
        // What was answered stays in front until all is: moved after every turn, a long input would cost its square.
        let (mut at, mut turn_from, mut calls) = (0, 0, 0);
        while let Some(length) = self.frame_at(at).await? {
            let frame = &self.input[at + 4..at + 4 + length];
            let mut next = self.worker.borrow_mut().answer(frame, &mut self.output);
            while let Next::Piece(call) = next {
                // Nothing is written yet: how long the answer is stands before it.
                self.charge()?;
                yield_now().await;
                let frame = &self.input[at + 4..at + 4 + length];
                let mut worker = self.worker.borrow_mut();
                next = worker.go_on(*call, frame, &mut self.output);
            }
            (at, calls) = (at + 4 + length, calls + 1);
            if matches!(next, Next::Close) {
                return Err(self.refuse(Closed::BadHeader).await);
            }
            if at - turn_from + self.output.len() >= self.shared.limits.turn_bytes {
                self.end_turn(calls, began).await?;
                yield_now().await;
                (turn_from, calls) = (at, 0);
            }
        }
        self.input.drain(..at);
        self.end_turn(calls, began).await?;
        if filled {
            yield_now().await; // more is waiting here; others come first
        }
        Ok(at > 0)
    }

    /// Write the answers to the *calls* of a turn, and account for what is held.
    async fn end_turn(&mut self, calls: u64, began: Instant) -> Result<(), Option<Closed>> {
        self.charge()?;
        self.write().await?;
        let counters = &self.shared.front.counters;
        counters.latency(calls, began.elapsed());
        Ok(())
    }

    /// Length of the frame that begins at *at*, once all of it is there.
    async fn frame_at(&mut self, at: usize) -> Result<Option<usize>, Option<Closed>> {
        let Some((length, rest)) = self.input[at..].split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        let limit = self.shared.limits.frame_bytes;
        if length > limit {
            self.worker
                .borrow_mut()
                .refuse_frame(length, limit, &mut self.output);
            return Err(self.refuse(Closed::FrameTooLarge).await);
        }
        Ok((rest.len() >= length).then_some(length))
    }

    async fn write(&mut self) -> Result<(), Option<Closed>> {
        if self.output.is_empty() {
            return Ok(());
        }
        // Mostly the socket takes all at once, and nothing has to be watched.
        let taken = self.stream.try_write(&self.output).unwrap_or(0);
        if taken == self.output.len() {
            self.output.clear();
            return self.charge();
        }
        self.output.drain(..taken);
        self.charge()?;
        let deadline = Instant::now() + self.shared.limits.transfer;
        match timeout_at(deadline, self.stream.write_all(&self.output)).await {
            Ok(Ok(())) => self.output.clear(),
            Ok(Err(_)) => return Err(None),
            Err(_) => return Err(Some(Closed::SlowReader)),
        }
        self.charge()
    }

    /// Send what was said, then swallow what is still coming, for a while, and end.
    async fn refuse(&mut self, why: Closed) -> Option<Closed> {
        self.input = Vec::with_capacity(READ_BYTES);
        if self.write().await.is_ok() && self.stream.shutdown().await.is_ok() {
            let deadline = Instant::now() + LINGER;
            while let Ok(Ok(1..)) =
                timeout_at(deadline, self.stream.read_buf(&mut self.input)).await
            {
                self.input.clear();
            }
        }
        Some(why)
    }

    /// Account for the bytes held; ends the connection when all of them together hold too many.
    fn charge(&mut self) -> Result<(), Option<Closed>> {
        let held = (self.input.len() + self.output.len()).saturating_sub(FREE_BYTES);
        if held == self.charged {
            return Ok(());
        }
        let buffered = &self.shared.buffered;
        buffered.fetch_add(held, Relaxed);
        let total = buffered.fetch_sub(self.charged, Relaxed) - self.charged;
        self.charged = held;
        if total > self.shared.limits.buffered_bytes && held > 0 {
            return Err(Some(Closed::OutOfBuffers));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "../tests/connection.rs"]
mod tests;
