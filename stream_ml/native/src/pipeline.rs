//! Blocks on their way from the threads that scan them to the one that learns them, in order.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::block::Block;
use crate::records::{Learned, Records, Scan};
use crate::trainer::Trainer;

/// A block ends with the record that brings it to one of these; nothing that is learned depends on them. Small ones: at the
/// end of a call one thread waits for the other's last.
const BLOCK_RECORDS: usize = 64;
const BLOCK_BYTES: usize = 32 << 10;
/// Blocks scanned ahead of the one being learned.
const BLOCKS_AHEAD: usize = 32;
/// Looking again and again for so long before going to sleep: to be woken takes as long as a block.
const AWAKE: Duration = Duration::from_micros(100);

/// Records `from..to` of a range.
#[derive(Clone, Copy)]
struct Piece {
    range: usize,
    from: usize,
    to: usize,
}

/// A thread that scans for one learner.
pub struct Helper<R> {
    /// None while it ends.
    jobs: Option<Sender<Arc<Job<R>>>>,
    thread: Option<JoinHandle<()>>,
}

impl<R: AsRef<[u8]> + Send + Sync + 'static> Helper<R> {
    pub fn start(mut scanner: impl Scan) -> std::io::Result<Helper<R>> {
        let (jobs, wanted) = channel::<Arc<Job<R>>>();
        let work = move || {
            while let Some(job) = next(&wanted) {
                job.scan(&mut scanner);
            }
        };
        Ok(Helper {
            jobs: Some(jobs),
            thread: Some(thread::Builder::new().name("scan".into()).spawn(work)?),
        })
    }

    pub fn help(&self, job: &Arc<Job<R>>) {
        // One that panicked is gone; its job failed then, and this one is done without it.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(Arc::clone(job));
        }
    }
}

impl<R> Drop for Helper<R> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The next job, `None` when the learner is gone.
fn next<T>(jobs: &Receiver<T>) -> Option<T> {
    let mut job = None;
    let mut gone = false;
    stay_awake(|| {
        match jobs.try_recv() {
            Ok(received) => job = Some(received),
            Err(TryRecvError::Disconnected) => gone = true,
            Err(TryRecvError::Empty) => {}
        }
        gone || job.is_some()
    });
    if gone || job.is_some() {
        return job;
    }
    jobs.recv().ok()
}

/// Ask until the answer is yes or it is time to sleep; whoever else wants the processor gets it meanwhile.
fn stay_awake(mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() && start.elapsed() < AWAKE {
        thread::yield_now();
    }
}

/// Ranges to learn, and how far their pieces are.
pub struct Job<R> {
    ranges: Vec<Records<R>>,
    pieces: Vec<Piece>,
    progress: Mutex<Progress>,
    /// A block was scanned.
    ready: Condvar,
    /// There is room to scan ahead again.
    room: Condvar,
}

struct Progress {
    /// The piece to scan next, and the one to learn next.
    scanned: usize,
    learned: usize,
    done: BTreeMap<usize, Block>,
    spare: Vec<Block>,
    /// A thread panicked, or the learning one gave up: nobody may wait for it.
    over: bool,
}

impl Progress {
    /// Claim the next piece if it is not too far ahead.
    fn claim(&mut self, pieces: usize) -> Option<(usize, Block)> {
        if self.scanned == pieces || self.scanned >= self.learned + BLOCKS_AHEAD {
            return None;
        }
        self.scanned += 1;
        Some((self.scanned - 1, self.spare.pop().unwrap_or_default()))
    }

    /// Whether the next block can be learned, or never will be.
    fn is_ready(&self) -> bool {
        self.over || self.done.contains_key(&self.learned)
    }

    fn has_room(&self) -> bool {
        self.over || self.scanned < self.learned + BLOCKS_AHEAD
    }
}

impl<R: AsRef<[u8]>> Job<R> {
    /// `spare`: blocks of earlier jobs, for their memory.
    pub fn new(ranges: Vec<Records<R>>, spare: Vec<Block>) -> Job<R> {
        let progress = Progress {
            scanned: 0,
            learned: 0,
            done: BTreeMap::new(),
            spare,
            over: false,
        };
        Job {
            pieces: cut(&ranges),
            ranges,
            progress: Mutex::new(progress),
            ready: Condvar::new(),
            room: Condvar::new(),
        }
    }

    /// Let as many threads help as have something to do.
    pub fn ask(self: &Arc<Self>, helpers: &[Helper<R>])
    where
        R: Send + Sync + 'static,
    {
        let useful = self.pieces.len().saturating_sub(1);
        for helper in helpers.iter().take(useful) {
            helper.help(self);
        }
    }

