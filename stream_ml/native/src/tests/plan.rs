use serde_json::json;

use super::*;
use crate::expr::Number;
use crate::hash::feature_id;

/// A plan whose top-level keys are replaced by `changes`.
fn source(changes: Value) -> Value {
    let mut source = json!({
        "format": 1, "math": 1, "name": "m", "fields": [["y"], ["a"], ["b"], ["o", "c"]],
        "event_id": null, "timestamp": null, "label": ["number", 0], "importance": null, "served": null,
        "learn_after": "event", "unlabelled": "refuse", "max_skew_seconds": 1.5, "duplicate_window": 10,
        "evaluate_every": 20,
        "slots": [{"name": "s", "kind": "category", "seed": "00000000000000ff", "expr": ["text", 1]}],
        "learner": {"loss": "logistic", "optimizer": "ftrl", "alpha": 0.1, "beta": 1.0, "l1": 0.0, "l2": 0.0,
            "base_rate": null, "base_rate_events": 1000}
    });
    for (key, value) in changes.as_object().unwrap() {
        source[key] = value.clone();
    }
    source
}

fn parse(changes: Value) -> Result<Plan, PlanError> {
    Plan::parse(source(changes).to_string().as_bytes())
}

/// Slots of kind and expression.
fn slots(described: &[(&str, Value)]) -> Value {
    let slot = |(at, (kind, expr)): (usize, &(&str, Value))| json!({"name": format!("s{at}"), "kind": kind, "seed": "0000000000000001", "expr": expr});
    json!({"slots": described.iter().enumerate().map(slot).collect::<Vec<_>>()})
}

#[test]
fn a_plan_knows_what_its_json_says() {
    let bytes = source(json!({"learn_after": "record", "unlabelled": "skip"})).to_string();
    let plan = Plan::parse(bytes.as_bytes()).unwrap();
    assert_eq!((plan.name(), plan.source()), ("m", bytes.as_bytes()));
    assert_eq!(plan.fingerprint(), fingerprint(bytes.as_bytes()));
    assert_eq!(plan.learner().base_rate_events, 1000);
    let expected = EventOptions {
        learn_after: LearnAfter::Record,
        unlabelled: Unlabelled::Skip,
        max_skew_us: 1_500_000,
        duplicate_window: 10,
        evaluate_every: 20,
    };
    assert_eq!(*plan.events(), expected);
    let slot = &plan.slots()[0];
    assert_eq!(
        (slot.name.as_str(), slot.kind, slot.seed),
        ("s", SlotKind::Category, 0xff)
    );
    assert_eq!(plan.field_names, ["y", "a", "b", "o.c"]);
    let judging = Judging {
        every: 20,
        slots: vec!["s".into()],
        segments: false,
    };
    assert_eq!(plan.judging(), judging);
    let by_segment = parse(json!({"segment": ["text", 1]})).unwrap();
    assert!(by_segment.judging().segments);
}

#[test]
fn another_byte_is_another_fingerprint() {
    let one = parse(json!({})).unwrap();
    let other = parse(json!({"name": "n"})).unwrap();
    assert_eq!(one.fingerprint().len(), 32);
    assert_ne!(one.fingerprint(), other.fingerprint());
}

