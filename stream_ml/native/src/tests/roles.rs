//! Label, time, event id, importance and served probability: the bounds of each, to the last value that fits.

use super::*;
use crate::block::Block;
use crate::scan::tests::{plan, reasons, scan};
use crate::scan::{Mode, Scanner};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A plan of every role, over the fields y, t, id, w and p.
fn all_roles(changes: Json) -> Arc<Plan> {
    let mut roles = json!({"timestamp": ["time", 1], "event_id": ["text", 2], "importance": ["number", 3],
        "served": ["number", 4]});
    for (key, value) in changes.as_object().unwrap() {
        roles[key] = value.clone();
    }
    plan(
        json!([["y"], ["t"], ["id"], ["w"], ["p"]]),
        json!([]),
        roles,
    )
}

fn learner(loss: &str) -> Json {
    json!({"loss": loss, "optimizer": "sgd", "alpha": 0.1, "beta": 1.0, "l1": 0.0, "l2": 0.0,
        "base_rate": 0.5, "base_rate_events": 0})
}

/// The detail of the only refusal of `record`, which came at `record_ms`.
fn refusal(plan: &Arc<Plan>, record: &str, record_ms: i64) -> String {
    let mut block = Block::default();
    Scanner::new(Arc::clone(plan), Mode::Learn).scan_record(
        record.as_bytes(),
        0,
        record_ms,
        &mut block,
    );
    assert_eq!(
        (block.examples.len(), block.refusals.len()),
        (0, 1),
        "{record}"
    );
    block.refusals[0].detail.to_string()
}

