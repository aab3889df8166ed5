//! What an escaped text says.

use super::FaultKind;

/// Append what an escaped text says; it was read without a fault before.
pub fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let Ok((character, next)) = read_escape(text, at) else {
            return;
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        at = next;
    }
}

/// The character of the escape at `at`, and where it ends.
pub(super) fn read_escape(input: &[u8], at: usize) -> Result<(char, usize), FaultKind> {
    let simple = match input.get(at + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return read_unicode_escape(input, at),
        _ => return Err(FaultKind::Escape),
    };
    Ok((simple, at + 2))
}

fn read_unicode_escape(input: &[u8], at: usize) -> Result<(char, usize), FaultKind> {
    let first = hex4(input, at + 2)?;
    if !(0xd800..0xe000).contains(&first) {
        return char::from_u32(first)
            .map(|character| (character, at + 6))
            .ok_or(FaultKind::Surrogate);
    }
    if first >= 0xdc00 || input.get(at + 6..at + 8) != Some(b"\\u") {
        return Err(FaultKind::Surrogate);
    }
    let second = hex4(input, at + 8)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(FaultKind::Surrogate);
    }
    let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    char::from_u32(code)
        .map(|character| (character, at + 12))
        .ok_or(FaultKind::Surrogate)
}

fn hex4(input: &[u8], at: usize) -> Result<u32, FaultKind> {
    let digits = input.get(at..at + 4).ok_or(FaultKind::Escape)?;
    digits
        .iter()
        .try_fold(0, |code, &digit| match (digit as char).to_digit(16) {
            Some(value) => Ok(code * 16 + value),
            None => Err(FaultKind::Escape),
        })
}
