//! Which key stands at a place of an object: guessed from the events before, else looked up.
//!
//! Producers write the keys of every event in one order. Each key therefore remembers which one followed it
//! last, and its whole text, quotes and colon included, is compared at once. Keys that the model does not
//! use are remembered too, a bounded number of them. A guess only ever saves time: it never decides anything.

use crate::hash::feature_id;
use crate::json::Reader;

/// Where the value of a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The field; for a value that nobody asks for, one beyond the last.
    pub field: u16,
    /// The object to descend into, as some paths go on there; 0, the event itself, if none does.
    pub node: u16,
}

/// Index of a remembered key; those below the number of nodes stand for "no key yet" in each object.
pub type Key = u32;

/// Keys that the model does not use and that are remembered all the same.
const MAX_LEARNED: usize = 1024;
const MAX_LEARNED_BYTES: usize = 64;
/// Places tried for one key; more are only needed where somebody chose the keys to collide.
const MAX_PROBES: usize = 16;

/// A remembered key; one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Entry {
    /// The first eight bytes of the text, under a mask where there are fewer.
    head: u64,
    mask: u64,
    /// The last eight bytes, if there are more than eight.
    tail: u64,
    length: u32,
    /// The key that came next when this one was met last.
    pub follower: Key,
    pub target: Target,
    node: u16,
    /// Comma before it, quotes and colon included.
    text: Box<[u8]>,
}

impl Entry {
    fn new(node: u16, name: &[u8], target: Target) -> Entry {
        let text = [b",\"", name, b"\":"].concat();
        let needs_escapes = name
            .iter()
            .any(|byte| *byte < 0x20 || b"\"\\".contains(byte));
        let (head, mask) = match text.len() {
            _ if needs_escapes => Entry::UNLIKE_ANY,
            short @ ..8 => (load(&text), (1 << (8 * short)) - 1),
            _ => (load(&text), u64::MAX),
        };
        let tail = load(&text[text.len().saturating_sub(8)..]);
        let length = text.len() as u32;
        Entry {
            head,
            mask,
            tail,
            length,
            follower: node.into(),
            target,
            node,
            text: text.into(),
        }
    }

    /// Head and mask of what matches nothing: a key whose JSON needs escapes, the place before the first key.
    const UNLIKE_ANY: (u64, u64) = (u64::MAX, 0);

    fn of_no_key(node: u16, unused: Target) -> Entry {
        let (head, mask) = Entry::UNLIKE_ANY;
        Entry {
            head,
            mask,
            ..Entry::new(node, b"", unused)
        }
    }

    /// The same key with the brace of its object before it.
    pub fn first_of_object(&self) -> Entry {
        let head = if self.mask == 0 {
            self.head
        } else {
            self.head & !0xff | u64::from(b'{')
        };
        Entry {
            head,
            ..self.clone()
        }
    }

    /// Where the value is, if this key stands at `at`, with its comma before it.
    #[inline(always)]
    pub fn matches(&self, reader: Reader, at: usize) -> Option<usize> {
        self.matches_with(reader.load(at), reader, at)
    }

    /// The same with any byte in the comma's place.
    #[inline(always)]
    pub fn matches_after(&self, reader: Reader, at: usize) -> Option<usize> {
        self.matches_with(reader.load(at) & !0xff | u64::from(b','), reader, at)
    }

    #[inline(always)]
    fn matches_with(&self, word: u64, reader: Reader, at: usize) -> Option<usize> {
        let end = at + self.length as usize;
        let same =
            word & self.mask == self.head && (self.length <= 8 || self.has_rest(reader, at, end));
        same.then_some(end)
    }

    /// Whether what lies behind the first eight bytes is there.
    #[inline(always)]
    fn has_rest(&self, reader: Reader, at: usize, end: usize) -> bool {
        reader.load(end - 8) == self.tail && (self.length <= 16 || self.has_middle(reader, at))
    }

    #[inline(never)]
    fn has_middle(&self, reader: Reader, at: usize) -> bool {
        reader.held[at + 1..].starts_with(&self.text[1..])
    }

    /// Whether its name is `start..end` of what the reader holds.
    #[inline(always)]
    fn is_at(&self, reader: Reader, start: usize, end: usize) -> bool {
        // Mostly the colon follows at once, and words can be compared.
        self.length as usize == end - start + 4
            && (self.matches_after(reader, start - 2).is_some()
                || self.name() == &reader.held[start..end])
    }

    fn name(&self) -> &[u8] {
        &self.text[2..self.text.len() - 2]
    }
}

