use super::*;

#[test]
fn letters_marks_and_numbers_are_in_a_word() {
    for character in "aZ09éßЖ中あ한٣Ⅷ½ªʰािั्ै\u{301}\u{20dd}".chars() {
        assert!(is_in_word(character), "{character:?}");
    }
    for character in " _-.,'\"\u{0}\u{a0}€©+–—。、😀\u{200d}\u{fffd}\u{e000}".chars() {
        assert!(!is_in_word(character), "{character:?}");
    }
}

#[test]
fn what_came_after_unicode_16_is_no_letter_and_has_no_case() {
    // Tangut components and Latin letters of Unicode 17.
    for character in ['\u{18d80}', '\u{a7ce}', '\u{a7cf}'] {
        assert!(!is_in_word(character), "{character:?}");
        assert!(lower(character).eq([character]));
        assert!(upper(character).eq([character]));
    }
    // U+A7DC, the capital of U+019B, came with Unicode 16.
    assert!(upper('\u{19b}').eq(['\u{a7dc}']));
    assert!(lower('\u{a7dc}').eq(['\u{19b}']));
}

#[test]
fn case_of_one_character_may_be_several() {
    assert!(upper('ß').eq("SS".chars()));
    assert!(lower('İ').eq("i\u{307}".chars()));
    assert!(lower('A').eq("a".chars()));
    assert!(lower('1').eq("1".chars()));
}