#[test]
fn another_format_is_refused_whatever_else_it_holds() {
    for (bytes, told) in [
        (
            &br#"{"format":2,"math":1,"new":true}"#[..],
            "format 2, math 1; this release has 1, 1",
        ),
        (
            br#"{"format":1,"math":9}"#,
            "format 1, math 9; this release has 1, 1",
        ),
    ] {
        let error = Plan::parse(bytes).unwrap_err().to_string();
        assert_eq!(error, format!("not a plan this release can run: {told}"));
    }
    assert!(Plan::parse(b"{}").is_err());
    assert!(Plan::parse(b"\xff").is_err());
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let learner = |key: &str, value: f64| {
        let mut learner = source(json!({}))["learner"].clone();
        learner[key] = json!(value);
        json!({ "learner": learner })
    };
    for (changes, told) in [
        (json!({"surprise": 1}), "surprise"),
        (json!({"slots": null}), "null"),
        (json!({"evaluate_every": 0}), "evaluate_every 0"),
        (json!({"max_skew_seconds": -1.0}), "max_skew_seconds -1"),
        (json!({"max_skew_seconds": 1e13}), "max_skew_seconds"),
        (learner("alpha", 0.0), "alpha 0"),
        (learner("alpha", 1e11), "alpha"),
        (learner("beta", -1.0), "beta -1"),
        (learner("l1", 1e11), "l1"),
        (learner("l2", -0.5), "l2 -0.5"),
        (json!({"label": ["number", 4]}), "label: number: no field 4"),
        (
            json!({"label": ["text", 0]}),
            "label: a text where a number",
        ),
        (
            json!({"timestamp": ["number", 0]}),
            "timestamp: a number where a time",
        ),
        (
            json!({"event_id": ["number", 0]}),
            "event_id: a number where a text",
        ),
        (
            json!({"importance": ["words", ["text", 0]]}),
            "importance: a set where a number",
        ),
        (
            json!({"served": ["time", 0]}),
            "served: a time where a number",
        ),
        (
            json!({"fields": [["y"], []]}),
            "field 1: a path has 1 to 32 keys",
        ),
        (
            json!({"fields": [["y"], vec!["k"; 33]]}),
            "field 1: a path has 1 to 32 keys",
        ),
        (
            json!({"fields": [["y"], ["a"], ["y"]]}),
            "field 2 repeats a path",
        ),
    ] {
        let error = parse(changes.clone()).unwrap_err().to_string();
        assert!(error.contains(told), "{changes}: {error}");
    }
}

#[test]
fn a_slot_that_does_not_fit_is_named() {
    for (kind, expr, told) in [
        (
            "number",
            json!(["text", 1]),
            "a text where a Number is asked",
        ),
        ("set", json!(["text", 1]), "a text where a Set is asked"),
        (
            "category",
            json!(["number", 1]),
            "a number where a Category is asked",
        ),
        (
            "category",
            json!(["time", 1]),
            "a time where a Category is asked",
        ),
        ("number", json!(["nothing"]), "no such operation"),
    ] {
        let error = parse(slots(&[(kind, expr)])).unwrap_err().to_string();
        assert!(error.contains(&format!("slot \"s0\": {told}")), "{error}");
    }
}

#[test]
fn a_seed_is_sixteen_hex_digits() {
    for (seed, fits) in [
        ("0123456789abcdef", true),
        ("0123456789ABCDEF", true),
        ("123456789abcdef", false),
        ("00123456789abcdef", false),
        ("+123456789abcdef", false),
        ("0123456789abcdeg", false),
    ] {
        let slot = json!({"name": "s", "kind": "category", "seed": seed, "expr": ["text", 1]});
        assert_eq!(parse(json!({"slots": [slot]})).is_ok(), fits, "{seed}");
    }
}

#[test]
fn bare_slots_in_a_row_become_one_rule() {
    let plan = parse(slots(&[
        ("category", json!(["text", 1])),
        ("number", json!(["number", 2])),
        ("category", json!(["lower", ["text", 1]])),
        ("number", json!(["abs", ["number", 2]])),
        ("set", json!(["words", ["text", 1]])),
        ("category", json!(["cross", ["text", 1], ["text", 2]])),
        ("category", json!(["text", 2])),
    ]))
    .unwrap();
    let seen: Vec<(u16, &str)> = plan
        .rules
        .iter()
        .map(|rule| (rule.slot, kind_name(&rule.kind)))
        .collect();
    let expected = [
        (0, "bare 2"),
        (2, "category"),
        (3, "number"),
        (4, "set"),
        (5, "set"),
        (6, "bare 1"),
    ];
    assert_eq!(seen, expected);
}

fn kind_name(kind: &RuleKind) -> &'static str {
    match kind {
        RuleKind::Bare(run) if run.len() == 1 => "bare 1",
        RuleKind::Bare(run) if run.len() == 2 => "bare 2",
        RuleKind::Bare(_) => "bare",
        RuleKind::Category { .. } => "category",
        RuleKind::Number { .. } => "number",
        RuleKind::Set { .. } => "set",
    }
}

