use serde_json::json;

use super::*;
use crate::evaluated::{Event, assert_refusals, assert_values};

#[test]
fn a_category_is_the_canonical_text_of_any_scalar() {
    assert_values(
        json!(["é", 7, 1.5, true, false, -3, "a\"b\n", ""]),
        json!([
            [["text", 0], "é"],
            [["text", 1], "7"],
            [["text", 2], "1.5"],
            [["text", 3], "true"],
            [["text", 4], "false"],
            [["text", 5], "-3"],
            [["text", 6], "a\"b\n"],
            [["text", 7], ""]
        ]),
    );
}

#[test]
fn case_is_changed_character_by_character() {
    assert_values(
        json!(["AbC-1", "Straße", "ΌΣΟΣ", "İ"]),
        json!([
            [["lower", ["text", 0]], "abc-1"],
            [["upper", ["text", 0]], "ABC-1"],
            [["upper", ["text", 1]], "STRASSE"],
            [["lower", ["text", 2]], "όσοσ"],
            [["lower", ["text", 3]], "i\u{307}"],
            [["concat", ["text", 0], ["upper", ["const", "x"]]], "AbC-1X"],
            [
                ["concat", ["text", 1], ["lower", ["const", "É"]]],
                "Straßeé"
            ]
        ]),
    );
}

#[test]
fn a_prefix_and_a_suffix_count_characters_and_not_bytes() {
    assert_values(
        json!(["añb€", ""]),
        json!([
            [["prefix", ["text", 0], 0], ""],
            [["prefix", ["text", 0], 2], "añ"],
            [["prefix", ["text", 0], 4], "añb€"],
            [["prefix", ["text", 0], 9], "añb€"],
            [["suffix", ["text", 0], 0], ""],
            [["suffix", ["text", 0], 1], "€"],
            [["suffix", ["text", 0], 3], "ñb€"],
            [["suffix", ["text", 0], 9], "añb€"],
            [["prefix", ["text", 1], 1], ""],
            [["suffix", ["text", 1], 1], ""],
            [
                ["concat", ["const", "ab"], ["suffix", ["text", 0], 2]],
                "abb€"
            ],
            [["length", ["text", 0]], 4],
            [["length", ["text", 1]], 0]
        ]),
    );
}

#[test]
fn parts_are_put_together_or_are_missing_together() {
    assert_values(
        json!(["a", null, true]),
        json!([
            [
                ["concat", ["text", 0], ["const", "|"], ["bool", 2]],
                "a|true"
            ],
            [["concat", ["text", 0], ["text", 1]], null],
            [["concat", ["text", 1], ["text", 0]], null],
            [["concat", ["default", ["text", 1], "?"], ["text", 0]], "?a"],
            [["lower", ["text", 1]], null],
            [["prefix", ["text", 1], 2], null],
            [["suffix", ["text", 1], 2], null]
        ]),
    );
}

#[test]
fn a_text_is_chosen_whole() {
    assert_values(
        json!([true, false, null, "yes", "no"]),
        json!([
            [["if", ["bool", 0], ["text", 3], ["text", 4]], "yes"],
            [["if", ["bool", 1], ["text", 3], ["text", 4]], "no"],
            [["if", ["bool", 2], ["text", 3], ["text", 4]], null],
            [["if", ["bool", 0], ["text", 2], ["text", 4]], null],
            [["if", ["bool", 1], ["text", 2], ["text", 4]], "no"],
            [["if", ["bool", 1], ["text", 3], ["text", 2]], null],
            [
                ["if", ["bool", 0], ["bool", 1], ["const", "other"]],
                "false"
            ]
        ]),
    );
}

#[test]
fn whole_numbers_are_categories_in_decimal() {
    assert_values(
        json!([-12.5, null]),
        json!([
            [["concat", ["floor", ["number", 0]]], "-13"],
            [["concat", ["round", ["number", 0]]], "-12"],
            [
                ["concat", ["const", "b"], ["bucket", ["number", 0], -100, 0]],
                "b1"
            ],
            [["concat", ["floor", ["number", 1]]], null],
            [["concat", ["not", ["missing", ["number", 1]]]], "false"],
            [["concat", ["const", 3]], "3"]
        ]),
    );
}

#[test]
fn a_category_of_an_overflow_is_refused() {
    let large = json!(["floor", ["*", ["number", 0], ["number", 0]]]);
    assert_refusals(
        json!([1e300]),
        json!([[
            ["concat", large],
            "out_of_range a category of a number that overflowed"
        ]]),
    );
}

#[test]
fn looking_at_a_text_leaves_the_buffer_as_it_was() {
    let event = Event::new(&json!(["abc", null, "abc"]));
    let mut scratch = Scratch {
        bytes: b"kept".to_vec(),
        ..Scratch::default()
    };
    let fields = event.fields();
    let texts: Box<[Box<[u8]>]> = Box::new([b"x"[..].into(), b"abc"[..].into()]);
    assert_eq!(length(&Text::Field(0), fields, &mut scratch), Ok(Some(3)));
    assert_eq!(
        is_in(&Text::Field(0), &texts, fields, &mut scratch),
        Ok(Some(true))
    );
    assert_eq!(
        is_in(&Text::Field(1), &texts, fields, &mut scratch),
        Ok(None)
    );
    for (right, expected) in [(2, Some(true)), (1, None)] {
        let pair = [Text::Field(0), Text::Field(right)];
        assert_eq!(equal(&pair, fields, &mut scratch), Ok(expected));
    }
    assert_eq!(scratch.bytes, b"kept");
}

#[test]
fn the_suffix_begins_where_the_characters_do() {
    for (text, count, start) in [
        ("abc", 1, 2),
        ("aé", 1, 1),
        ("aé", 2, 0),
        ("é", 5, 0),
        ("", 1, 0),
        ("abc", 0, 3),
    ] {
        assert_eq!(
            suffix_start(text.as_bytes(), count),
            start,
            "{text:?} {count}"
        );
    }
}
