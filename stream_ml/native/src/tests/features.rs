//! From fields to features: bounds, what is absent, and the same features by whatever way.

use super::*;
use crate::block::Block;
use crate::hash::feature_id;
use crate::scan::tests::{plan, reasons, scan};
use crate::scan::{Mode, Scanner};
use serde_json::{Value as Json, json};
use std::sync::Arc;

const SEED: u64 = 0xff;

/// Categories and numbers that are fields alone, with evaluated slots between them.
fn mixed() -> Arc<Plan> {
    let slots = json!([
        ["a", "category", ["text", 1]],
        ["b", "number", ["number", 2]],
        ["ab", "category", ["cross", ["text", 1], ["text", 3]]],
        ["c", "category", ["text", 3]],
        ["b2", "number", ["*", ["number", 2], ["const", 2]]],
        ["d", "number", ["number", 4]]
    ]);
    plan(json!([["y"], ["a"], ["b"], ["c"], ["d"]]), slots, json!({}))
}

fn category(text: &str) -> u64 {
    feature_id(text.as_bytes(), SEED)
}

#[test]
fn slots_give_their_features_in_order_whatever_is_absent() {
    let plan = mixed();
    let number = category("");
    let cross = category("x\u{0}z");
    for (record, values) in [
        (
            r#"{"y":1,"a":"x","b":2,"c":"z","d":3}"#,
            vec![1.0, 2.0, 1.0, 1.0, 4.0, 3.0],
        ),
        (r#"{"y":1,"b":2,"d":3}"#, vec![2.0, 4.0, 3.0]),
        (r#"{"y":1,"a":"x"}"#, vec![1.0]),
        (r#"{"y":1,"d":-0.5}"#, vec![-0.5]),
        (r#"{"y":1,"a":"x","c":"z","b":0}"#, vec![1.0, 1.0, 1.0]),
    ] {
        let block = scan(&plan, Mode::Learn, record.as_bytes());
        assert_eq!(block.values, values, "{record}");
        assert_eq!(block.ids.len(), values.len());
    }
    let whole = scan(
        &plan,
        Mode::Learn,
        br#"{"y":1,"a":"x","b":2,"c":"z","d":3}"#,
    );
    assert_eq!((whole.ids[0], whole.ids[1]), (category("x"), number));
    assert_eq!((whole.ids[3], whole.ids[5]), (category("z"), number));
    assert_ne!(whole.ids[2], cross, "a cross is no concatenation");
}

#[test]
fn named_slots_have_the_same_features_as_the_others() {
    let plan = mixed();
    for record in [
        r#"{"y":1,"a":"x","b":2,"c":"z","d":3}"#,
        r#"{"y":1,"c":"\u00e9","b":-1e-3}"#,
        r#"{"y":1,"a":1.50,"c":true,"d":1e6}"#,
        r#"{"y":1}"#,
    ] {
        let plain = scan(&plan, Mode::Learn, record.as_bytes());
        let mut named = Block::default();
        Scanner::new(Arc::clone(&plan), Mode::Learn)
            .name_slots()
            .scan_record(record.as_bytes(), 0, 0, &mut named);
        assert_eq!((&plain.ids, &plain.values), (&named.ids, &named.values));
        assert_eq!(plain.absent, named.absent, "{record}");
        assert_eq!(named.slots.len(), named.ids.len());
        assert!(named.slots.is_sorted(), "{record}");
        assert!(plain.slots.is_empty());
    }
}

#[test]
fn a_second_event_of_the_same_shape_has_the_features_that_it_has_alone() {
    let plan = mixed();
    let mut scanner = Scanner::new(Arc::clone(&plan), Mode::Learn);
    let mut together = Block::default();
    let records: Vec<String> = (0..40)
        .map(|at| match at % 4 {
            0 => format!(r#"{{"y":1,"a":"x{at}","b":{at},"c":"z","d":1}}"#),
            1 => format!(r#"{{"y":1,"a":{at},"b":{at}.5,"c":"long enough{at}","d":0}}"#),
            2 => r#"{"y":1,"a":null,"b":null,"c":"","d":2}"#.to_string(),
            _ => format!(r#"{{"y":1,"a":"\n{at}","b":1e2,"c":"z","d":-1}}"#),
        })
        .collect();
    for record in &records {
        scanner.scan_record(record.as_bytes(), 0, 0, &mut together);
    }
    assert_eq!(together.refusals.len(), 0);
    for (at, record) in records.iter().enumerate() {
        let alone = scan(&plan, Mode::Learn, record.as_bytes());
        let features = together.features(at);
        assert_eq!(together.ids[features.clone()], alone.ids, "{record}");
        assert_eq!(together.values[features], alone.values, "{record}");
        assert_eq!([together.absent[at]], *alone.absent, "{record}");
    }
}

#[test]
fn a_number_slot_is_bounded_wherever_its_number_comes_from() {
    let plan = mixed();
    for (record, fits) in [
        (r#"{"y":1,"d":1000000}"#, true),
        (r#"{"y":1,"d":-1000000}"#, true),
        (r#"{"y":1,"d":1000000.5}"#, false),
        (r#"{"y":1,"d":-1e7}"#, false),
        (r#"{"y":1,"b":500000}"#, true),
        (r#"{"y":1,"b":500001}"#, false),
        (r#"{"y":1,"b":1e308}"#, false),
    ] {
        let block = scan(&plan, Mode::Learn, record.as_bytes());
        let expected = if fits {
            vec![]
        } else {
            vec![Reason::OutOfRange]
        };
        assert_eq!(reasons(&block), expected, "{record}");
        assert_eq!(
            block.ids.is_empty(),
            !fits,
            "a refused event leaves nothing"
        );
    }
}

#[test]
fn a_wrong_type_in_any_slot_refuses_the_event() {
    let plan = mixed();
    for wrong in [
        r#"{"y":1,"a":[]}"#,
        r#"{"y":1,"a":{}}"#,
        r#"{"y":1,"b":"2"}"#,
        r#"{"y":1,"d":true}"#,
        r#"{"y":1,"c":["z"]}"#,
    ] {
        let mut events = vec![br#"{"y":1,"a":"x","b":2,"c":"z","d":3}"#.to_vec(); 3];
        events[1] = wrong.as_bytes().to_vec();
        let block = scan(&plan, Mode::Learn, &events.join(&b"\n"[..]));
        assert_eq!(reasons(&block), [Reason::WrongType], "{wrong}");
        assert_eq!((block.examples.len(), block.ids.len()), (2, 12), "{wrong}");
    }
}

#[test]
fn the_most_features_of_an_event_are_those_of_its_bound() {
    let slots: Json = json!([
        ["c", "category", ["text", 3]],
        ["w", "set", ["ngrams", ["text", 1], 16]],
        ["v", "set", ["ngrams", ["text", 2], 16]]
    ]);
    let fields = json!([["y"], ["t"], ["u"], ["c"]]);
    let plan = plan(fields, slots, json!({}));
    // No run of sixteen comes again: numbers of eight digits count up. A set has half as many elements at most.
    let mut text: String = (0..MAX_FEATURES / 2).map(|at| format!("{at:08}")).collect();
    text.truncate(MAX_FEATURES / 2 + 15);
    let features = |more: &str| {
        let record = format!("{{\"y\":1,\"t\":\"{text}\",\"u\":\"{text}\"{more}}}");
        let block = scan(&plan, Mode::Learn, record.as_bytes());
        (block.ids.len(), reasons(&block))
    };
    assert_eq!(features(""), (MAX_FEATURES, vec![]));
    assert_eq!(features(r#","c":"one""#), (0, vec![Reason::TooLarge]));
}

#[test]
fn slots_in_the_quick_way_are_those_of_the_way_that_names_them() {
    let plan = mixed();
    let explained = Scanner::new(Arc::clone(&plan), Mode::Explain);
    let quick = Scanner::new(Arc::clone(&plan), Mode::Learn).with_slots();
    let slots = |mut scanner: Scanner| {
        let mut block = Block::default();
        for at in 0..60 {
            let record = match at % 4 {
                0 => format!(r#"{{"y":1,"a":"x{at}","b":{at},"c":"z","d":0}}"#),
                1 => format!(r#"{{"y":1,"a":"x{at}","b":null,"c":"z","d":7}}"#),
                2 => r#"{"y":1,"c":"z","d":2}"#.to_string(),
                _ => r#"{"y":1,"a":null,"b":3,"c":"z","d":2}"#.to_string(),
            };
            scanner.scan_record(record.as_bytes(), 0, 0, &mut block);
        }
        (block.ids, block.slots)
    };
    let (ids, of_each) = slots(quick);
    assert_eq!(ids.len(), of_each.len());
    assert_eq!((ids, of_each), slots(explained));
}

#[test]
fn slots_without_a_feature_are_noted_for_learning() {
    for (record, absent) in [
        (r#"{"y":1,"a":"x","b":2,"c":"z","d":3}"#, 0),
        (r#"{"y":1,"b":2,"d":3}"#, 0b1101),
        (r#"{"y":1,"a":"x"}"#, 0b11_1110),
        (r#"{"y":1,"a":"x","c":"z","b":0}"#, 0b11_0010),
    ] {
        // The first two take the general way, the others the quick one.
        let records = [record; 4].join("\n");
        let block = scan(&mixed(), Mode::Learn, records.as_bytes());
        assert_eq!(block.absent, [absent; 4], "{record}");
        assert_eq!(block.absent_words(), 1);
        let scored = scan(&mixed(), Mode::Score, record.as_bytes());
        assert!(scored.absent.is_empty());
    }
}

#[test]
fn of_many_slots_the_first_are_noted() {
    let slots: Vec<Json> = (0..300)
        .map(|at| json!([format!("s{at}"), "category", ["text", at % 2 + 1]]))
        .collect();
    let plan = plan(json!([["y"], ["a"], ["b"]]), slots.into(), json!({}));
    let block = scan(&plan, Mode::Learn, br#"{"y":1,"a":"x"}"#);
    assert_eq!(block.absent, [0xaaaa_aaaa_aaaa_aaaa; 4]);
    assert_eq!(plan.judging().slots.len(), 256);
}
