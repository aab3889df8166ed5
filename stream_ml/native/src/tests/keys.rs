use super::*;
use crate::json::Window;

fn field(field: u16) -> Target {
    Target { field, node: 0 }
}

const UNUSED: Target = Target { field: 99, node: 0 };

fn keys(names: &[&str]) -> Keys {
    let names: Vec<_> = names
        .iter()
        .zip(0..)
        .map(|(name, at)| (0, name.to_string(), field(at)))
        .collect();
    Keys::new(1, &names, UNUSED)
}

fn find(keys: &mut Keys, node: u16, previous: Key, name: &str) -> Option<Key> {
    let mut window = Window::new();
    window.hold(format!("{{\"{name}\":1}}").as_bytes());
    keys.find(node, previous, Reader::new(&window), 2, 2 + name.len())
}

fn guessed(keys: &Keys, previous: Key, input: &str) -> Option<(Target, usize)> {
    let mut window = Window::new();
    window.hold(format!("{{{input}").as_bytes());
    let entry = keys.entry(keys.entry(previous).follower);
    let reader = Reader::new(&window);
    assert_eq!(entry.matches(reader, 0), None);
    Some((entry.target, entry.matches_after(reader, 0)? - 1))
}

#[test]
fn keys_of_any_length_are_guessed_whole() {
    for length in 0..40 {
        let name = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqr"[..length].to_string();
        let keys = keys(&[&name]);
        assert_eq!(
            guessed(&keys, 0, &format!("\"{name}\":1")),
            Some((field(0), length + 3))
        );
        assert_eq!(guessed(&keys, 0, &format!("\"{name}x\":1")), None);
        assert_eq!(guessed(&keys, 0, &format!("\"{name}\" :1")), None);
        if length > 0 {
            assert_eq!(guessed(&keys, 0, &format!("\"{}?\":1", &name[1..])), None);
            assert_eq!(guessed(&keys, 0, &format!("\"?{}\":1", &name[1..])), None);
        }
    }
}

#[test]
fn the_end_of_an_object_is_no_key() {
    let mut keys = keys(&["a", ""]);
    assert_eq!(guessed(&keys, 0, "\"\":1"), None);
    let last = find(&mut keys, 0, 0, "").unwrap();
    assert_eq!(guessed(&keys, last, "\"\":1"), None);
}

#[test]
fn the_last_follower_is_guessed() {
    let mut keys = keys(&["a", "b", "c"]);
    assert_eq!(guessed(&keys, 0, "\"c\":"), None);
    let c = find(&mut keys, 0, 0, "c").unwrap();
    assert_eq!(guessed(&keys, 0, "\"c\":"), Some((field(2), 4)));
    let a = find(&mut keys, 0, c, "a").unwrap();
    assert_eq!(guessed(&keys, c, "\"a\":"), Some((field(0), 4)));
    assert_eq!(keys.entry(a).target, field(0));
}

#[test]
fn a_name_that_needs_escapes_is_never_guessed() {
    let mut keys = keys(&["a\"b", "c\\d", "e\nf"]);
    assert_eq!(guessed(&keys, 0, "\"a\"b\":1"), None);
    let key = keys.find_unescaped(0, 0, b"a\"b").unwrap();
    assert_eq!(keys.entry(key).target, field(0));
    assert_eq!(guessed(&keys, 0, "\"a\"b\":1"), None);
}

#[test]
fn one_name_in_two_objects_is_two_keys() {
    let names = [
        (0, "id".to_string(), field(0)),
        (1, "id".to_string(), field(1)),
    ];
    let mut keys = Keys::new(2, &names, UNUSED);
    let outer = find(&mut keys, 0, 0, "id").unwrap();
    let inner = find(&mut keys, 1, 1, "id").unwrap();
    assert_eq!(
        (keys.entry(outer).target, keys.entry(inner).target),
        (field(0), field(1))
    );
    assert_eq!(guessed(&keys, outer, "\"id\":"), None);
}

#[test]
fn a_name_is_found_wherever_it_stands() {
    for length in 0..40 {
        let name = &"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqr"[..length];
        let mut keys = keys(&[name, "other"]);
        let found = find(&mut keys, 0, 0, name).unwrap();
        assert_eq!(keys.find_unescaped(0, 0, name.as_bytes()), Some(found));
        assert_eq!(keys.entry(found).target, field(0));
    }
}

#[test]
fn a_bounded_number_of_unused_keys_is_remembered() {
    let mut keys = keys(&["a"]);
    for at in 0..10_000 {
        find(&mut keys, 0, 0, &format!("unused{at}"));
    }
    assert_eq!(
        find(&mut keys, 0, 0, "unused0").map(|key| keys.entry(key).target),
        Some(UNUSED)
    );
    assert_eq!(find(&mut keys, 0, 0, "one more"), None);
    assert!(keys.entries.len() <= MAX_LEARNED + 2);
    assert_eq!(
        find(&mut keys, 0, 0, "a").map(|key| keys.entry(key).target),
        Some(field(0))
    );
}

#[test]
fn long_and_wide_names_are_not_remembered_but_found() {
    let long = "x".repeat(100);
    let mut keys = keys(&[&long, "é"]);
    assert!(find(&mut keys, 0, 0, &long).is_some());
    assert!(find(&mut keys, 0, 0, "é").is_some());
    assert!(find(&mut keys, 0, 0, &"y".repeat(100)).is_none());
    assert!(find(&mut keys, 0, 0, "ü").is_none());
}
