//! Short texts and numbers of one event, read but not worked out: their features are computed side by side, which the
//! compiler turns into vectors.

use crate::block::MAX_VALUE;
use crate::hash::ShortIds;
use crate::number::value_of;

/// A feature: its bare slot, id and x.
pub type Feature = (usize, u64, f32);

/// One lane for each slot whose value is mostly a short text or a number. What a lane held in the event before is of no
/// use, but does no harm: a value that was read in another way is one of the `others`, which go over it.
#[derive(Default)]
pub struct Lanes {
    texts: Texts,
    numbers: Numbers,
    others: Vec<Feature>,
}

/// All but the places are padded to whole vectors.
#[derive(Default)]
struct Texts {
    words: Vec<u64>,
    lengths: Vec<u64>,
    short_ids: Vec<ShortIds>,
    ids: Vec<u64>,
    places: Vec<usize>,
}

#[derive(Default)]
struct Numbers {
    digits: Vec<u64>,
    divisors: Vec<f64>,
    xs: Vec<f32>,
    places: Vec<(usize, u64)>,
}

const VECTOR: usize = 8;
/// As digits: neither 0 nor out of bounds.
const ONE: u64 = 1 << 56;

impl Lanes {
    /// A lane for the texts of the bare slot at `place`; its number.
    pub fn add_text(&mut self, place: usize, seed: u64) -> usize {
        let Texts {
            words,
            lengths,
            short_ids,
            ids,
            places,
        } = &mut self.texts;
        places.push(place);
        let (lane, padded) = padded(places.len());
        words.resize(padded, 0);
        lengths.resize(padded, 4);
        short_ids.resize(padded, ShortIds::default());
        short_ids[lane] = ShortIds::new(seed);
        ids.resize(padded, 0);
        lane
    }

    /// The same for numbers, which all have the feature `id`.
    pub fn add_number(&mut self, place: usize, id: u64) -> usize {
        let Numbers {
            digits,
            divisors,
            xs,
            places,
        } = &mut self.numbers;
        places.push((place, id));
        let (lane, padded) = padded(places.len());
        digits.resize(padded, ONE);
        divisors.resize(padded, 1.0);
        xs.resize(padded, 0.0);
        lane
    }

    pub fn start(&mut self) {
        self.others.clear();
    }

    /// The first `length` bytes, 4 to 8, of `word`.
    #[inline(always)]
    pub fn text(&mut self, lane: usize, word: u64, length: u64) {
        self.texts.words[lane] = word;
        self.texts.lengths[lane] = length;
    }

    /// Digits as `number::Short` has them; a negative divisor is the number's sign.
    #[inline(always)]
    pub fn number(&mut self, lane: usize, digits: u64, divisor: f64) {
        self.numbers.digits[lane] = digits;
        self.numbers.divisors[lane] = divisor;
    }

    /// A feature that is known already.
    #[inline]
    pub fn other(&mut self, feature: Feature) {
        self.others.push(feature);
    }

    /// Write all features to their places; whether some x may be 0, `None` if a number is out of bounds.
    #[inline(always)]
    pub fn finish(&mut self, ids: &mut [u64], xs: &mut [f32]) -> Option<bool> {
        let Found { zero, beyond } = self.work_out();
        if beyond {
            return None;
        }
        for (&place, &id) in self.texts.places.iter().zip(&self.texts.ids) {
            (ids[place], xs[place]) = (id, 1.0);
        }
        for (&(place, id), &x) in self.numbers.places.iter().zip(&self.numbers.xs) {
            (ids[place], xs[place]) = (id, x);
        }
        for &(place, id, x) in &self.others {
            (ids[place], xs[place]) = (id, x);
        }
        Some(zero || self.others.iter().any(|other| other.2 == 0.0))
    }

    #[inline(always)]
    fn work_out(&mut self) -> Found {
        self.texts.work_out();
        self.numbers.work_out()
    }
}

/// Whether there is such a number.
struct Found {
    zero: bool,
    beyond: bool,
}

/// The last of so many lanes, and how many there are with the padding.
fn padded(lanes: usize) -> (usize, usize) {
    (lanes - 1, lanes.next_multiple_of(VECTOR))
}

impl Texts {
    #[inline(always)]
    fn work_out(&mut self) {
        let texts = self.words.iter().zip(&self.lengths).zip(&self.short_ids);
        for (id, ((&word, &length), short_ids)) in self.ids.iter_mut().zip(texts) {
            *id = short_ids.id(word, length);
        }
    }
}

impl Numbers {
    #[inline(always)]
    fn work_out(&mut self) -> Found {
        let (mut zero, mut beyond) = (false, false);
        let numbers = self.digits.iter().zip(&self.divisors);
        for (x, (&digits, &divisor)) in self.xs.iter_mut().zip(numbers) {
            let value = value_of(digits, divisor);
            *x = value as f32;
            zero |= *x == 0.0;
            beyond |= value.abs() > MAX_VALUE;
        }
        Found { zero, beyond }
    }
}

#[cfg(test)]
#[path = "tests/lanes.rs"]
mod tests;
