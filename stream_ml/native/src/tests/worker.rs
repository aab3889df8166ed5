use serde_json::{Value as Json, json};

use super::*;
use crate::replica::Replica;
use crate::replica::tests::{plan, rows, state};
use crate::reply::tests::{Reply, decoded};

/// A front with these models served.
pub(crate) fn front(models: &[&str]) -> Arc<Front> {
    let front = Front::default();
    for model in models {
        front.serve(model, "v", replica());
    }
    Arc::new(front)
}

fn replica() -> Arc<Replica> {
    let replica = Replica::new(plan(), 0).unwrap();
    let changed = rows(&[(1, 1.0, 1.0), (2, 2.0, 2.0)]);
    replica
        .apply(&changed, &[], &state().to_bytes(), 7, 100.0)
        .unwrap();
    Arc::new(replica)
}

/// The same model after it has learned something else: every score of it is another.
fn learned_on() -> Arc<Replica> {
    let replica = replica();
    let mut state = state();
    state.bias.z -= 3.0;
    replica
        .apply(&[], &[], &state.to_bytes(), 8, 101.0)
        .unwrap();
    replica
}

fn worker(front: &Arc<Front>) -> Worker {
    Worker::new(Arc::clone(front), Limits::default(), Rc::default())
}

fn message(name: &str, arguments: &[u8]) -> Vec<u8> {
    let mut frame = b"\x80\x01\x00\x01".to_vec();
    frame.extend_from_slice(&(name.len() as i32).to_be_bytes());
    frame.extend_from_slice(name.as_bytes());
    frame.extend_from_slice(&9i32.to_be_bytes());
    frame.extend_from_slice(arguments);
    frame.push(0);
    frame
}

/// A call of `score`, for a model if one is named; `options` are further fields of the options.
pub(crate) fn score(model: Option<&str>, events: &[&str], options: &[u8]) -> Vec<u8> {
    let mut arguments = b"\x0f\x00\x01\x0b".to_vec();
    arguments.extend_from_slice(&(events.len() as i32).to_be_bytes());
    for event in events {
        arguments.extend_from_slice(&(event.len() as i32).to_be_bytes());
        arguments.extend_from_slice(event.as_bytes());
    }
    arguments.extend_from_slice(b"\x0c\x00\x02");
    if let Some(model) = model {
        arguments.extend_from_slice(b"\x0b\x00\x01");
        arguments.extend_from_slice(&(model.len() as i32).to_be_bytes());
        arguments.extend_from_slice(model.as_bytes());
    }
    arguments.extend_from_slice(options);
    arguments.push(0);
    message("score", &arguments)
}

fn answer(worker: &mut Worker, frame: &[u8]) -> Reply {
    let mut output = Vec::new();
    assert!(matches!(worker.answer(frame, &mut output), Next::Call));
    decoded(&output)
}

