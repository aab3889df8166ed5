//! Who does what next: any thread scans a block, indexes the next ones, or lets a group learn what is indexed.
//!
//! Indexing goes in order, and each group learns in order, one thread at a time; which thread does not matter, so neither
//! does their number.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::block::Block;
use crate::challengers::group::Group;
use crate::challengers::index::Index;
use crate::challengers::work::Work;

/// Blocks indexed together, if so many are scanned.
const BLOCKS_TOGETHER: usize = 4;
/// Blocks scanned ahead of the index, and works indexed ahead of the slowest group.
const BLOCKS_AHEAD: usize = 24;
const WORKS_AHEAD: usize = 4;

/// Where blocks come from: pieces of one or several ranges, in order.
pub trait Source: Sync {
    fn pieces(&self) -> usize;
    /// Fill `block`; returns the partition.
    fn fill(&self, piece: usize, block: &mut Block) -> i32;
}

/// What a thread has to do.
enum Task {
    Scan(usize, Block),
    Index(Box<Index>, Vec<(i32, Block)>, Work),
    Learn(usize, Box<Group>, Arc<Work>),
}

struct Board {
    pieces: usize,
    scanning: usize,
    scanned: BTreeMap<usize, (i32, Block)>,
    /// Pieces that are indexed.
    indexed: usize,
    /// None while a thread has it.
    index: Option<Box<Index>>,
    groups: Vec<(usize, Option<Box<Group>>)>,
    /// Those that a group still needs, of which the first has number `first`.
    works: VecDeque<Arc<Work>>,
    first: usize,
    spare_blocks: Vec<Block>,
    spare_works: Vec<Work>,
    failed: Option<std::io::Error>,
    over: bool,
}

impl Board {
    fn next(&mut self, thread: usize, threads: usize) -> Option<Task> {
        self.learn(|group| group % threads == thread)
            .or_else(|| self.next_to_index())
            .or_else(|| self.next_to_scan())
            .or_else(|| self.learn(|_| true))
    }

    /// The group that is furthest behind, of those that may be taken.
    fn learn(&mut self, mine: impl Fn(usize) -> bool) -> Option<Task> {
        let works = self.first + self.works.len();
        let waiting = self.groups.iter().enumerate();
        let (at, _) = waiting
            .filter(|(at, (next, group))| mine(*at) && group.is_some() && *next < works)
            .min_by_key(|(_, (next, _))| *next)?;
        let (next, group) = &mut self.groups[at];
        let work = Arc::clone(&self.works[*next - self.first]);
        group.take().map(|group| Task::Learn(at, group, work))
    }

    fn next_to_index(&mut self) -> Option<Task> {
        if self.works.len() >= WORKS_AHEAD || !self.scanned.contains_key(&self.indexed) {
            return None;
        }
        let index = self.index.take()?;
        let mut blocks = Vec::new();
        while blocks.len() < BLOCKS_TOGETHER
            && let Some(block) = self.scanned.remove(&(self.indexed + blocks.len()))
        {
            blocks.push(block);
        }
        let work = self.spare_works.pop().unwrap_or_default();
        Some(Task::Index(index, blocks, work))
    }

    fn next_to_scan(&mut self) -> Option<Task> {
        if self.scanning == self.pieces || self.scanning >= self.indexed + BLOCKS_AHEAD {
            return None;
        }
        self.scanning += 1;
        let block = self.spare_blocks.pop().unwrap_or_default();
        Some(Task::Scan(self.scanning - 1, block))
    }

    /// A group has learned its next work: what no group needs any more is used again.
    fn learned(&mut self, at: usize, group: Box<Group>) {
        self.groups[at].0 += 1;
        self.groups[at].1 = Some(group);
        let slowest = self.groups.iter().map(|(next, _)| *next).min();
        while slowest.is_some_and(|slowest| self.first < slowest) {
            self.first += 1;
            let work = self.works.pop_front().and_then(Arc::into_inner);
            self.spare_works.extend(work);
        }
    }

    fn is_done(&self) -> bool {
        self.over || (self.indexed == self.pieces && self.works.is_empty())
    }
}

/// The threads of one call.
pub struct Team<'a, S> {
    source: &'a S,
    threads: usize,
    board: Mutex<Board>,
    change: Condvar,
}

/// What a call lends to the team and gets back.
pub struct Lent {
    pub index: Index,
    pub groups: Vec<Group>,
    pub spare: Vec<Block>,
}

impl<'a, S: Source> Team<'a, S> {
    pub fn new(source: &'a S, threads: usize, lent: Lent) -> Team<'a, S> {
        let groups = lent
            .groups
            .into_iter()
            .map(|group| (0, Some(Box::new(group))));
        let board = Board {
            pieces: source.pieces(),
            scanning: 0,
            scanned: BTreeMap::new(),
            indexed: 0,
            index: Some(Box::new(lent.index)),
            groups: groups.collect(),
            works: VecDeque::new(),
            first: 0,
            spare_blocks: lent.spare,
            spare_works: Vec::new(),
            failed: None,
            over: false,
        };
        Team {
            source,
            threads,
            board: Mutex::new(board),
            change: Condvar::new(),
        }
    }

    /// Do everything; this thread works too.
    ///
    /// # Panics
    /// If a thread did.
    pub fn run(self) -> (Lent, std::io::Result<()>) {
        std::thread::scope(|scope| {
            for thread in 1..self.threads {
                let this = &self;
                scope.spawn(move || this.work(thread));
            }
            self.work(0);
        });
        let board = self
            .board
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let groups = board
            .groups
            .into_iter()
            .filter_map(|(_, group)| group.map(|group| *group));
        let lent = Lent {
            index: *board.index.expect("no thread has it any more"),
            groups: groups.collect(),
            spare: board.spare_blocks,
        };
        (lent, board.failed.map_or(Ok(()), Err))
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, thread: usize) {
        let _over = OverOnPanic(self);
        let mut board = self.lock();
        while !board.is_done() {
            match board.next(thread, self.threads) {
                Some(task) => {
                    drop(board);
                    board = self.carry_out(task);
                    self.change.notify_all();
                }
                None => {
                    board = self
                        .change
                        .wait(board)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        self.change.notify_all();
    }

    fn carry_out(&self, task: Task) -> MutexGuard<'_, Board> {
        match task {
            Task::Scan(piece, mut block) => {
                let partition = self.source.fill(piece, &mut block);
                let mut board = self.lock();
                board.scanned.insert(piece, (partition, block));
                board
            }
            Task::Index(mut index, blocks, mut work) => {
                work.clear();
                let mut indexed = Ok(());
                for (partition, block) in &blocks {
                    indexed = indexed.and_then(|()| index.add(*partition, block, &mut work));
                }
                let mut board = self.lock();
                if let Err(error) = indexed {
                    (board.failed, board.over) = (Some(error), true);
                }
                board.indexed += blocks.len();
                board.index = Some(index);
                board
                    .spare_blocks
                    .extend(blocks.into_iter().map(|(_, block)| block));
                board.works.push_back(Arc::new(work));
                board
            }
            Task::Learn(at, mut group, work) => {
                group.learn(&work);
                drop(work);
                let mut board = self.lock();
                board.learned(at, group);
                board
            }
        }
    }
}

/// Nobody waits for a thread that panicked.
struct OverOnPanic<'a, 'b, S>(&'a Team<'b, S>);

impl<S> Drop for OverOnPanic<'_, '_, S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Team { board, change, .. } = self.0;
            board.lock().unwrap_or_else(PoisonError::into_inner).over = true;
            change.notify_all();
        }
    }
}
