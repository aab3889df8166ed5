//! Examples whose features have their lines: what the index makes of blocks, and what every group learns.

/// What is to be done with an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Judge the score that it has right now, and learn it.
    Both,
    /// Judge only; it is learned later.
    Judge,
    /// Learn what was judged before.
    Learn,
}

#[derive(Clone, Copy, Debug)]
pub struct Op {
    pub act: Act,
    /// Of its features in the work's columns.
    pub first: u32,
    pub end: u32,
    pub label: f32,
    pub importance: f32,
    /// Its segment's place among the names, where the model has segments.
    pub segment: Option<u8>,
    /// Examples that were learned before it.
    pub number: u64,
    /// A block of figures ends behind it.
    pub closes: bool,
    /// A feature of it has no row: line 0 is to be emptied.
    pub outside: bool,
}

/// Some consecutive blocks.
#[derive(Default)]
pub struct Work {
    pub ops: Vec<Op>,
    pub lines: Vec<u32>,
    pub values: Vec<f32>,
    /// Of each feature, where challengers differ in their slots.
    pub slots: Vec<u16>,
}

impl Work {
    pub fn clear(&mut self) {
        self.ops.clear();
        self.lines.clear();
        self.values.clear();
        self.slots.clear();
    }
}
