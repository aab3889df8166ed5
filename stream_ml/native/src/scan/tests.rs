//! Whole events: what is delivered, and what is refused why.

use super::*;
use crate::hash::feature_id;
use serde_json::{Value as Json, json};

/// A plan over `fields` with these slots (name, kind, expression); `changes` replaces top-level keys.
pub fn plan(fields: Json, slots: Json, changes: Json) -> Arc<Plan> {
    let slots: Vec<Json> = slots.as_array().unwrap().iter().map(|slot| {
        json!({"name": slot[0], "kind": slot[1], "seed": "00000000000000ff", "expr": slot[2]})
    }).collect();
    let mut source = json!({
        "format": 1, "math": 1, "name": "m", "fields": fields, "event_id": null, "timestamp": null,
        "label": ["number", 0], "importance": null, "served": null, "learn_after": "event",
        "unlabelled": "refuse", "max_skew_seconds": 60.0, "duplicate_window": 10, "evaluate_every": 10,
        "slots": slots,
        "learner": {"loss": "logistic", "optimizer": "ftrl", "alpha": 0.1, "beta": 1.0, "l1": 0.0, "l2": 0.0,
            "base_rate": null, "base_rate_events": 1000}
    });
    for (key, value) in changes.as_object().unwrap() {
        source[key] = value.clone();
    }
    Arc::new(Plan::parse(source.to_string().as_bytes()).unwrap())
}

pub fn simple() -> Arc<Plan> {
    let slots = json!([
        ["a", "category", ["text", 1]],
        ["b", "number", ["number", 2]]
    ]);
    plan(json!([["y"], ["a"], ["b"]]), slots, json!({}))
}

pub fn scan(plan: &Arc<Plan>, mode: Mode, record: &[u8]) -> Block {
    let mut block = Block::default();
    Scanner::new(Arc::clone(plan), mode).scan_record(record, 7, 0, &mut block);
    block
}

pub fn reasons(block: &Block) -> Vec<Reason> {
    block
        .refusals
        .iter()
        .map(|refusal| refusal.reason)
        .collect()
}

fn id(text: &str) -> u64 {
    feature_id(text.as_bytes(), 0xff)
}

#[test]
fn features_come_in_slot_order_whatever_the_order_of_keys() {
    for record in [
        r#"{"y":1,"a":"x","b":2.5}"#,
        r#"{"b":2.5,"a":"x","y":1}"#,
        r#" { "b" : 25e-1 , "u" : [{}] , "a":"\u0078","y":1.0 } "#,
    ] {
        let block = scan(&simple(), Mode::Learn, record.as_bytes());
        assert_eq!(block.ids, [id("x"), id("")], "{record}");
        assert_eq!(block.values, [1.0, 2.5]);
        assert_eq!(
            (block.examples[0].label, block.examples[0].record),
            (1.0, 7)
        );
    }
}

#[test]
fn what_is_missing_gives_no_feature() {
    for record in [
        r#"{"y":0}"#,
        r#"{"y":0,"a":null,"b":null}"#,
        r#"{"y":0,"b":0}"#,
        r#"{"y":0,"b":-0.0}"#,
        r#"{"y":0,"b":1e-300}"#,
    ] {
        let block = scan(&simple(), Mode::Learn, record.as_bytes());
        assert_eq!((block.examples.len(), block.ids.len()), (1, 0), "{record}");
    }
}

#[test]
fn the_last_of_repeated_keys_counts() {
    let block = scan(
        &simple(),
        Mode::Learn,
        br#"{"a":[1],"y":5,"a":"x","b":1,"y":1,"b":null}"#,
    );
    assert_eq!(block.ids, [id("x")]);
    assert_eq!(block.examples[0].label, 1.0);
}

#[test]
fn a_poison_event_fails_alone() {
    let record = b"{\"y\":1,\"a\":\"x\"}\n\n{\"y\":1,\"a\":\"z\",\"b\":}  \r\n  {\"y\":0,\"a\":\"w\"}\r\n{\"y\":0";
    let block = scan(&simple(), Mode::Learn, record);
    assert_eq!(block.ids, [id("x"), id("w")]);
    assert_eq!(
        block
            .examples
            .iter()
            .map(|example| example.index)
            .collect::<Vec<_>>(),
        [0, 2]
    );
    let places: Vec<_> = block
        .refusals
        .iter()
        .map(|r| (r.index, &record[r.start as usize..r.end as usize]))
        .collect();
    assert_eq!(
        places,
        [(1, &b"{\"y\":1,\"a\":\"z\",\"b\":}"[..]), (3, b"{\"y\":0")]
    );
}

#[test]
fn a_refused_event_leaves_nothing_behind() {
    let block = scan(
        &simple(),
        Mode::Explain,
        b"{\"y\":1,\"a\":\"x\",\"b\":\"text\"}\n{\"y\":1}",
    );
    assert_eq!(reasons(&block), [Reason::WrongType]);
    assert_eq!(
        (
            block.ids.len(),
            block.values.len(),
            block.slots.len(),
            block.examples.len()
        ),
        (0, 0, 0, 1)
    );
}