/// The outcomes that were counted.
fn counted(front: &Front) -> Vec<(&'static str, u64)> {
    front
        .counters
        .calls()
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// `max_weights_age_seconds` as a field of the options.
fn max_age(seconds: f64) -> Vec<u8> {
    [&b"\x04\x00\x04"[..], &seconds.to_be_bytes()].concat()
}

#[test]
fn events_are_scored_in_order_and_a_bad_one_alone_is_refused() {
    let front = front(&["m"]);
    let mut worker = worker(&front);
    let reply = answer(
        &mut worker,
        &score(None, &[r#"{"x":1}"#, "nonsense", r#"{"x":2}"#], b""),
    );
    let response = &reply.fields["0"];
    let scores = response["1"].as_array().unwrap();
    assert_eq!(scores.len(), 3);
    assert!(scores[0]["1"].is_f64() && scores[2]["1"].is_f64());
    assert_eq!(scores[1]["5"]["1"], "invalid_json");
    assert_eq!(
        (&response["2"], &response["3"], &response["5"]),
        (&json!("m"), &json!("v"), &json!(7))
    );
    assert_eq!(response["4"], plan().fingerprint());
    assert_eq!(
        (reply.sequence, counted(&front)),
        (9, vec![("answered", 1)])
    );
    assert_eq!(front.counters.events_scored.load(Relaxed), 2);
    assert_eq!(front.counters.events_refused.load(Relaxed), 1);
}

#[test]
fn the_correlation_id_comes_back() {
    let mut worker = worker(&front(&["m"]));
    let frame = score(Some("m"), &["{}"], b"\x0b\x00\x05\x00\x00\x00\x02id");
    assert_eq!(answer(&mut worker, &frame).fields["0"]["9"], "id");
}

#[test]
fn a_call_with_a_correlation_id_is_noted_with_what_answered_it() {
    let front = front(&["m"]);
    front.noted.take(9);
    let mut worker = worker(&front);
    answer(&mut worker, &score(Some("m"), &["{}"], b""));
    let identified = b"\x0b\x00\x05\x00\x00\x00\x02id";
    answer(&mut worker, &score(Some("m"), &["{}", "{}"], identified));
    let [call] = &front.noted.take(9)[..] else {
        panic!("one of the two");
    };
    assert_eq!(call.outcome, Outcome::Answered);
    assert_eq!(
        (call.correlation_id.as_deref(), call.events),
        (Some("id"), 2)
    );
    let Said::Scores {
        model,
        variant,
        step,
        seconds,
    } = &call.said
    else {
        panic!("{call:?}");
    };
    assert_eq!((model.as_str(), variant.as_str(), *step), ("m", "v", 7));
    assert!(*seconds >= 0.0);
}

#[test]
fn a_call_without_an_answer_is_noted_with_its_own_id_and_why() {
    let front = front(&["m"]);
    front.noted.take(9);
    let mut worker = worker(&front);
    let identified = b"\x0b\x00\x05\x00\x00\x00\x02id";
    answer(&mut worker, &score(Some("m"), &["{}"], identified));
    answer(&mut worker, &score(Some("other"), &["{}"], identified));
    answer(&mut worker, &score(Some("other"), &["{}"], b""));
    let calls = front.noted.take(9);
    let ids: Vec<_> = calls
        .iter()
        .map(|call| (call.outcome, call.correlation_id.as_deref()))
        .collect();
    assert_eq!(
        ids,
        [
            (Outcome::UnknownModel, Some("id")),
            (Outcome::UnknownModel, None),
            (Outcome::Answered, Some("id")),
        ]
    );
    assert_eq!(
        calls[1].said,
        Said::Fault("no model \"other\" here; served: m".to_owned())
    );
}

#[test]
fn a_model_that_cannot_be_found_is_told_apart() {
    let waiting = front(&[]);
    waiting.expect("m");
    for (front, model, field, outcome) in [
        (front(&[]), None, "1", "no_model_yet"),
        (front(&[]), Some("m"), "1", "no_model_yet"),
        (waiting, Some("m"), "1", "no_model_yet"),
        (front(&["a", "b"]), Some("m"), "2", "unknown_model"),
        (front(&["a", "b"]), None, "4", "bad_request"),
    ] {
        let reply = answer(&mut worker(&front), &score(model, &["{}"], b""));
        assert!(
            reply.fields[field]["1"].is_string(),
            "{outcome}: {}",
            reply.fields
        );
        assert_eq!(counted(&front), [(outcome, 1)]);
    }
}

#[test]
fn an_unknown_model_is_answered_with_the_known_ones() {
    let reply = answer(
        &mut worker(&front(&["b", "a"])),
        &score(Some("m"), &["{}"], b""),
    );
    let expected = json!({"2": {"1": "no model \"m\" here; served: a, b", "2": ["a", "b"]}});
    assert_eq!(reply.fields, expected);
}

#[test]
fn of_a_long_name_an_answer_repeats_only_the_beginning() {
    let long = "é".repeat(1 << 20);
    for (front, name, model) in [
        (front(&["m"]), long.as_str(), None),
        (front(&["m"]), "score", Some(long.as_str())),
        (front(&[]), "score", Some(long.as_str())),
    ] {
        let frame = match model {
            Some(_) => score(model, &["{}"], b""),
            None => message(name, b""),
        };
        let mut output = Vec::new();
        assert!(matches!(
            worker(&front).answer(&frame, &mut output),
            Next::Call
        ));
        assert!(output.len() < 500, "{} bytes", output.len());
        assert!(String::from_utf8_lossy(&output).contains("éééé"));
    }
}

#[test]
fn a_model_that_was_expected_is_served_once_it_is_there_and_stays() {
    let front = front(&[]);
    front.expect("m");
    front.serve("m", "v", replica());
    front.expect("m");
    let reply = answer(&mut worker(&front), &score(Some("m"), &["{}"], b""));
    assert_eq!(reply.fields["0"]["2"], "m");
}

#[test]
fn weights_older_than_the_call_allows_are_refused() {
    let front = front(&["m"]);
    let mut worker = worker(&front);
    let refused = answer(&mut worker, &score(None, &["{}"], &max_age(3600.0)));
    assert!(refused.fields["3"]["2"].as_f64().unwrap() > 3600.0);
    let answered = answer(&mut worker, &score(None, &["{}"], &max_age(f64::MAX)));
    assert!(answered.fields["0"].is_object());
    assert_eq!(counted(&front), [("answered", 1), ("stale_weights", 1)]);
}

#[test]
fn an_age_limit_that_is_no_number_refuses_too() {
    for (age, limit, refuses) in [
        (5.0, None, false),
        (5.0, Some(5.0), false),
        (5.0, Some(4.9), true),
        (0.0, Some(f64::NAN), true),
        (5.0, Some(f64::INFINITY), false),
        (0.0, Some(-1.0), true),
    ] {
        assert_eq!(too_old(age, limit).is_some(), refuses, "{age} {limit:?}");
    }
}

#[test]
fn a_late_thread_sheds_scores_and_still_tells_its_status() {
    let front = front(&["m"]);
    let lag = Rc::new(Cell::new(Duration::from_secs(2)));
    let mut worker = Worker::new(Arc::clone(&front), Limits::default(), Rc::clone(&lag));
    let reply = answer(&mut worker, &score(None, &["{}"], b""));
    assert_eq!(reply.fields["5"]["2"], 4.0, "come back after twice the lag");
    assert!(answer(&mut worker, &message("status", b"")).fields["0"].is_object());
    lag.set(Limits::default().lag);
    assert!(answer(&mut worker, &score(None, &["{}"], b"")).fields["0"].is_object());
    assert_eq!(counted(&front), [("answered", 2), ("overloaded", 1)]);
}

#[test]
fn more_events_than_allowed_is_a_bad_request() {
    let front = front(&["m"]);
    let limits = Limits {
        events: 1,
        ..Limits::default()
    };
    let mut worker = Worker::new(Arc::clone(&front), limits, Rc::default());
    let reply = answer(&mut worker, &score(None, &["{}", "{}"], b""));
    assert!(
        reply.fields["4"]["1"]
            .as_str()
            .unwrap()
            .contains("2 events")
    );
    assert_eq!(counted(&front), [("bad_request", 1)]);
}

#[test]
fn status_and_models_tell_the_same_of_each_model() {
    let front = front(&["m"]);
    front.expect("later");
    front.mark_stale("m", true);
    front.mark_stale("later", true);
    front.mark_stale("nobody", true);
    front.set_draining();
    let mut worker = worker(&front);
    let status = answer(&mut worker, &message("status", b"")).fields["0"].clone();
    assert_eq!(
        (&status["1"], &status["4"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!(true))
    );
    let models = answer(&mut worker, &message("models", b"")).fields["0"].clone();
    for models in [&status["5"], &models] {
        assert_eq!(models[0], json!({"1": "later", "2": false}));
        let told = |id: &str| models[1][id].clone();
        let seen = [told("1"), told("2"), told("5"), told("8"), told("9")];
        assert_eq!(Json::from(seen.to_vec()), json!(["m", true, 7, true, 2]));
    }
}

#[test]
fn what_cannot_be_read_is_answered_as_malformed() {
    let front = front(&["m"]);
    let mut worker = worker(&front);
    let unknown = answer(&mut worker, &message("explain", b""));
    assert_eq!(
        (unknown.kind, &unknown.fields["2"]),
        (TMessageType::Exception, &json!(1))
    );
    let broken = answer(
        &mut worker,
        &message("score", b"\x0f\x00\x01\x0b\x7f\xff\xff\xff"),
    );
    assert_eq!(
        (broken.name.as_str(), broken.kind),
        ("score", TMessageType::Exception)
    );
    let mut output = Vec::new();
    let next = worker.answer(b"GET / HTTP/1.1", &mut output);
    assert!(matches!(next, Next::Close));
    assert_eq!(decoded(&output).kind, TMessageType::Exception);
    output.clear();
    worker.refuse_frame(100, 10, &mut output);
    let told = decoded(&output).fields["1"].clone();
    assert!(
        told.as_str()
            .unwrap()
            .starts_with("a frame of 100 bytes, the limit is 10")
    );
    assert_eq!(counted(&front), [("malformed", 4)]);
}

#[test]
fn a_swapped_in_variant_answers_the_next_call_and_the_one_before_is_freed() {
    let front = front(&["a", "b"]);
    let mut worker = worker(&front);
    let variant = |worker: &mut Worker, model| {
        answer(worker, &score(Some(model), &["{}"], b"")).fields["0"]["3"].clone()
    };
    assert_eq!(
        (variant(&mut worker, "a"), variant(&mut worker, "b")),
        (json!("v"), json!("v"))
    );
    front.serve("a", "w", replica());
    assert_eq!(
        front.retired.lock().unwrap().len(),
        1,
        "this thread still scores with it"
    );
    assert_eq!(
        (variant(&mut worker, "a"), variant(&mut worker, "b")),
        (json!("w"), json!("v"))
    );
    assert_eq!(worker.scorers.len(), 2);
    front.free_retired(None);
    assert!(front.retired.lock().unwrap().is_empty());
}

/// The answer to a frame by pieces of so many bytes, how many they were, and what was done between them.
fn in_pieces(
    front: &Arc<Front>,
    turn_bytes: usize,
    frame: &[u8],
    mut between: impl FnMut(&mut Worker),
) -> (Vec<u8>, usize) {
    let limits = Limits {
        turn_bytes,
        event_bytes: 60,
        ..Limits::default()
    };
    let mut worker = Worker::new(Arc::clone(front), limits, Rc::default());
    let (mut output, mut pieces) = (b"the answer before".to_vec(), 1);
    let mut next = worker.answer(frame, &mut output);
    while let Next::Piece(call) = next {
        between(&mut worker);
        next = worker.go_on(*call, frame, &mut output);
        pieces += 1;
    }
    assert!(matches!(next, Next::Call));
    (output.split_off(17), pieces)
}

/// Of different sizes, some refused, one of them too large.
const EVENTS: [&str; 6] = [
    r#"{"c": "a"}"#,
    "",
    r#"{"c": "b", "x": 3, "w": "some words, and more of them"}"#,
    "{broken",
    r#"{"c": "too large too large too large too large too large too large"}"#,
    r#"{"x": -2}"#,
];

#[test]
fn an_answer_in_pieces_is_the_same_whatever_the_thread_answers_between_them() {
    let front = front(&["m", "other"]);
    let frame = score(Some("m"), &EVENTS, &[]);
    let (whole, pieces) = in_pieces(&front, 1 << 20, &frame, |_| unreachable!("in one piece"));
    assert_eq!(pieces, 1);
    let whole = ageless(&whole);
    assert_eq!(whole["1"].as_array().unwrap().len(), EVENTS.len());
    for turn_bytes in [1, 10, 40, 80, 120] {
        let other = score(Some("other"), &EVENTS[..1], &[]);
        let (divided, pieces) = in_pieces(&front, turn_bytes, &frame, |worker| {
            worker.answer(&other, &mut Vec::new());
            front.serve("m", "later", learned_on());
            let mut later = Vec::new();
            worker.answer(&score(Some("m"), &EVENTS[..1], &[]), &mut later);
            assert_ne!(ageless(&later)["1"][0], whole["1"][0]);
        });
        front.serve("m", "v", replica());
        assert_eq!(ageless(&divided), whole, "pieces of {turn_bytes} bytes");
        assert!(pieces > 1);
    }
}

/// The response of an answer but for the weights' age.
fn ageless(output: &[u8]) -> Json {
    let mut response = decoded(output).fields["0"].take();
    assert!(response["7"].take().is_f64());
    response
}

#[test]
fn a_piece_is_one_event_at_least_and_no_more_than_fits() {
    let events = [4..14, 18..18, 22..80, 84..90];
    let ends = |bytes| {
        let mut at = 0;
        std::iter::from_fn(|| {
            let first = at;
            at = end_of_piece(&events, first, bytes);
            (first < at).then_some(at)
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(ends(1), [1, 2, 3, 4]);
    assert_eq!(ends(14), [2, 3, 4]);
    assert_eq!(ends(76), [3, 4]);
    assert_eq!(ends(86), [4]);
    assert_eq!(end_of_piece(&[], 0, 100), 0);
}
