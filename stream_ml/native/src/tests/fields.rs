use serde_json::{Value as Json, json};

use super::*;
use crate::evaluated::{Event, text_of};

fn detail<T: std::fmt::Debug>(found: Evaluated<T>) -> (Reason, String) {
    let Refused { reason, detail } = *found.unwrap_err();
    (reason, detail)
}

#[test]
fn null_and_what_is_not_there_are_missing_for_every_leaf() {
    let mut event = Event::new(&json!([null, "of another event"]));
    event.tokens[1].event = 9;
    for field in [0, 1] {
        let fields = event.fields();
        assert_eq!(fields.number(field), Ok(None));
        assert_eq!(fields.bool(field), Ok(None));
        assert_eq!(fields.time(field, &mut Vec::new()), Ok(None));
        assert_eq!(text_of(&event, field), Ok(None));
    }
    event.tokens.push(Token::NONE);
    assert_eq!(event.fields().number(2), Ok(None));
}

#[test]
fn leaves_take_their_own_types() {
    let event = Event::new(&json!([1, -2.5, true, false]));
    let fields = event.fields();
    assert_eq!(
        (fields.number(0), fields.number(1)),
        (Ok(Some(1.0)), Ok(Some(-2.5)))
    );
    assert_eq!(
        (fields.bool(2), fields.bool(3)),
        (Ok(Some(true)), Ok(Some(false)))
    );
}

#[test]
fn a_wrong_type_names_the_field_what_was_asked_and_what_was_found() {
    let event = Event::new(&json!(["t", 1, true, [1], {"a": 1}]));
    let fields = event.fields();
    for (found, expected) in [
        (
            fields.number(0).map(drop_value),
            "field f0: expected a number, found a text: t",
        ),
        (
            fields.number(2).map(drop_value),
            "field f2: expected a number, found true or false: true",
        ),
        (
            fields.number(3).map(drop_value),
            "field f3: expected a number, found an array",
        ),
        (
            fields.bool(1).map(drop_value),
            "field f1: expected true or false, found a number: 1",
        ),
        (
            fields.bool(4).map(drop_value),
            "field f4: expected true or false, found an object",
        ),
        (
            text_of(&event, 3).map(drop_value),
            "field f3: expected a text, a number, true or false, found an array",
        ),
        (
            fields.time(0, &mut Vec::new()).map(drop_value),
            "field f0: expected seconds since 1970 or an ISO 8601 time, found a text: t",
        ),
        (
            fields.time(2, &mut Vec::new()).map(drop_value),
            "field f2: expected seconds since 1970 or an ISO 8601 time, found true or false: true",
        ),
    ] {
        assert_eq!(detail(found), (Reason::WrongType, expected.to_string()));
    }
}

fn drop_value<T>(value: Option<T>) -> Option<()> {
    value.map(drop)
}

#[test]
fn a_path_that_leads_through_a_scalar_is_a_wrong_type() {
    let mut event = Event::new(&json!([1]));
    event.off_path(0);
    let (reason, text) = detail(event.fields().number(0));
    assert_eq!(reason, Reason::WrongType);
    assert!(
        text.ends_with("found something else than an object on the way to it"),
        "{text}"
    );
}

#[test]
fn a_long_value_is_quoted_by_its_first_characters() {
    for (value, quoted) in [
        ("é".repeat(41), format!("{}…", "é".repeat(40))),
        ("x".repeat(40), "x".repeat(40)),
    ] {
        let event = Event::new(&json!([value]));
        let (_, text) = detail(event.fields().number(0));
        assert_eq!(
            text,
            format!("field f0: expected a number, found a text: {quoted}")
        );
    }
}

#[test]
fn times_are_seconds_or_iso_texts() {
    let event = Event::new(&json!([
        1.5,
        -1,
        "1970-01-02",
        "1970-01-01T00:00:01\u{8}",
        "2024-13-01"
    ]));
    let mut scratch = b"kept".to_vec();
    let mut time = |field| event.fields().time(field, &mut scratch);
    assert_eq!(time(0), Ok(Some(1_500_000)));
    assert_eq!(time(1), Ok(Some(-1_000_000)));
    assert_eq!(time(2), Ok(Some(86_400_000_000)));
    assert_eq!(detail(time(3)).0, Reason::WrongType);
    assert_eq!(detail(time(4)).0, Reason::WrongType);
    assert_eq!(scratch, b"kept");
}

#[test]
fn an_escaped_time_is_read() {
    let mut event = Event::new(&json!(["a\\b"]));
    event.input = br"1970-01-01\u005400:01".to_vec();
    event.tokens[0].end = event.input.len() as u32;
    assert_eq!(
        event.fields().time(0, &mut Vec::new()),
        Ok(Some(60_000_000))
    );
}

#[test]
fn a_time_outside_the_four_digit_years_is_out_of_range() {
    for seconds in [1e12, -1e12, 253_402_300_800.0] {
        let event = Event::new(&json!([seconds]));
        let (reason, text) = detail(event.fields().time(0, &mut Vec::new()));
        assert_eq!(reason, Reason::OutOfRange);
        assert!(
            text.starts_with("field f0: as seconds since 1970 outside the years 0 to 9999: "),
            "{text}"
        );
    }
}

#[test]
fn texts_stay_in_the_input_where_they_are_canonical_there() {
    for (value, in_place) in [
        (json!("plain"), true),
        (json!(12), true),
        (json!(true), true),
        (json!(0), false),
        (json!(1.5), false),
        (json!("a\nb"), false),
    ] {
        let event = Event::new(&json!([value]));
        let mut scratch = Vec::new();
        let found = event.fields().text(0, &mut scratch).unwrap().unwrap();
        assert_eq!(matches!(found, Textual::InPlace(_)), in_place, "{value}");
        assert_eq!(scratch.is_empty(), in_place, "{value}");
    }
}

#[test]
fn numbers_that_are_equal_are_the_same_category() {
    let text = |value: Json| text_of(&Event::new(&json!([value])), 0).unwrap().unwrap();
    assert_eq!(text(json!(1)), text(json!(1.0)));
    assert_eq!(
        (text(json!(-0.0)), text(json!(0))),
        ("0".into(), "0".into())
    );
    let mut event = Event::new(&json!([0]));
    event.input = b"-0".to_vec();
    event.tokens[0].end = 2;
    assert_eq!(text_of(&event, 0), Ok(Some("0".into())));
}
