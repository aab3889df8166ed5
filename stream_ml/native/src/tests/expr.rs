use serde_json::{Value as Json, json};

use super::*;
use crate::evaluated::{Event, assert_refusals, assert_values, value};

/// Of one operation on constants.
fn of(operation: &str, operands: &[f64]) -> Json {
    let mut source = vec![json!(operation)];
    source.extend(operands.iter().map(|operand| json!(["const", operand])));
    value(&json!(source), &Event::new(&json!([]))).unwrap()
}

#[test]
fn arithmetic_is_that_of_doubles() {
    for (operation, left, right, expected) in [
        ("+", 0.1, 0.2, 0.1 + 0.2),
        ("-", 1.0, 3.5, -2.5),
        ("*", -4.0, 0.25, -1.0),
        ("/", 1.0, 3.0, 1.0 / 3.0),
        ("min", -1.0, 2.0, -1.0),
        ("max", -1.0, 2.0, 2.0),
        ("%", 7.0, 3.0, 1.0),
    ] {
        assert_eq!(
            of(operation, &[left, right]),
            json!(expected),
            "{operation}"
        );
    }
}

#[test]
fn a_remainder_has_the_sign_of_the_divisor() {
    for (left, right, expected) in [
        (7.0, 3.0, 1.0),
        (-7.0, 3.0, 2.0),
        (7.0, -3.0, -2.0),
        (-7.0, -3.0, -1.0),
        (6.0, -3.0, 0.0),
        (-6.0, 3.0, -0.0),
        (5.5, 2.0, 1.5),
        (-0.5, 2.0, 1.5),
    ] {
        let found = of("%", &[left, right]).as_f64().unwrap();
        assert_eq!(found, expected, "{left} % {right}");
    }
}

#[test]
fn one_operand_is_transformed() {
    for (operation, operand, expected) in [
        ("neg", 2.5, -2.5),
        ("neg", -2.5, 2.5),
        ("abs", -2.5, 2.5),
        ("abs", 2.5, 2.5),
        ("floor", 2.7, 2.0),
        ("floor", -2.1, -3.0),
        ("round", 2.5, 2.0),
        ("round", 3.5, 4.0),
        ("round", -0.6, -1.0),
        ("sqrt", 6.25, 2.5),
        ("exp", 0.0, 1.0),
        ("log", 1.0, 0.0),
        ("log1p", 0.0, 0.0),
    ] {
        assert_eq!(
            of(operation, &[operand]),
            json!(expected),
            "{operation} {operand}"
        );
    }
    let e = of("exp", &[1.0]).as_f64().unwrap();
    assert!((e - std::f64::consts::E).abs() < 1e-15);
    assert!((of("log", &[e]).as_f64().unwrap() - 1.0).abs() < 1e-15);
}

#[test]
fn an_undefined_number_is_missing() {
    for (operation, operands) in [
        ("/", &[1.0, 0.0][..]),
        ("/", &[0.0, 0.0]),
        ("/", &[1.0, -0.0]),
        ("%", &[1.0, 0.0]),
        ("log", &[0.0]),
        ("log", &[-1.0]),
        ("log1p", &[-1.0]),
        ("log1p", &[-2.0]),
        ("sqrt", &[-0.1]),
    ] {
        assert_eq!(
            of(operation, operands),
            Json::Null,
            "{operation} {operands:?}"
        );
    }
    let infinite = json!(["*", ["const", 1e300], ["const", 1e300]]);
    assert_values(json!([]), json!([[["-", infinite, infinite], null]]));
}

#[test]
fn an_overflow_is_infinite_until_something_bounds_it() {
    let large = json!(["*", ["const", 1e300], ["const", 1e300]]);
    assert_values(
        json!([]),
        json!([
            [large, "inf"],
            [["neg", large], "-inf"],
            [["clip", large, -5, 5], 5],
            [["clip", ["neg", large], -5, 5], -5],
            [["bucket", large, 0, 1, 2], 3],
            [["min", large, ["const", 7]], 7],
            [["exp", ["const", 1000]], "inf"]
        ]),
    );
}

