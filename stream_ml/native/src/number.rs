//! JSON numbers: their value, and the canonical text they have as a category.

use std::fmt::Write;

/// A number as it stands in the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Literal {
    pub value: f64,
    pub end: usize,
    /// Whether it has neither point nor exponent.
    pub integer: bool,
}

/// Why a number cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNumber {
    Grammar,
    /// Its value is no finite float64.
    Infinite,
}

const TENS: [f64; 9] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];
const INTEGER_TENS: [u64; 9] = [
    1,
    10,
    100,
    1000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// Read the number that begins at `start`; nothing is said about what follows it.
#[inline(always)]
pub fn parse(input: &[u8], start: usize) -> Result<Literal, BadNumber> {
    match parse_short(input, start) {
        Some(literal) => Ok(literal),
        None => parse_any(input, start),
    }
}

/// Up to seven digits on each side of the point, eight bytes at a time; `None` for all others.
///
/// Exact: the digits are an integer below 2^53, and one division by a power of ten rounds once.
#[inline(always)]
fn parse_short(input: &[u8], start: usize) -> Option<Literal> {
    let negative = *input.get(start)? == b'-';
    let first = start + negative as usize;
    let (whole, digits) = short_digits(input, first)?;
    if digits > 1 && input[first] == b'0' {
        return None;
    }
    let mut end = first + digits;
    let mut value = whole as f64;
    let mut integer = true;
    if *input.get(end)? == b'.' {
        let (fraction, places) = short_digits(input, end + 1)?;
        value = (whole * INTEGER_TENS[places] + fraction) as f64 / TENS[places];
        integer = false;
        end += 1 + places;
    }
    if input.get(end)? | 0x20 == b'e' {
        return None;
    }
    Some(Literal {
        value: if negative { -value } else { value },
        end,
        integer,
    })
}

/// One to seven digits at `at`: their value and count; `None` if there are none, more, or the input ends.
#[inline(always)]
fn short_digits(input: &[u8], at: usize) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(*input.get(at..)?.first_chunk::<8>()?);
    let shifted = word ^ 0x3030_3030_3030_3030;
    // 0x76 + 9 is the last sum below 0x80; a carry only ever disturbs bytes after the first non-digit.
    let others = (shifted.wrapping_add(0x7676_7676_7676_7676) | shifted) & 0x8080_8080_8080_8080;
    let count = (others.trailing_zeros() / 8) as usize;
    if count == 0 || count == 8 {
        return None;
    }
    let digits = (word << (64 - 8 * count)) & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (digits.wrapping_mul(10 * 256 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 * 65_536 + 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(10_000 * 4_294_967_296 + 1) >> 32, count))
}

/// Any number of JSON's grammar.
#[cold]
fn parse_any(input: &[u8], start: usize) -> Result<Literal, BadNumber> {
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
            end: at,
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

pub fn append_integer(value: i64, out: &mut Vec<u8>) {
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
mod tests {
    use super::*;

    fn value(text: &str) -> Result<f64, BadNumber> {
        let padded = format!("{text},       ");
        let long = parse(padded.as_bytes(), 0);
        let alone = parse(text.as_bytes(), 0);
        assert_eq!(long, alone, "{text}");
        alone.map(|literal| {
            assert_eq!(literal.end, text.len(), "{text}");
            literal.value
        })
    }

    fn canonical(text: &str) -> String {
        let mut out = Vec::new();
        append_value(value(text).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_have_the_value_of_the_standard_library() {
        for text in [
            "0",
            "-0",
            "7",
            "-12",
            "3.2",
            "0.5",
            "1234567",
            "12345678",
            "1234567.1234567",
            "0.00001",
            "1e5",
            "1E-5",
            "-1.5e+3",
            "123456789012345678901234567890",
            "0.8444218515250481",
            "5e-324",
        ] {
            let expected: f64 = text.parse().unwrap();
            assert_eq!(value(text).unwrap().to_bits(), expected.to_bits(), "{text}");
        }
    }

    #[test]
    fn every_short_decimal_is_rounded_once() {
        for (places, limit) in INTEGER_TENS.into_iter().enumerate().take(8).skip(1) {
            for sample in 0..20_000u64 {
                let digits = sample * 499 % limit;
                let text = format!("{}.{digits:0places$}", sample % 1999);
                assert_eq!(
                    value(&text).unwrap(),
                    text.parse::<f64>().unwrap(),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused() {
        for text in [
            "", "-", "01", "-01", "00", "1.", ".1", "1e", "1e+", "1.e5", "+1", "1.-5",
        ] {
            assert_eq!(parse(text.as_bytes(), 0), Err(BadNumber::Grammar), "{text}");
            let padded = format!("{text}          ");
            assert_eq!(
                parse(padded.as_bytes(), 0),
                Err(BadNumber::Grammar),
                "{text}"
            );
        }
        assert_eq!(value("1e400"), Err(BadNumber::Infinite));
        assert_eq!(value("-1e99999999999999999999"), Err(BadNumber::Infinite));
        assert_eq!(value("1e-99999999999999999999"), Ok(0.0));
    }

    #[test]
    fn equal_values_have_one_canonical_text() {
        for text in ["1.0", "1e0", "10e-1", "0.1e1"] {
            assert_eq!(canonical(text), "1");
        }
        assert_eq!(canonical("-0.0"), "0");
        assert_eq!(canonical("-2.50"), "-2.5");
        assert_eq!(canonical("0.1"), "0.1");
        assert_eq!(canonical("9007199254740991.0"), "9007199254740991");
    }

    #[test]
    fn large_and_small_values_look_as_in_python() {
        assert_eq!(canonical("1e15"), "1000000000000000");
        assert_eq!(canonical("9007199254740992.0"), "9007199254740992.0");
        assert_eq!(canonical("1e16"), "1e+16");
        assert_eq!(canonical("1.5e300"), "1.5e+300");
        assert_eq!(canonical("0.0001"), "0.0001");
        assert_eq!(canonical("0.00001"), "1e-05");
        assert_eq!(canonical("-1.25e-100"), "-1.25e-100");
    }
}
