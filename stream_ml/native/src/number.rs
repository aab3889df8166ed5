//! JSON numbers: their value, and the canonical text they have as a category.

use std::fmt::Write;

/// A number as it stands in the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Literal {
    pub value: f64,
    /// In bytes.
    pub length: usize,
    /// Whether it has neither point nor exponent.
    pub integer: bool,
}

/// A number without sign of up to eight characters, not yet worked out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Short {
    /// Its digits without the point, as they stand, the last one in the highest byte.
    pub digits: u64,
    /// The power of ten to divide them by.
    pub divisor: f64,
    /// In bytes.
    pub length: usize,
    pub integer: bool,
}

impl Short {
    #[inline(always)]
    pub fn literal(self) -> Literal {
        Literal {
            value: value_of(self.digits, self.divisor),
            length: self.length,
            integer: self.integer,
        }
    }
}

/// Why a number cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNumber {
    Grammar,
    /// Its value is no finite float64.
    Infinite,
}

const HIGH: u64 = 0x8080_8080_8080_8080;
const TENS: [f64; 8] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];

/// Read a number without sign from its first eight bytes (little-endian), what follows it included.
///
/// `None` where that is not enough: it is longer, has an exponent, or is none. Where numbers differ from event to event
/// (their first digit, how many there are) nothing branches.
#[inline(always)]
pub fn parse_short(word: u64) -> Option<Short> {
    // High bit of every byte that is no digit: 9 + 0x76 is the last sum below 0x80.
    let shifted = word ^ 0x3030_3030_3030_3030;
    let others = (((shifted & !HIGH) + 0x7676_7676_7676_7676) | shifted) & HIGH;
    // And of every byte that is no point either; where the next value begins waits for nothing else.
    let pointed = word ^ 0x2e2e_2e2e_2e2e_2e2e;
    let ends = others & (((pointed & !HIGH) + !HIGH) | pointed);
    let (whole, end) = (others.trailing_zeros() & 0x38, ends.trailing_zeros() & 0x38);
    let leading_zero = (whole > 8) & (word as u8 == b'0');
    let exponent = (word >> end) as u8 | 0x20 == b'e';
    if (ends == 0) | (whole == 0) | leading_zero | exponent {
        return None;
    }
    let mut digits = word << (64 - whole);
    let mut places = 0;
    if whole != end {
        places = (end - whole) / 8 - 1;
        let second = others & (others - 1);
        if (places == 0) | (second.trailing_zeros() & 0x38 != end) {
            return None;
        }
        let below = (1 << whole) - 1;
        digits = ((word & below) | ((word >> 8) & !below)) << (64 - (end - 8));
    }
    Some(Short {
        digits,
        divisor: TENS[places as usize & 7],
        length: end as usize / 8,
        integer: whole == end,
    })
}

/// What eight digits, the last one in the highest byte, are after a division. Exact: they are an integer below 2^53, and
/// the one division rounds once.
#[inline(always)]
pub fn value_of(digits: u64, divisor: f64) -> f64 {
    // Below 10^8: the narrower conversion is one that vectors have.
    f64::from(digits_value(digits) as i32) / divisor
}

/// The value of eight digits, most significant first; zero bytes count as 0.
#[inline(always)]
fn digits_value(digits: u64) -> u64 {
    let digits = digits & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (digits.wrapping_mul(10 * 256 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 * 65_536 + 1) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 * 4_294_967_296 + 1) >> 32
}

/// Read any number of JSON's grammar that begins at `start`; nothing is said about what follows it.
#[cold]
pub fn parse_any(input: &[u8], start: usize) -> Result<Literal, BadNumber> {
    let mut at = start + (byte(input, start) == b'-') as usize;
    let first = at;
    at = skip_digits(input, first)?;
    if at > first + 1 && input[first] == b'0' {
        return Err(BadNumber::Grammar);
    }
    let mut integer = true;
    if byte(input, at) == b'.' {
        at = skip_digits(input, at + 1)?;
        integer = false;
    }
    if byte(input, at) | 0x20 == b'e' {
        let signed = matches!(byte(input, at + 1), b'+' | b'-');
        at = skip_digits(input, at + 1 + signed as usize)?;
        integer = false;
    }
    let text = std::str::from_utf8(&input[start..at]).map_err(|_| BadNumber::Grammar)?;
    let value: f64 = text.parse().map_err(|_| BadNumber::Grammar)?;
    if value.is_finite() {
        Ok(Literal {
            value,
            length: at - start,
            integer,
        })
    } else {
        Err(BadNumber::Infinite)
    }
}

fn byte(input: &[u8], at: usize) -> u8 {
    input.get(at).copied().unwrap_or(0)
}

fn skip_digits(input: &[u8], start: usize) -> Result<usize, BadNumber> {
    let digits = input
        .iter()
        .skip(start)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 {
        Err(BadNumber::Grammar)
    } else {
        Ok(start + digits)
    }
}

/// Append the canonical text of a number that was written with a point or an exponent.
///
/// An integral value below 2^53 is that integer; any other is the shortest text that reads back as the
/// same float64, laid out as Python's `repr` does.
pub fn append_value(value: f64, out: &mut Vec<u8>) {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if value.fract() == 0.0 && value.abs() < EXACT {
        append_integer(value as i64, out);
    } else {
        append_repr(value, out);
    }
}

/// The canonical text alone.
pub fn text(value: f64) -> String {
    let mut text = Vec::new();
    append_value(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn append_integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Python's `repr` of a finite float: an exponent below 1e-4 and from 1e16 on.
fn append_repr(value: f64, out: &mut Vec<u8>) {
    let mut text = String::new();
    let size = value.abs();
    if (1e-4..1e16).contains(&size) {
        let _ = write!(text, "{value:?}");
    } else {
        let _ = write!(text, "{value:e}");
        let split = text.find('e').map_or(text.len(), |at| at + 1);
        let exponent: i32 = text[split..].parse().unwrap_or(0);
        text.truncate(split);
        let _ = write!(
            text,
            "{}{:02}",
            if exponent < 0 { '-' } else { '+' },
            exponent.abs()
        );
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
#[path = "tests/number.rs"]
mod tests;
