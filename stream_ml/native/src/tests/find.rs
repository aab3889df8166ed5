use super::*;
use crate::json::Window;

#[test]
fn nothing_survives_the_turn_of_the_event_number() {
    let plan = crate::scan::tests::simple();
    let mut finder = Finder::new(plan);
    let mut window = Window::new();
    finder.event = u32::MAX - 2;
    for (event, there) in [
        (r#"{"y":1,"b":2}"#, true),
        (r#"{"y":1}"#, false),
        ("{}", false),
        ("{}", false),
    ] {
        window.hold(event.as_bytes());
        finder.find(Reader::new(&window), 0).unwrap();
        assert_eq!(
            finder.fields(window.held()).number(2).unwrap().is_some(),
            there
        );
    }
}

/// Whether each of these events, one after the other, is read in the quick way.
fn quick_ways(events: &[&str]) -> Vec<bool> {
    let mut finder = Finder::new(crate::scan::tests::simple());
    let mut window = Window::new();
    let mut way = |event: &&str| {
        window.hold(event.as_bytes());
        finder.find(Reader::new(&window), 0).unwrap();
        finder.quick_features().is_some()
    };
    events.iter().map(&mut way).collect()
}

#[test]
fn the_second_event_of_a_shape_takes_the_quick_way() {
    let event = r#"{"y":1,"unused":"u","a":"x","b":2.5}"#;
    assert_eq!(quick_ways(&[event; 3]), [false, true, true]);
    let plain = [
        event,
        r#"{"y":0,"unused":[],"a":"longer than eight","b":null}"#,
        r#"{"y":0,"unused":{},"a":7,"b":0}"#,
    ];
    assert_eq!(quick_ways(&plain), [false, true, true]);
}

#[test]
fn what_is_not_plain_takes_the_general_way() {
    let event = r#"{"y":1,"a":"x","b":2.5}"#;
    for other in [
        r#"{"y":1,"a":"\u0078","b":2.5}"#,
        r#"{"y":1,"b":2.5,"a":"x"}"#,
        r#"{"y":1,"a":"x"}"#,
        r#"{ "y":1,"a":"x","b":2.5}"#,
        r#"{"y":1,"a":"x","b":"text"}"#,
        r#"{"y":1,"a":1.0,"b":2}"#,
        r#"{"y":1,"a":-0,"b":2}"#,
        r#"{"y":1,"a":"x","b":1e7}"#,
        r#"{"y":1,"a":"x","b":2.5,"c":1}"#,
        r#"{"y":1,"a":"x","b":2.5} "#,
        r#"{"y":1,"a":{},"b":2.5}"#,
    ] {
        assert_eq!(
            quick_ways(&[event, event, other]),
            [false, true, false],
            "{other}"
        );
    }
}

#[test]
fn attempts_become_rare_where_the_order_always_changes() {
    let orders = [
        r#"{"y":1,"a":"x","b":2}"#,
        r#"{"b":2,"a":"x","y":1}"#,
        r#"{"a":"x","y":1,"b":2}"#,
    ];
    let mut finder = Finder::new(crate::scan::tests::simple());
    let mut window = Window::new();
    let mut attempts = 0;
    for event in orders.iter().cycle().take(3000) {
        window.hold(event.as_bytes());
        attempts += usize::from(finder.quick.as_ref().is_some_and(Quick::is_due));
        finder.find(Reader::new(&window), 0).unwrap();
    }
    assert!((5..20).contains(&attempts), "{attempts}");
}
