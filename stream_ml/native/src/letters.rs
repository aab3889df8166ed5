//! What a letter is, and its case: by one version of Unicode for ever.
//!
//! The standard library follows each new version, and features would follow the compiler. General categories
//! come from a crate of a fixed version; case is the standard library's (pairs of assigned characters never
//! change), except where one side is a character that this version does not have.

use unicode_general_category::{GeneralCategory as Category, get_general_category};

/// Whether a word goes on: letters, marks (most vowels of Indic scripts are), and numbers.
pub fn is_in_word(character: char) -> bool {
    use Category::{
        DecimalNumber, EnclosingMark, LetterNumber, LowercaseLetter, ModifierLetter,
        NonspacingMark, OtherLetter, OtherNumber, SpacingMark, TitlecaseLetter, UppercaseLetter,
    };
    if character.is_ascii() {
        return character.is_ascii_alphanumeric();
    }
    matches!(
        get_general_category(character),
        UppercaseLetter
            | LowercaseLetter
            | TitlecaseLetter
            | ModifierLetter
            | OtherLetter
            | NonspacingMark
            | SpacingMark
            | EnclosingMark
            | DecimalNumber
            | LetterNumber
            | OtherNumber
    )
}

pub fn lower(character: char) -> impl Iterator<Item = char> {
    known(character, character.to_lowercase())
}

pub fn upper(character: char) -> impl Iterator<Item = char> {
    known(character, character.to_uppercase())
}

/// The *mapped* form of a character, or itself where this version of Unicode lacks either.
fn known(
    character: char,
    mapped: impl Iterator<Item = char> + Clone,
) -> impl Iterator<Item = char> {
    let is_known = is_assigned(character) && mapped.clone().all(is_assigned);
    let itself = (!is_known).then_some(character);
    itself
        .into_iter()
        .chain(is_known.then_some(mapped).into_iter().flatten())
}

fn is_assigned(character: char) -> bool {
    character.is_ascii() || get_general_category(character) != Category::Unassigned
}

#[cfg(test)]
#[path = "tests/letters.rs"]
mod tests;