#[test]
fn a_missing_operand_makes_the_result_missing() {
    assert_values(
        json!([null, 2, null, "t", null]),
        json!([
            [["+", ["number", 0], ["number", 1]], null],
            [["max", ["number", 1], ["number", 0]], null],
            [["abs", ["number", 0]], null],
            [["clip", ["number", 0], 0, 1], null],
            [["bucket", ["number", 0], 0, 1], null],
            [["log_bucket", ["number", 0], 2], null],
            [["length", ["text", 2]], null],
            [["seconds", ["time", 4]], null],
            [["hour", ["time", 4], 0], null],
            [["<", ["number", 0], ["number", 1]], null],
            [["==", ["text", 2], ["text", 3]], null],
            [["==", ["bool", 0], ["const", true]], null],
            [["<", ["time", 4], ["time", 4]], null],
            [["not", ["bool", 0]], null],
            [["in", ["text", 2], "t"], null]
        ]),
    );
}

#[test]
fn a_default_stands_in_for_what_is_missing_only() {
    assert_values(
        json!([null, 2, true, "t"]),
        json!([
            [["default", ["number", 0], 7], 7],
            [["default", ["number", 1], 7], 2],
            [["default", ["/", ["number", 1], ["const", 0]], -1], -1],
            [["default", ["bool", 0], true], true],
            [["default", ["bool", 2], false], true],
            [["default", ["text", 0], "none"], "none"],
            [["default", ["text", 3], "none"], "t"]
        ]),
    );
}

#[test]
fn and_and_or_follow_kleene() {
    let (yes, no, unknown) = (json!(["bool", 0]), json!(["bool", 1]), json!(["bool", 2]));
    assert_values(
        json!([true, false, null]),
        json!([
            [["and", yes, yes], true],
            [["and", yes, no], false],
            [["and", no, unknown], false],
            [["and", unknown, no], false],
            [["and", yes, unknown], null],
            [["and", unknown, unknown], null],
            [["or", no, no], false],
            [["or", no, yes], true],
            [["or", unknown, yes], true],
            [["or", yes, unknown], true],
            [["or", no, unknown], null],
            [["or", unknown, unknown], null],
            [["not", yes], false],
            [["not", no], true]
        ]),
    );
}

#[test]
fn comparisons_tell_less_equal_and_greater_apart() {
    for (operation, less, equal, greater) in [
        ("<", true, false, false),
        ("<=", true, true, false),
        (">", false, false, true),
        (">=", false, true, true),
        ("==", false, true, false),
        ("!=", true, false, true),
    ] {
        let cases = json!([
            [[operation, ["number", 0], ["number", 1]], less],
            [[operation, ["number", 0], ["number", 0]], equal],
            [[operation, ["number", 1], ["number", 0]], greater],
            [[operation, ["time", 2], ["time", 3]], less],
            [[operation, ["time", 2], ["time", 2]], equal],
            [[operation, ["time", 3], ["time", 2]], greater]
        ]);
        assert_values(json!([1, 1.5, "2024-02-28", "2024-02-29"]), cases);
    }
}

#[test]
fn texts_and_bools_are_equal_or_not() {
    assert_values(
        json!(["a", "b", true, false, 7, "7"]),
        json!([
            [["==", ["text", 0], ["const", "a"]], true],
            [["==", ["text", 0], ["text", 1]], false],
            [["!=", ["text", 0], ["text", 1]], true],
            [["==", ["text", 4], ["text", 5]], true],
            [["==", ["bool", 2], ["bool", 3]], false],
            [["!=", ["bool", 2], ["bool", 3]], true],
            [["in", ["text", 0], "x", "a"], true],
            [["in", ["text", 0], "x", "ab", ""], false]
        ]),
    );
}

#[test]
fn a_bucket_is_the_number_of_edges_not_above_the_value() {
    for (operand, expected) in [
        (-1e9, 0),
        (0.99, 0),
        (1.0, 1),
        (9.0, 1),
        (10.0, 2),
        (1e9, 3),
    ] {
        let source = json!(["bucket", ["const", operand], 1, 10, 100]);
        assert_values(json!([]), json!([[source, expected]]));
    }
}

