//! What a learner is beside its rows, as bytes; and how a variant of another course begins with it.

use super::{Counters, Course, Trainer};
use crate::block::Block;
use crate::codec::{Damaged, Reader, Writer, Written};
use crate::evaluation::Evaluations;
use crate::expiry::Expiry;
use crate::optimizer::Optimizer;
use crate::score_state::ScoreState;
use crate::windows::Windows;

const MAGIC: u32 = u32::from_le_bytes(*b"SMls");
const PARTITION_MAGIC: u32 = u32::from_le_bytes(*b"SMps");
/// Since 2 with the details of the open evaluation.
const VERSION: u32 = 2;

impl Trainer {
    /// Everything that learning depends on and that is not a row.
    pub fn state_bytes(&self) -> Vec<u8> {
        self.state().to_bytes()
    }

    /// The same, to be put together beside learning, which goes on: a large window is shared, not copied.
    pub fn state(&self) -> Written {
        let mut writer = Writer::new(MAGIC, VERSION);
        writer.text(&self.course.fingerprint);
        self.state.write(&mut writer);
        self.counters
            .all()
            .iter()
            .for_each(|&count| writer.u64(count));
        self.evaluations.write(&mut writer);
        self.windows.write(&mut writer);
        if let Some(expiry) = &self.expiry {
            expiry.write(&mut writer);
        }
        writer.written()
    }

    /// Go on from the state of another learner of the same plan; nothing changes if it is refused.
    pub fn load_state(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let read = State::read(bytes, &self.course, self.course.duplicate_window)?;
        (self.state, self.counters) = (read.score, read.counters);
        (self.evaluations, self.windows) = (read.evaluations, read.windows);
        self.expiry = read.expiry;
        Ok(())
    }

    /// What of one partition's learner is kept beside rows that are shared: no score state but the watermark, which the
    /// rows do not say, and no window, which is rebuilt.
    pub fn partition_state(&self) -> Vec<u8> {
        let mut writer = Writer::new(PARTITION_MAGIC, VERSION);
        writer.text(&self.course.fingerprint);
        writer.i64(self.state.watermark_us);
        self.counters
            .all()
            .iter()
            .for_each(|&count| writer.u64(count));
        self.evaluations.write(&mut writer);
        writer.finish()
    }

    /// Go on from it; nothing changes if it is refused.
    pub fn load_partition_state(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        let (mut reader, version) = partition_reader(bytes)?;
        check_fingerprint(reader.text()?, &self.course)?;
        let watermark_us = reader.i64()?;
        let (counters, evaluations) = (
            Counters::read(&mut reader)?,
            Evaluations::read(&mut reader, &self.course.judging, version > 1)?,
        );
        reader.finish()?;
        self.state.watermark_us = watermark_us;
        (self.counters, self.evaluations) = (counters, evaluations);
        Ok(())
    }

    /// Know the ids of these events, as if they had been learned; returns how many had one.
    pub fn remember(&mut self, partition: i32, block: &Block) -> std::io::Result<u64> {
        let mut known = 0;
        if let Some(window) = self.windows.of(partition)? {
            for example in block.examples.iter().filter(|one| one.event_id != 0) {
                window.accept(example.event_id);
                known += 1;
            }
        }
        Ok(known)
    }

    pub fn forget_windows(&mut self) {
        self.windows = Windows::new(self.course.duplicate_window);
    }

    /// Begin a variant of another course with the rows that were loaded and the state of a learner of the course `before`:
    /// every weight stays what it was. What cannot go on is left out: counts, what expiry has seen, the windows unless
    /// event ids mean the same (`same_ids`), the watermark unless times do (`same_times`). Nothing changes if the state
    /// is refused.
    pub fn begin_with(
        &mut self,
        before: &Course,
        state: &[u8],
        same_ids: bool,
        same_times: bool,
    ) -> Result<(), Damaged> {
        let Course { options, .. } = &self.course;
        if (options.loss, options.optimizer) != (before.options.loss, before.options.optimizer) {
            return Err(Damaged(
                "rows of another loss or optimizer mean something else".into(),
            ));
        }
        let State {
            score: mut state,
            windows,
            ..
        } = State::read(state, before, self.course.duplicate_window)?;
        state.adopt(options, &before.options);
        if !same_times {
            state.watermark_us = i64::MIN;
        }
        let (new, old) = (Optimizer::new(options), Optimizer::new(&before.options));
        if new != old {
            self.table.change_rows(|row| new.adopt(&old, row));
        }
        self.state = state;
        self.windows = if same_ids {
            windows
        } else {
            Windows::new(self.course.duplicate_window)
        };
        self.begin_variant();
        Ok(())
    }
}

/// The watermark in what `Trainer::partition_state` wrote, microseconds.
pub fn partition_watermark(bytes: &[u8]) -> Result<i64, Damaged> {
    let (mut reader, _) = partition_reader(bytes)?;
    reader.text()?;
    reader.i64()
}

fn partition_reader(bytes: &[u8]) -> Result<(Reader<'_>, u32), Damaged> {
    Reader::of_versions(bytes, "a partition's state", PARTITION_MAGIC, 1..=VERSION)
}

fn check_fingerprint(found: &str, course: &Course) -> Result<(), Damaged> {
    let wanted = &course.fingerprint;
    if found != wanted {
        return Err(Damaged(format!(
            "learner state: of plan {found}, this learner has {wanted}"
        )));
    }
    Ok(())
}

/// What `Trainer::state_bytes` wrote.
struct State {
    score: ScoreState,
    counters: Counters,
    evaluations: Evaluations,
    windows: Windows,
    expiry: Option<Expiry>,
}

impl State {
    /// Read the state of a learner of `course` into windows of `window` events.
    fn read(bytes: &[u8], course: &Course, window: usize) -> Result<State, Damaged> {
        let (mut reader, version) =
            Reader::of_versions(bytes, "learner state", MAGIC, 1..=VERSION)?;
        check_fingerprint(reader.text()?, course)?;
        let state = State {
            score: ScoreState::read(&mut reader)?,
            counters: Counters::read(&mut reader)?,
            evaluations: Evaluations::read(&mut reader, &course.judging, version > 1)?,
            windows: Windows::read(&mut reader, course.duplicate_window, window)?,
            expiry: Expiry::new(&course.table)
                .map(|expiry| expiry.read(&mut reader))
                .transpose()?,
        };
        reader.finish()?;
        Ok(state)
    }
}