fn load(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[derive(Clone, Debug)]
pub struct Keys {
    entries: Vec<Entry>,
    /// Open addressing by hash of (node, name): key + 1, 0 is free.
    places: Vec<u32>,
    nodes: u32,
    learned: usize,
    unused: Target,
}

impl Keys {
    /// Know `names`: of each the object it is in, its name, and its target; `unused` is that of all others.
    pub fn new(nodes: u16, names: &[(u16, String, Target)], unused: Target) -> Keys {
        let places = (2 * (names.len() + MAX_LEARNED)).next_power_of_two();
        let mut keys = Keys {
            entries: Vec::new(),
            places: vec![0; places],
            nodes: nodes.into(),
            learned: 0,
            unused,
        };
        for node in 0..nodes {
            keys.entries.push(Entry::of_no_key(node, unused));
        }
        for (node, name, target) in names {
            let Err(free) = keys.probe(hash_of(name.as_bytes()), |_| false) else {
                continue;
            };
            keys.insert(free, Entry::new(*node, name.as_bytes(), *target));
        }
        keys.expect_the_given_order();
        keys
    }

    /// Before the first event: the names of each object in the order given, then nothing.
    fn expect_the_given_order(&mut self) {
        let mut last: Vec<Key> = (0..self.nodes).collect();
        for key in self.nodes..self.entries.len() as Key {
            let node = self.entries[key as usize].node;
            let previous = std::mem::replace(&mut last[usize::from(node)], key);
            self.entries[previous as usize].follower = key;
            self.entries[key as usize].follower = node.into();
        }
    }

    #[inline(always)]
    pub fn entry(&self, key: Key) -> &Entry {
        &self.entries[key as usize]
    }

    /// The target of keys that the model does not use.
    pub fn unused(&self) -> Target {
        self.unused
    }

    /// Look up the key whose name is `start..end` of what the reader holds; from now on it follows `previous`.
    ///
    /// `None` if the model has no use for it and it is new.
    #[inline(always)]
    pub fn find(
        &mut self,
        node: u16,
        previous: Key,
        reader: Reader,
        start: usize,
        end: usize,
    ) -> Option<Key> {
        let hash = hash_at(reader, start, end);
        let found = self.probe(hash, |entry| {
            entry.node == node && entry.is_at(reader, start, end)
        });
        let key = match found {
            Ok(key) => key,
            Err(_) => self.learn(node, hash, &reader.held[start..end])?,
        };
        self.entries[previous as usize].follower = key;
        Some(key)
    }

    /// The same for a name that had escapes; it is not remembered.
    pub fn find_unescaped(&mut self, node: u16, previous: Key, name: &[u8]) -> Option<Key> {
        let key = self
            .probe(hash_of(name), |entry| {
                entry.node == node && entry.name() == name
            })
            .ok()?;
        self.entries[previous as usize].follower = key;
        Some(key)
    }

    /// The first key from the hash's home on that is meant; else the free place there.
    #[inline(always)]
    fn probe(&self, hash: u64, is_meant: impl Fn(&Entry) -> bool) -> Result<Key, usize> {
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let Some(key) = self.places[place].checked_sub(1) else {
                return Err(place);
            };
            if is_meant(&self.entries[key as usize]) {
                return Ok(key);
            }
            place = (place + 1) & mask;
        }
    }

    /// Remember a key that the model does not use; texts that would need UTF-8 checks are not worth it.
    #[inline(never)]
    fn learn(&mut self, node: u16, hash: u64, name: &[u8]) -> Option<Key> {
        let mask = self.places.len() - 1;
        let home = hash as usize & mask;
        let near = (0..MAX_PROBES)
            .map(|step| (home + step) & mask)
            .find(|place| self.places[*place] == 0);
        let worth =
            self.learned < MAX_LEARNED && name.len() <= MAX_LEARNED_BYTES && name.is_ascii();
        let place = near.filter(|_| worth)?;
        self.learned += 1;
        Some(self.insert(place, Entry::new(node, name, self.unused)))
    }

    fn insert(&mut self, place: usize, entry: Entry) -> Key {
        self.entries.push(entry);
        self.places[place] = self.entries.len() as u32;
        self.entries.len() as Key - 1
    }
}

/// Of names up to 16 bytes, made of the first and the last eight; cheap, as those who choose keys to collide gain
/// nothing: few of theirs are remembered.
#[inline(always)]
fn hash_words(first: u64, last: u64, length: usize) -> u64 {
    let mixed = (first ^ last.rotate_left(29) ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

#[inline(always)]
fn hash_at(reader: Reader, start: usize, end: usize) -> u64 {
    match end - start {
        0 => hash_words(0, 0, 0),
        short @ 1..=8 => hash_words(reader.load(start) & u64::MAX >> (64 - 8 * short), 0, short),
        middle @ 9..=16 => hash_words(reader.load(start), reader.load(end - 8), middle),
        _ => feature_id(&reader.held[start..end], 0),
    }
}

/// The same of a name that stands elsewhere.
fn hash_of(name: &[u8]) -> u64 {
    match name.len() {
        short @ ..=8 => hash_words(load(name), 0, short),
        middle @ 9..=16 => hash_words(load(name), load(&name[middle - 8..]), middle),
        _ => feature_id(name, 0),
    }
}

#[cfg(test)]
#[path = "tests/keys.rs"]
mod tests;