#[test]
fn each_rule_refuses_with_its_reason() {
    for (record, reason) in [
        ("{\"y\":1", Reason::InvalidJson),
        ("[1]", Reason::InvalidJson),
        ("{\"y\":1}}", Reason::InvalidJson),
        ("\u{b}{\"y\":1}", Reason::InvalidJson),
        ("\u{c}{\"y\":1}", Reason::InvalidJson),
        ("{\"y\":1,\"b\":[]}", Reason::WrongType),
        ("{\"y\":1,\"a\":{}}", Reason::WrongType),
        ("{\"y\":\"1\"}", Reason::WrongType),
        ("{\"y\":true}", Reason::WrongType),
        ("{\"y\":1,\"b\":1000001}", Reason::OutOfRange),
        ("{\"y\":1,\"unused\":1e999}", Reason::OutOfRange),
        ("{\"y\":1.5}", Reason::OutOfRange),
        ("{\"y\":null}", Reason::NoLabel),
        ("{}", Reason::NoLabel),
    ] {
        let block = scan(&simple(), Mode::Learn, record.as_bytes());
        assert_eq!(reasons(&block), [reason], "{record}");
        assert!(block.examples.is_empty());
    }
    assert_eq!(
        reasons(&scan(&simple(), Mode::Learn, b"{\"y\":1,\"a\":\"\xff\"}")),
        [Reason::InvalidUtf8]
    );
    assert_eq!(
        reasons(&scan(&simple(), Mode::Learn, b"{\"y\":1,\"a\":\"\xff\"")),
        [Reason::InvalidUtf8]
    );
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = |depth: usize| {
        format!(
            "{{\"y\":1,\"u\":{}{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert_eq!(
        reasons(&scan(&simple(), Mode::Learn, deep(31).as_bytes())),
        []
    );
    assert_eq!(
        reasons(&scan(&simple(), Mode::Learn, deep(32).as_bytes())),
        [Reason::TooDeep]
    );
    let large = |size: usize| format!("{{\"y\":1,\"u\":\"{}\"}}", "x".repeat(size - 14));
    assert_eq!(large(100).len(), 100);
    assert_eq!(
        reasons(&scan(&simple(), Mode::Learn, large(MAX_BYTES).as_bytes())),
        []
    );
    let both = format!("{}\n{}", large(MAX_BYTES + 1), large(100));
    let block = scan(&simple(), Mode::Learn, both.as_bytes());
    assert_eq!(
        (reasons(&block), block.examples.len()),
        (vec![Reason::TooLarge], 1)
    );
}

/// A record is read some lines at a time; where it is cut is nobody's business.
#[test]
fn a_long_record_gives_what_its_lines_give_and_says_where_they_are() {
    let lines: Vec<String> = (0..300)
        .map(|at| match at % 7 {
            3 => format!("{{\"y\":1,\"a\":{}", "[".repeat(at)),
            5 => " \t\r".repeat(at),
            _ => format!(" {{\"y\":1,\"a\":\"{}\"}}", "x".repeat(at % 5 * 9_000)),
        })
        .collect();
    let record = lines.join("\n");
    let whole = scan(&simple(), Mode::Learn, record.as_bytes());
    let (mut ids, mut index, mut start) = (vec![], 0, 0);
    let mut refusals = whole.refusals.iter();
    for line in &lines {
        let alone = scan(&simple(), Mode::Learn, line.as_bytes());
        ids.extend(&alone.ids);
        for refused in &alone.refusals {
            let found = refusals.next().unwrap();
            let expected = (index, start + refused.start, start + refused.end);
            assert_eq!((found.index, found.start, found.end), expected);
        }
        index += (alone.examples.len() + alone.refusals.len()) as u32;
        start += line.len() as u32 + 1;
    }
    assert_eq!((whole.ids, refusals.next()), (ids, None));
    assert_eq!((whole.examples.len(), whole.refusals.len()), (214, 43));
}

#[test]
fn scoring_asks_for_features_alone() {
    let slots = json!([["a", "category", ["text", 1]]]);
    let changes = json!({"timestamp": ["time", 2], "event_id": ["text", 3]});
    let plan = plan(json!([["y"], ["a"], ["t"], ["id"]]), slots, changes);
    let block = scan(
        &plan,
        Mode::Score,
        br#"{"y":"no number","a":"x","t":"no time"}"#,
    );
    assert_eq!(block.ids, [id("x")]);
    let example = block.examples[0];
    assert!(example.label.is_nan() && example.event_id == 0 && example.timestamp_us == i64::MIN);
}

#[test]
fn blank_records_are_counted_and_blank_lines_are_not_events() {
    for record in [&b""[..], b" \r\n\t\n"] {
        assert_eq!(scan(&simple(), Mode::Learn, record).empty, 1);
    }
    let block = scan(&simple(), Mode::Learn, b"\n\n{\"y\":1}\n");
    assert_eq!((block.empty, block.examples[0].index), (0, 0));
}

#[test]
fn paths_lead_into_objects() {
    let slots = json!([
        ["age", "number", ["number", 1]],
        ["city", "category", ["text", 2]]
    ]);
    let plan = plan(
        json!([["y"], ["user", "age"], ["user", "home", "city"]]),
        slots,
        json!({}),
    );
    let features = |record: &str| {
        let block = scan(&plan, Mode::Learn, record.as_bytes());
        (
            block.ids,
            block.refusals.first().map(|refusal| refusal.reason),
        )
    };
    let both = vec![id(""), id("Rome")];
    assert_eq!(
        features(r#"{"y":1,"user":{"age":3,"home":{"city":"Rome"}}}"#),
        (both, None)
    );
    assert_eq!(features(r#"{"y":1,"age":3,"city":"Rome"}"#), (vec![], None));
    assert_eq!(
        features(r#"{"y":1,"user":{"age":3},"user":{"home":{"city":"Rome"}}}"#),
        (vec![id("Rome")], None)
    );
    assert_eq!(
        features(r#"{"y":1,"user":{"age":3},"user":null}"#),
        (vec![], None)
    );
    assert_eq!(
        features(r#"{"y":1,"user":3,"user":{"age":3}}"#),
        (vec![id("")], None)
    );
    assert_eq!(
        features(r#"{"y":1,"user":3}"#),
        (vec![], Some(Reason::WrongType))
    );
    assert_eq!(
        features(r#"{"y":1,"user":{"home":[]}}"#),
        (vec![], Some(Reason::WrongType))
    );
}

#[test]
fn what_was_guessed_before_changes_nothing() {
    let plan = simple();
    let records = [
        r#"{"y":1,"a":"x","b":2}"#,
        r#"{"u":1,"y":1,"a":"x","b":2}"#,
        r#"{"b":2,"u":{"y":7},"a":"x","y":1}"#,
        r#"{"y" :1,"a": "x","b":2,"v":null}"#,
        r#"{"y":1,"a":"x","b":2,"y":1}"#,
        r#"{"a":"x","b":2,"\u0079":1}"#,
    ];
    let mut scanner = Scanner::new(Arc::clone(&plan), Mode::Learn);
    for first in records {
        for second in records {
            for record in [first, second, first] {
                let mut block = Block::default();
                scanner.scan_record(record.as_bytes(), 7, 0, &mut block);
                assert_eq!(
                    block.ids,
                    [id("x"), id("")],
                    "{record} among {first} {second}"
                );
                assert_eq!(
                    (&block.values[..], block.examples[0].label),
                    (&[1.0, 2.0][..], 1.0)
                );
            }
        }
    }
}

/// Producers leave out what is empty; a slot must not keep what it had in an event of other fields.
#[test]
fn an_event_without_a_field_has_nothing_of_the_events_before() {
    let (whole, without_a, without_b, neither) = (
        r#"{"y":1,"a":"x","b":2}"#,
        r#"{"y":1,"b":3}"#,
        r#"{"y":1,"a":"z"}"#,
        r#"{"y":1}"#,
    );
    let mut scanner = Scanner::new(simple(), Mode::Learn);
    for record in [whole, without_a, without_b, neither, without_a, whole] {
        let alone = scan(&simple(), Mode::Learn, record.as_bytes());
        for _ in 0..4 {
            let mut block = Block::default();
            scanner.scan_record(record.as_bytes(), 7, 0, &mut block);
            let found = (&block.ids, &block.values);
            assert_eq!(found, (&alone.ids, &alone.values), "{record}");
        }
    }
}

#[test]
fn explaining_names_slots_and_values() {
    let slots = json!([
        ["n", "number", ["number", 1]],
        ["x", "category", ["cross", ["text", 2], ["const", "é"]]],
        ["w", "set", ["words", ["text", 2]]]
    ]);
    let plan = plan(json!([["y"], ["n"], ["t"]]), slots, json!({}));
    let mut scanner = Scanner::new(plan, Mode::Explain);
    let mut block = Block::default();
    scanner.scan_record(r#"{"n":2.50,"t":"Big Boat"}"#.as_bytes(), 0, 0, &mut block);
    assert_eq!(scanner.texts(), ["2.5", "Big Boat × é", "big", "boat"]);
    assert_eq!(block.slots, [0, 1, 2, 2]);
    assert!(block.examples[0].label.is_nan());
}

#[test]
fn a_bomb_of_elements_is_refused() {
    let slots = json!([[
        "x",
        "set",
        ["cross", ["words", ["text", 1]], ["words", ["text", 2]]]
    ]]);
    let plan = plan(json!([["y"], ["a"], ["b"]]), slots, json!({}));
    let words = |count: usize| (0..count).map(|at| format!("w{at} ")).collect::<String>();
    let event = |count| {
        format!(
            "{{\"y\":1,\"a\":\"{}\",\"b\":\"{}\"}}",
            words(count),
            words(count)
        )
    };
    assert_eq!(
        scan(&plan, Mode::Learn, event(256).as_bytes()).ids.len(),
        65_536
    );
    assert_eq!(
        reasons(&scan(&plan, Mode::Learn, event(257).as_bytes())),
        [Reason::TooLarge]
    );
}