#[test]
fn a_log_bucket_grows_by_the_power_of_its_base_and_keeps_the_sign() {
    for (operand, expected) in [
        (0.0, 0),
        (0.99, 0),
        (1.0, 1),
        (2.99, 1),
        (3.0, 2),
        (7.0, 3),
        (1023.0, 10),
        (-0.5, 0),
        (-1.0, -1),
        (-7.0, -3),
    ] {
        let source = json!(["log_bucket", ["const", operand], 2]);
        assert_values(json!([]), json!([[source, expected]]));
    }
}

#[test]
fn powers_are_all_the_finite_ones() {
    let powers_of_two = powers(2.0);
    assert_eq!((powers_of_two[0], powers_of_two.len()), (2.0, 1023));
    assert_eq!(powers_of_two.last(), Some(&2f64.powi(1023)));
    assert!(powers(10.0).iter().all(|power| power.is_finite()));
    assert!(powers(1.01).is_sorted_by(|left, right| left < right));
}

#[test]
fn parts_of_time_move_with_the_offset() {
    assert_values(
        json!(["2024-02-29T23:30:00Z", 0, 1.25]),
        json!([
            [["hour", ["time", 0], 0], 23],
            [["hour", ["time", 0], 1], 0],
            [["day", ["time", 0], 0], 29],
            [["day", ["time", 0], 0.5], 1],
            [["month", ["time", 0], 0], 2],
            [["month", ["time", 0], 1], 3],
            [["hour", ["time", 1], -1], 23],
            [["month", ["time", 1], -1], 12],
            [["seconds", ["time", 0]], 1_709_249_400],
            [["seconds", ["time", 2]], 1.25],
            [
                ["-", ["seconds", ["time", 2]], ["seconds", ["time", 1]]],
                1.25
            ]
        ]),
    );
}

#[test]
fn a_branch_is_chosen_by_its_condition_and_none_by_a_missing_one() {
    assert_values(
        json!([true, false, null, 5, 10]),
        json!([
            [["if", ["bool", 0], ["number", 3], ["number", 4]], 5],
            [["if", ["bool", 1], ["number", 3], ["number", 4]], 10],
            [["if", ["bool", 2], ["number", 3], ["number", 4]], null],
            [["if", ["bool", 0], ["number", 3], ["number", 2]], 5],
            [["if", ["bool", 1], ["number", 3], ["number", 2]], null],
            [["if", ["bool", 0], ["bool", 1], ["bool", 0]], false],
            [["if", ["bool", 2], ["bool", 1], ["bool", 0]], null],
            [["if", ["bool", 1], ["time", 3], ["time", 4]], 10_000_000],
            [["if", ["bool", 2], ["time", 3], ["time", 4]], null]
        ]),
    );
}

#[test]
fn the_branch_not_taken_refuses_the_event_all_the_same() {
    let wrong = json!(["number", 1]);
    assert_refusals(
        json!([true, "text", 1]),
        json!([
            [
                ["if", ["bool", 0], ["number", 2], wrong],
                "wrong_type field f1"
            ],
            [
                ["if", ["not", ["bool", 0]], wrong, ["number", 2]],
                "wrong_type field f1"
            ],
            [
                ["and", ["not", ["bool", 0]], [">", wrong, ["const", 0]]],
                "wrong_type"
            ],
            [
                ["or", ["bool", 0], [">", wrong, ["const", 0]]],
                "wrong_type"
            ],
            [["missing", wrong], "wrong_type"],
            [["default", wrong, 1], "wrong_type"]
        ]),
    );
}

#[test]
fn missing_looks_at_any_type_of_expression() {
    assert_values(
        json!([null, "words here", 3, true]),
        json!([
            [["missing", ["text", 0]], true],
            [["missing", ["text", 1]], false],
            [["missing", ["number", 0]], true],
            [["missing", ["number", 2]], false],
            [["missing", ["bool", 0]], true],
            [["missing", ["bool", 3]], false],
            [["missing", ["time", 0]], true],
            [["missing", ["time", 2]], false],
            [["missing", ["words", ["text", 0]]], true],
            [["missing", ["words", ["text", 1]]], false],
            [
                ["missing", ["cross", ["words", ["text", 1]], ["text", 0]]],
                true
            ],
            [["missing", ["log", ["const", 0]]], true]
        ]),
    );
}