    pub fn take_spare(&self) -> Vec<Block> {
        std::mem::take(&mut self.lock().spare)
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scan pieces until all are, or the job is over.
    fn scan(&self, scanner: &mut impl Scan) {
        let _over = OverOnPanic(self);
        let mut progress = self.lock();
        while !progress.over && progress.scanned < self.pieces.len() {
            let Some((at, mut block)) = progress.claim(self.pieces.len()) else {
                progress = self.wait(progress, &self.room, Progress::has_room);
                continue;
            };
            drop(progress);
            self.scan_piece(scanner, self.pieces[at], &mut block);
            progress = self.lock();
            progress.done.insert(at, block);
            if at == progress.learned {
                self.ready.notify_one();
            }
        }
    }

    /// Learn all pieces, and scan where none is ready.
    ///
    /// # Panics
    /// If a thread that helped did.
    pub fn learn(
        &self,
        scanner: &mut impl Scan,
        trainer: &mut Trainer,
        learned: &mut Learned,
    ) -> std::io::Result<()> {
        self.each_block(scanner, |range, mut block| {
            let partition = self.ranges[range].partition;
            trainer.learn(partition, &block, &mut learned.evaluations)?;
            if let Some(scan) = learned.scans.get_mut(range) {
                scan.push(&block);
            }
            learned.refuse(partition, &mut block);
            Ok(Some(block))
        })
    }

    /// Give the blocks to `take` in their order, with the range of each; one that it gives back is scanned into again.
    ///
    /// # Panics
    /// If a thread that helped did.
    pub fn each_block(
        &self,
        scanner: &mut impl Scan,
        mut take: impl FnMut(usize, Block) -> std::io::Result<Option<Block>>,
    ) -> std::io::Result<()> {
        let _over = Over(self);
        let mut progress = self.lock();
        while progress.learned < self.pieces.len() {
            assert!(!progress.over, "a scanning thread panicked");
            let next = progress.learned;
            if let Some(block) = progress.done.remove(&next) {
                drop(progress);
                let spare = take(self.pieces[next].range, block)?;
                progress = self.lock();
                progress.learned += 1;
                progress.spare.extend(spare);
                // Woken when half of the room is free: waking costs more than scanning a block.
                if progress.scanned <= progress.learned + BLOCKS_AHEAD / 2 {
                    self.room.notify_all();
                }
            } else if let Some((at, mut block)) = progress.claim(self.pieces.len()) {
                drop(progress);
                self.scan_piece(scanner, self.pieces[at], &mut block);
                progress = self.lock();
                progress.done.insert(at, block);
            } else {
                progress = self.wait(progress, &self.ready, Progress::is_ready);
            }
        }
        Ok(())
    }

    fn wait<'a>(
        &'a self,
        progress: MutexGuard<'a, Progress>,
        change: &Condvar,
        is_there: fn(&Progress) -> bool,
    ) -> MutexGuard<'a, Progress> {
        drop(progress);
        stay_awake(|| is_there(&self.lock()));
        let asleep = |progress: &mut Progress| !is_there(progress);
        change
            .wait_while(self.lock(), asleep)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Pieces there are, for those who hand them out themselves.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Scan a piece; returns its partition.
    pub fn fill(&self, scanner: &mut impl Scan, piece: usize, block: &mut Block) -> i32 {
        let piece = self.pieces[piece];
        self.scan_piece(scanner, piece, block);
        self.ranges[piece.range].partition
    }

    fn scan_piece(&self, scanner: &mut impl Scan, piece: Piece, block: &mut Block) {
        let Piece { range, from, to } = piece;
        let Records {
            values,
            timestamps_ms,
            ..
        } = &self.ranges[range];
        block.clear();
        let records = values.iter().zip(timestamps_ms).enumerate();
        for (at, (value, &timestamp_ms)) in records.take(to).skip(from) {
            match value {
                Some(value) => scanner.scan_record(value.as_ref(), at as u32, timestamp_ms, block),
                None => block.empty += 1,
            }
        }
    }
}

fn cut<R: AsRef<[u8]>>(ranges: &[Records<R>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (range, records) in ranges.iter().enumerate() {
        let (mut from, mut bytes) = (0, 0);
        for (at, value) in records.values.iter().enumerate() {
            let to = at + 1;
            bytes += value.as_ref().map_or(0, |value| value.as_ref().len());
            let full = to - from == BLOCK_RECORDS || bytes >= BLOCK_BYTES;
            if full || to == records.values.len() {
                pieces.push(Piece { range, from, to });
                (from, bytes) = (to, 0);
            }
        }
    }
    pieces
}

/// Wakes everyone when the learning thread ends, however it ends.
struct Over<'a, R>(&'a Job<R>);

impl<R> Drop for Over<'_, R> {
    fn drop(&mut self) {
        let Job {
            progress,
            room,
            ready,
            ..
        } = self.0;
        progress.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        room.notify_all();
        ready.notify_all();
    }
}

/// Wakes everyone when a scanning thread panics; the learning one hands the panic on.
struct OverOnPanic<'a, R>(&'a Job<R>);

impl<R> Drop for OverOnPanic<'_, R> {
    fn drop(&mut self) {
        if thread::panicking() {
            drop(Over(self.0));
        }
    }
}

#[cfg(test)]
#[path = "tests/pipeline.rs"]
mod tests;
