use super::*;

fn hold(text: &[u8]) -> Window {
    let mut window = Window::new();
    window.hold(text);
    window
}

fn read(text: &str) -> Result<Value, FaultKind> {
    let window = hold(text.as_bytes());
    match Reader::new(&window).value(0, 0) {
        Ok((_, end)) if end < text.len() => Err(FaultKind::Trailing),
        Ok((value, _)) => Ok(value),
        Err(fault) => Err(fault.kind),
    }
}

fn kind(text: &str) -> Result<Kind, FaultKind> {
    read(text).map(|value| value.kind)
}

#[test]
fn every_kind_of_value_is_recognised() {
    for (text, expected) in [
        ("null", Kind::Null),
        ("true", Kind::True),
        ("false", Kind::False),
        ("\"a\"", Kind::Text),
        ("\"\\u0041\"", Kind::EscapedText),
        ("-3", Kind::Integer),
        ("3.5", Kind::Decimal),
        ("[1, [2], {}]", Kind::Array),
        ("{\"a\" : {\"b\":[]}}", Kind::Object),
    ] {
        assert_eq!(kind(text), Ok(expected), "{text}");
    }
}

#[test]
fn a_text_ends_at_its_quote_wherever_that_stands() {
    for length in 0..40 {
        let text = format!("\"{}\"", "x".repeat(length));
        for padding in ["", ",\"y\":1,\"zzzzzzzzzzzz\""] {
            let padded = format!("{text}{padding}");
            let window = hold(padded.as_bytes());
            let (value, next) = Reader::new(&window).text(0).unwrap();
            assert_eq!(
                (value.start, value.end as usize, next),
                (1, length + 1, length + 2)
            );
        }
    }
}

#[test]
fn a_control_character_is_refused_at_every_place_of_a_text() {
    for control in 0..0x20u8 {
        for length in 0..20 {
            let mut text = vec![b'"'];
            text.extend(std::iter::repeat_n(b'x', length));
            text.push(control);
            text.extend_from_slice(b"yyyyyyyyyyyy\"");
            assert!(
                Reader::new(&hold(&text)).text(0).is_err(),
                "{control} after {length}"
            );
        }
    }
}

#[test]
fn escapes_say_what_the_standard_says() {
    let text = r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é""#;
    assert_eq!(kind(text), Ok(Kind::EscapedText));
    let mut out = Vec::new();
    unescape(&text.as_bytes()[1..text.len() - 1], &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "\"\\/\u{8}\u{c}\n\r\té😀 é"
    );
}

#[test]
fn broken_escapes_and_lone_surrogates_are_refused() {
    for (text, fault) in [
        (r#""\x""#, FaultKind::Escape),
        (r#""\u12""#, FaultKind::Escape),
        (r#""\u12g4""#, FaultKind::Escape),
        (r#""\ud800""#, FaultKind::Surrogate),
        (r#""\udc00""#, FaultKind::Surrogate),
        (r#""\ud800\u0041""#, FaultKind::Surrogate),
        (r#""\ud800x""#, FaultKind::Surrogate),
        ("\"\\", FaultKind::Escape),
    ] {
        assert_eq!(kind(text), Err(fault), "{text}");
    }
}

#[test]
fn broken_structure_is_refused() {
    for text in [
        "",
        "{",
        "[",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[1 2]",
        "{a:1}",
        "tru",
        "nul",
        "{\"a\" 1}",
        "{,}",
        "[,]",
        "\"abc",
        "\"abcdefghijk",
        "{\"a\":1]",
        "NaN",
        "Infinity",
        "'a'",
        "{\"a\":\n1}",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(kind(&nested(32)), Ok(Kind::Array));
    assert_eq!(kind(&nested(33)), Err(FaultKind::TooDeep));
    assert_eq!(kind(&"[".repeat(1_000_000)), Err(FaultKind::TooDeep));
}
