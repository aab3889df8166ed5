use serde_json::{Value as Json, json};

use super::*;
use crate::evaluated::{Event, assert_refusals, assert_values};

#[test]
fn words_are_runs_of_letters_and_digits_in_lower_case() {
    assert_values(
        json!(["The cat, the HAT; 4x4!", "", " ,;- ", "Äpfel—birnen", null]),
        json!([
            [["words", ["text", 0]], ["the", "cat", "hat", "4x4"]],
            [["words", ["text", 1]], []],
            [["words", ["text", 2]], []],
            [["words", ["text", 3]], ["äpfel", "birnen"]],
            [["words", ["text", 4]], null]
        ]),
    );
}

#[test]
fn ngrams_are_runs_of_characters_each_once() {
    assert_values(
        json!(["abab", "aé€", "ab", null]),
        json!([
            [["ngrams", ["text", 0], 1], ["a", "b"]],
            [["ngrams", ["text", 0], 2], ["ab", "ba"]],
            [["ngrams", ["text", 0], 4], ["abab"]],
            [["ngrams", ["text", 0], 5], []],
            [["ngrams", ["text", 1], 2], ["aé", "é€"]],
            [["ngrams", ["text", 2], 3], []],
            [["ngrams", ["text", 3], 1], null]
        ]),
    );
}

#[test]
fn what_is_split_is_trimmed_and_empty_pieces_are_dropped() {
    assert_values(
        json!(["a, b,,a ,c", "x--y--", "", null]),
        json!([
            [["split", ["text", 0], ","], ["a", "b", "c"]],
            [["split", ["text", 1], "--"], ["x", "y"]],
            [["split", ["text", 1], "-y-"], ["x-", "-"]],
            [["split", ["text", 2], ","], []],
            [["split", ["text", 3], ","], null]
        ]),
    );
}

#[test]
fn a_cross_has_every_combination_with_the_last_part_fastest() {
    assert_values(
        json!(["a b", "x y", "k", null, ""]),
        json!([
            [
                ["cross", ["words", ["text", 0]], ["words", ["text", 1]]],
                ["a × x", "a × y", "b × x", "b × y"]
            ],
            [
                ["cross", ["text", 2], ["words", ["text", 0]]],
                ["k × a", "k × b"]
            ],
            [
                ["cross", ["text", 2], ["text", 2], ["const", true]],
                ["k × k × true"]
            ],
            [["cross", ["text", 2], ["text", 3]], null],
            [["cross", ["text", 3], ["words", ["text", 0]]], null],
            [["cross", ["words", ["text", 4]], ["text", 2]], []]
        ]),
    );
}

#[test]
fn crosses_may_be_parts_of_crosses() {
    let inner = json!(["cross", ["words", ["text", 0]], ["text", 1]]);
    assert_values(
        json!(["a b", "k"]),
        json!([
            [["cross", inner, ["text", 1]], ["a × k × k", "b × k × k"]],
            [["cross", ["text", 1], inner], ["k × a × k", "k × b × k"]]
        ]),
    );
}

#[test]
fn parts_that_only_look_alike_together_are_different_elements() {
    let element = |values: Json| {
        let event = Event::new(&values);
        let mut scratch = Scratch::default();
        let parts = [Text::Field(0), Text::Field(1)].map(Set::Single);
        Set::Cross(Box::new(parts))
            .append(event.fields(), &mut scratch)
            .unwrap();
        scratch.bytes
    };
    assert_eq!(element(json!(["ab", "c"])), b"\x02\0\0\0ab\x01\0\0\0c");
    assert_ne!(element(json!(["ab", "c"])), element(json!(["a", "bc"])));
    assert_ne!(element(json!(["", "a"])), element(json!(["a", ""])));
}

#[test]
fn a_set_is_chosen_whole() {
    let (left, right) = (
        json!(["words", ["text", 3]]),
        json!(["split", ["text", 4], ","]),
    );
    assert_values(
        json!([true, false, null, "a b", "x,y,z"]),
        json!([
            [["if", ["bool", 0], left, right], ["a", "b"]],
            [["if", ["bool", 1], left, right], ["x", "y", "z"]],
            [["if", ["bool", 2], left, right], null],
            [["if", ["bool", 0], ["words", ["text", 2]], right], null],
            [
                ["if", ["bool", 1], ["words", ["text", 2]], right],
                ["x", "y", "z"]
            ],
            [["if", ["bool", 1], left, ["words", ["text", 2]]], null],
            [["if", ["bool", 0], ["text", 3], right], ["a b"]],
            [
                ["cross", ["if", ["bool", 1], left, right], ["const", "k"]],
                ["x × k", "y × k", "z × k"]
            ]
        ]),
    );
}

#[test]
fn more_combinations_than_a_set_may_have_are_refused() {
    let of = |count: usize| {
        (0..count)
            .map(|at| format!("w{at}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let cross = json!(["cross", ["words", ["text", 0]], ["words", ["text", 1]]]);
    let refusal = "too_large a set of more than 65536 elements";
    assert_refusals(json!([of(257), of(256)]), json!([[cross, refusal]]));
    let event = Event::new(&json!([of(256), of(256)]));
    let set = crate::compile::compile(&cross, 2)
        .unwrap()
        .into_set()
        .unwrap();
    let mut scratch = Scratch::default();
    assert_eq!(set.append(event.fields(), &mut scratch), Ok(true));
    assert_eq!(scratch.ends.len(), MAX_ELEMENTS);
    assert_eq!(scratch.ends.last(), Some(&scratch.bytes.len()));
}

#[test]
fn more_bytes_than_a_set_may_have_are_refused() {
    let words: Vec<String> = (0..1000).map(|at| format!("w{at}")).collect();
    let cross = json!(["cross", ["words", ["text", 0]], ["text", 1]]);
    let event = json!([words.join(" "), "x".repeat(20_000)]);
    assert_refusals(event, json!([[cross, "too_large"]]));
}

#[test]
fn bytes_that_are_no_element_of_a_cross_are_shown_as_they_are() {
    let cross = Set::Cross(Box::new([Text::Field(0), Text::Field(1)].map(Set::Single)));
    for (element, shown) in [
        (&b"\x01\0\0\0a\x00\0\0\0"[..], "a × "),
        (b"plain", "plain"),
        (b"\x09\0\0\0a", "\u{9}\0\0\0a"),
        (b"\x01\0\0\0a\x01\0\0\0bc", "\u{1}\0\0\0a\u{1}\0\0\0bc"),
    ] {
        assert_eq!(cross.show(element), shown);
    }
    assert_eq!(Set::Words(Text::Field(0)).show(b"\xff"), "\u{fffd}");
}

#[test]
fn forgotten_elements_move_those_behind_them_down() {
    let mut scratch = Scratch {
        bytes: b"aabbbc".to_vec(),
        ends: vec![2, 5, 6],
        ..Scratch::default()
    };
    forget(&mut scratch, 1..2, 2..5);
    assert_eq!(
        (&scratch.bytes[..], &scratch.ends[..]),
        (&b"aac"[..], &[2, 3][..])
    );
}