#[test]
fn roles_are_read_by_their_rules() {
    let changes = json!({"timestamp": ["time", 1], "event_id": ["text", 2], "importance": ["number", 3], "served": ["number", 4]});
    let plan = plan(
        json!([["y"], ["t"], ["id"], ["w"], ["p"]]),
        json!([]),
        changes,
    );
    let whole = br#"{"y":-1,"t":59.5,"id":"e1","w":2,"p":0.25}"#;
    let example = scan(&plan, Mode::Learn, whole).examples[0];
    assert_eq!(
        (example.label, example.timestamp_us, example.event_id),
        (0.0, 59_500_000, event_id(b"e1"))
    );
    assert_eq!((example.importance, example.served), (2.0, 0.25));
    let bare = scan(&plan, Mode::Learn, br#"{"y":1,"t":60,"id":1.0}"#).examples[0];
    assert_eq!(
        (bare.importance, bare.served.is_nan(), bare.event_id),
        (1.0, true, event_id(b"1"))
    );
    for (record, reason) in [
        (r#"{"y":1,"id":"e"}"#, Reason::NoTimestamp),
        (r#"{"y":1,"t":61,"id":"e"}"#, Reason::FutureTimestamp),
        (r#"{"y":1,"t":1e12,"id":"e"}"#, Reason::OutOfRange),
        (r#"{"y":1,"t":"soon","id":"e"}"#, Reason::WrongType),
        (r#"{"y":1,"t":1}"#, Reason::NoEventId),
        (r#"{"y":1,"t":1,"id":"e","w":0}"#, Reason::OutOfRange),
        (r#"{"y":1,"t":1,"id":"e","w":1e-60}"#, Reason::OutOfRange),
        (r#"{"y":1,"t":1,"id":"e","w":1001}"#, Reason::OutOfRange),
        (r#"{"y":1,"t":1,"id":"e","p":1.5}"#, Reason::OutOfRange),
    ] {
        assert_eq!(
            reasons(&scan(&plan, Mode::Learn, record.as_bytes())),
            [reason],
            "{record}"
        );
    }
}

#[test]
fn the_record_timestamp_of_a_broker_without_one_forbids_nothing() {
    let plan = plan(
        json!([["y"], ["t"]]),
        json!([]),
        json!({"timestamp": ["time", 1]}),
    );
    let mut block = Block::default();
    Scanner::new(plan, Mode::Learn).scan_record(br#"{"y":1,"t":1e9}"#, 0, -1, &mut block);
    assert_eq!(block.examples[0].timestamp_us, 1_000_000_000_000_000);
}

#[test]
fn labels_are_bounded_by_the_loss() {
    let with = |loss: &str| {
        let learner = json!({"loss": loss, "optimizer": "sgd", "alpha": 0.1, "beta": 1.0, "l1": 0.0, "l2": 0.0,
            "base_rate": 0.5, "base_rate_events": 0});
        plan(json!([["y"]]), json!([]), json!({"learner": learner}))
    };
    for (loss, record, label) in [
        ("logistic", "{\"y\":0.5}", Some(0.5)),
        ("logistic", "{\"y\":2}", None),
        ("squared", "{\"y\":-3}", Some(-3.0)),
        ("squared", "{\"y\":1000001}", None),
        ("poisson", "{\"y\":7}", Some(7.0)),
        ("poisson", "{\"y\":-1}", None),
    ] {
        let block = scan(&with(loss), Mode::Learn, record.as_bytes());
        assert_eq!(
            block.examples.first().map(|example| example.label),
            label,
            "{loss} {record}"
        );
    }
}

#[test]
fn unlabelled_events_are_skipped_where_the_model_says_so() {
    let plan = plan(
        json!([["y"], ["a"]]),
        json!([["a", "number", ["number", 1]]]),
        json!({"unlabelled": "skip"}),
    );
    let block = scan(
        &plan,
        Mode::Learn,
        b"{\"a\":1}\n{\"y\":1,\"a\":1}\n{\"y\":null}",
    );
    assert_eq!(
        (block.skipped, block.examples.len(), block.refusals.len()),
        (2, 1, 0)
    );
}

#[test]
fn the_last_values_that_fit_are_learned_and_the_next_are_refused() {
    let plan = all_roles(json!({}));
    for (record, fits) in [
        (r#"{"y":0,"t":1,"id":"e","w":1000,"p":0}"#, true),
        (r#"{"y":1,"t":1,"id":"e","w":1000.0001,"p":0}"#, false),
        (r#"{"y":1,"t":1,"id":"e","w":1e-30,"p":1}"#, true),
        (r#"{"y":1,"t":1,"id":"e","w":-1,"p":1}"#, false),
        (r#"{"y":1,"t":1,"id":"e","p":-0.0}"#, true),
        (r#"{"y":1,"t":1,"id":"e","p":-1e-9}"#, false),
        (r#"{"y":1,"t":1,"id":"e","p":1.000000001}"#, false),
        (r#"{"y":1.000000001,"t":1,"id":"e"}"#, false),
        (r#"{"y":-0.5,"t":1,"id":"e"}"#, false),
        (r#"{"y":0.999999999,"t":1,"id":"e"}"#, true),
    ] {
        let block = scan(&plan, Mode::Learn, record.as_bytes());
        assert_eq!(block.examples.len() == 1, fits, "{record}");
        let expected = if fits {
            vec![]
        } else {
            vec![Reason::OutOfRange]
        };
        assert_eq!(reasons(&block), expected, "{record}");
    }
}

#[test]
fn labels_of_counts_and_amounts_are_bounded_on_both_sides() {
    for (loss, label, fits) in [
        ("squared", "1000000", true),
        ("squared", "-1000000", true),
        ("squared", "-1000000.1", false),
        ("poisson", "1000000", true),
        ("poisson", "1000000.5", false),
        ("poisson", "-0.0", true),
        ("poisson", "-0.001", false),
        ("logistic", "-1", true),
        ("logistic", "-1.0", true),
        ("logistic", "-2", false),
    ] {
        let plan = all_roles(json!({"learner": learner(loss)}));
        let record = format!("{{\"y\":{label},\"t\":1,\"id\":1}}");
        let block = scan(&plan, Mode::Learn, record.as_bytes());
        assert_eq!(block.examples.len() == 1, fits, "{loss} {label}");
    }
}

#[test]
fn what_was_served_is_bounded_by_what_the_loss_can_serve() {
    for (loss, served, fits) in [
        ("logistic", "0.5", true),
        ("logistic", "2", false),
        ("squared", "-2", true),
        ("squared", "1000001", false),
        ("poisson", "17.5", true),
        ("poisson", "-1000001", false),
    ] {
        let plan = all_roles(json!({"learner": learner(loss)}));
        let record = format!("{{\"y\":1,\"t\":1,\"id\":1,\"p\":{served}}}");
        let block = scan(&plan, Mode::Learn, record.as_bytes());
        assert_eq!(block.examples.len() == 1, fits, "{loss} {served}");
    }
}

#[test]
fn a_refusal_quotes_the_value_and_says_what_was_wanted() {
    let plan = all_roles(json!({}));
    for (record, detail) in [
        (
            r#"{"y":7,"t":1,"id":"e"}"#,
            "expected a label from 0 to 1 (or -1 for 0), found 7.0",
        ),
        (
            r#"{"y":1,"t":1,"id":"e","w":0}"#,
            "expected an importance above 0, up to 1000, found 0.0",
        ),
        (
            r#"{"y":1,"t":1,"id":"e","p":3}"#,
            "expected a prediction that the model can have served, found 3.0",
        ),
        (r#"{"t":1,"id":"e"}"#, "the label is missing"),
        (r#"{"y":1,"id":"e"}"#, "the timestamp is missing"),
        (r#"{"y":1,"t":1}"#, "the event id is missing"),
    ] {
        assert_eq!(refusal(&plan, record, 1_000), detail, "{record}");
    }
}

#[test]
fn event_time_may_lie_ahead_of_the_record_by_the_skew_and_no_more() {
    let plan = all_roles(json!({"max_skew_seconds": 2.0}));
    let at = |time: &str| format!("{{\"y\":1,\"t\":{time},\"id\":1}}");
    let learned = |time: &str, record_ms: i64| {
        let mut block = Block::default();
        Scanner::new(Arc::clone(&plan), Mode::Learn).scan_record(
            at(time).as_bytes(),
            0,
            record_ms,
            &mut block,
        );
        block.examples.len() == 1
    };
    assert!(learned("12", 10_000));
    assert!(!learned("12.000001", 10_000));
    assert!(learned("-1000000", 10_000), "the past is no matter");
    assert!(learned("99999999", -1), "the broker has no clock");
    assert_eq!(
        refusal(&plan, &at("15.5"), 10_000),
        "3 s beyond the record's own timestamp and max_skew_seconds"
    );
}

#[test]
fn scoring_reads_what_is_there_and_misses_nothing_that_is_not() {
    let plan = all_roles(json!({}));
    let example = scan(&plan, Mode::Score, b"{}").examples[0];
    assert!(example.label.is_nan() && example.served.is_nan());
    assert_eq!((example.importance, example.event_id), (1.0, 0));
}

#[test]
fn a_null_is_as_good_as_nothing() {
    let plan = all_roles(json!({}));
    for (record, reason) in [
        (r#"{"y":null,"t":1,"id":"e"}"#, Reason::NoLabel),
        (r#"{"y":1,"t":null,"id":"e"}"#, Reason::NoTimestamp),
        (r#"{"y":1,"t":1,"id":null}"#, Reason::NoEventId),
    ] {
        assert_eq!(
            reasons(&scan(&plan, Mode::Learn, record.as_bytes())),
            [reason]
        );
    }
    let bare = scan(
        &plan,
        Mode::Learn,
        br#"{"y":1,"t":1,"id":"e","w":null,"p":null}"#,
    );
    assert_eq!(bare.examples[0].importance, 1.0);
    assert!(bare.examples[0].served.is_nan());
}

#[test]
fn an_empty_event_id_is_none() {
    let plan = all_roles(json!({}));
    let record = br#"{"y":1,"t":1,"id":""}"#;
    assert_eq!(
        reasons(&scan(&plan, Mode::Learn, record)),
        [Reason::NoEventId]
    );
    let scored = scan(&plan, Mode::Score, record);
    assert!(reasons(&scored).is_empty());
    assert_eq!(scored.examples[0].event_id, 0);
    let blank = scan(&plan, Mode::Learn, br#"{"y":1,"t":1,"id":" "}"#);
    assert_ne!(blank.examples[0].event_id, 0, "only nothing is nothing");
}

#[test]
fn every_reason_has_a_code_of_its_own() {
    let codes = [
        Reason::InvalidJson,
        Reason::InvalidUtf8,
        Reason::TooDeep,
        Reason::TooLarge,
        Reason::WrongType,
        Reason::OutOfRange,
        Reason::NoLabel,
        Reason::NoEventId,
        Reason::NoTimestamp,
        Reason::FutureTimestamp,
    ]
    .map(Reason::code);
    let distinct: std::collections::BTreeSet<_> = codes.iter().collect();
    assert_eq!(distinct.len(), codes.len());
    assert!(
        codes
            .iter()
            .all(|code| code.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()))
    );
}

/// With a label time and a segment over the fields t and s.
fn late(segment: Json) -> Arc<Plan> {
    let roles = json!({"label_time": ["time", 1], "segment": segment});
    plan(json!([["y"], ["t"], ["s"]]), json!([]), roles)
}

#[test]
fn a_label_may_have_a_time_of_its_own() {
    let time_of = |record: &str| {
        let block = scan(&late(json!(["text", 2])), Mode::Learn, record.as_bytes());
        block.examples[0].label_time_us
    };
    assert_eq!(time_of(r#"{"y":1,"t":"1970-01-02"}"#), 86_400_000_000);
    assert_eq!(time_of(r#"{"y":1,"t":2.5}"#), 2_500_000);
    assert_eq!(time_of(r#"{"y":1,"t":null}"#), i64::MIN);
    let detail = refusal(&late(json!(["text", 2])), r#"{"y":1,"t":"soon"}"#, 0);
    assert!(detail.contains("soon"), "{detail}");
}

#[test]
fn segments_are_read_for_learning_and_long_ones_are_cut() {
    let records = [
        r#"{"y":1,"s":"one"}"#.to_string(),
        r#"{"y":1}"#.into(),
        r#"{"y":1,"s":[]}"#.into(),
        r#"{"y":1,"s":""}"#.into(),
        r#"{"s":"refused"}"#.into(),
        format!(r#"{{"y":1,"s":"{}"}}"#, "é".repeat(40)),
        format!(r#"{{"y":1,"s":"a{}"}}"#, "é".repeat(40)),
        r#"{"y":1,"s":2.0}"#.into(),
    ];
    let (plan, records) = (late(json!(["text", 2])), records.join("\n"));
    let block = scan(&plan, Mode::Learn, records.as_bytes());
    assert_eq!(reasons(&block), [Reason::WrongType, Reason::NoLabel]);
    let (even, odd) = ("é".repeat(32), format!("a{}", "é".repeat(31)));
    let expected = [
        Some("one"),
        None,
        Some(""),
        Some(&even),
        Some(&odd),
        Some("2"),
    ];
    assert!(block.segments.iter().eq(expected), "{:?}", block.segments);
    let scored = scan(&plan, Mode::Score, br#"{"s":"one"}"#);
    assert_eq!((scored.examples.len(), scored.segments.len()), (1, 0));
}

#[test]
fn a_segment_may_be_any_category() {
    let segment = |expression: Json, record: &str| {
        let block = scan(&late(expression), Mode::Learn, record.as_bytes());
        block.segments.get(0).map(str::to_string)
    };
    let weekday = json!(["weekday", ["time", 1], 0]);
    assert_eq!(segment(weekday, r#"{"y":0,"t":0}"#).unwrap(), "3");
    let large = json!([">", ["number", 2], ["const", 5]]);
    assert_eq!(segment(large, r#"{"y":0,"s":6}"#).unwrap(), "true");
    let texts = json!(["concat", ["text", 2], ["const", "!"]]);
    assert_eq!(segment(texts.clone(), r#"{"y":0,"s":"a"}"#).unwrap(), "a!");
    assert_eq!(segment(texts, r#"{"y":0}"#), None);
}
