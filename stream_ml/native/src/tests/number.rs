use super::*;

fn value(text: &str) -> Result<f64, BadNumber> {
    let any = parse_any(text.as_bytes(), 0);
    for after in [",", "}", " ", "]", "\u{ff}", "x"] {
        if let Some(short) = short(&format!("{text}{after}")) {
            assert_eq!(Ok(short), any, "{text}{after}");
        }
    }
    any.map(|literal| {
        assert_eq!(literal.length, text.len(), "{text}");
        literal.value
    })
}

fn short(text: &str) -> Option<Literal> {
    let mut word = [0; 8];
    let length = text.len().min(8);
    word[..length].copy_from_slice(&text.as_bytes()[..length]);
    parse_short(u64::from_le_bytes(word)).map(Short::literal)
}

fn canonical(literal: &str) -> String {
    text(value(literal).unwrap())
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
fn short_decimals_are_read_from_one_word_and_rounded_once() {
    for text in [
        "0", "7", "1234567", "0.1", "1.45", "1234.56", "0.00001", "99999.9",
    ] {
        assert_eq!(
            short(&format!("{text},")).map(|literal| literal.value),
            text.parse().ok(),
            "{text}"
        );
    }
    for text in [
        "12345678", "1234.567", "1e5", "1.5E3", "-1", "01", "00.1", "1.", ".1", "", "1.e5", "1..2",
    ] {
        assert_eq!(short(&format!("{text},")), None, "{text}");
    }
    for sample in 0..50_000u64 {
        let text = format!(
            "{:.*}",
            1 + (sample % 5) as usize,
            (sample % 1000) as f64 / 7.0
        );
        if text.len() < 8 {
            assert_eq!(
                short(&format!("{text},")).unwrap().value,
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
        assert_eq!(
            parse_any(text.as_bytes(), 0),
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