#[test]
fn a_number_has_the_id_of_the_empty_text_under_its_seed() {
    let plan = parse(slots(&[
        ("number", json!(["number", 2])),
        ("number", json!(["abs", ["number", 2]])),
    ]))
    .unwrap();
    let RuleKind::Bare(run) = &plan.rules[0].kind else {
        panic!("{:?}", plan.rules[0]);
    };
    assert_eq!((run[0].number, run[0].seed), (true, feature_id(b"", 1)));
    assert!(matches!(plan.rules[1].kind, RuleKind::Number { id, .. } if id == feature_id(b"", 1)));
}

#[test]
fn fields_that_expressions_read_are_told_from_those_of_bare_slots() {
    let read = |changes| parse(changes).unwrap().read_fields;
    assert_eq!(read(json!({})), [true, false, false, false]);
    assert_eq!(
        read(json!({"event_id": ["text", 3]})),
        [true, false, false, true]
    );
    assert_eq!(
        read(json!({"timestamp": ["time", 2]})),
        [true, false, true, false]
    );
    assert_eq!(
        read(json!({"importance": ["default", ["number", 1], 2]})),
        [true, true, false, false]
    );
    let nested = slots(&[(
        "category",
        json!(["concat", ["text", 1], ["const", "x"], ["bool", 3]]),
    )]);
    assert_eq!(read(nested), [true, true, false, true]);
}

#[test]
fn fields_lie_below_the_objects_of_their_paths() {
    let fields = json!([["y"], ["o", "c"], ["o", "d", "e"], ["o", "d", "f"]]);
    let plan = parse(json!({"fields": fields})).unwrap();
    assert_eq!(
        plan.fields_below,
        [vec![0, 1, 2, 3], vec![1, 2, 3], vec![2, 3]]
    );
    assert_eq!(plan.field_names, ["y", "o.c", "o.d.e", "o.d.f"]);
}

#[test]
fn a_field_may_be_an_object_on_the_way_to_others() {
    for fields in [json!([["o"], ["o", "c"]]), json!([["o", "c"], ["o"]])] {
        let plan = parse(json!({"fields": fields})).unwrap();
        assert_eq!(plan.fields_below.len(), 2, "{fields}");
    }
}

#[test]
fn a_label_may_be_a_bool() {
    let plan = parse(json!({"label": ["bool", 0]})).unwrap();
    assert!(matches!(plan.roles.label, Number::OfBool(_)));
    assert!(plan.roles.event_id.is_none() && plan.roles.served.is_none());
    assert!(plan.roles.label_time.is_none() && plan.roles.segment.is_none());
}

#[test]
fn plans_that_differ_in_learning_alone_share_their_scans() {
    let scan = |changes: Value| parse(changes).unwrap().scan_fingerprint();
    let learner = |key: &str, value: Value| {
        let mut learner = source(json!({}))["learner"].clone();
        learner[key] = value;
        json!({"learner": learner})
    };
    for same in [
        json!({"name": "n"}),
        json!({"learn_after": "record"}),
        json!({"duplicate_window": 11}),
        json!({"evaluate_every": 21}),
        json!({"table": {"max_rows": 5, "admission": 0.5, "expire_after_seconds": null, "expire_below": 0.0}}),
        learner("alpha", json!(0.2)),
        learner("base_rate", json!(0.2)),
    ] {
        assert_eq!(scan(same.clone()), scan(json!({})), "{same}");
    }
    for other in [
        json!({"fields": [["y"], ["a"], ["b"], ["o", "d"]]}),
        json!({"event_id": ["text", 1]}),
        json!({"timestamp": ["time", 1]}),
        json!({"label": ["number", 1]}),
        json!({"importance": ["number", 1]}),
        json!({"served": ["number", 1]}),
        json!({"label_time": ["time", 1]}),
        json!({"segment": ["text", 1]}),
        json!({"unlabelled": "skip"}),
        json!({"max_skew_seconds": 2.5}),
        json!({"slots": []}),
        learner("loss", json!("squared")),
    ] {
        assert_ne!(scan(other.clone()), scan(json!({})), "{other}");
    }
}
