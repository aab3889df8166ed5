use super::*;

/// A `score` message as thriftpy2 writes it: `header`, then the arguments, byte by byte.
fn message(arguments: &[u8]) -> Vec<u8> {
    let mut frame = b"\x80\x01\x00\x01\x00\x00\x00\x05score\x00\x00\x00\x07".to_vec();
    frame.extend_from_slice(arguments);
    frame
}

fn events(count: i32, events: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"\x0f\x00\x01\x0b".to_vec();
    bytes.extend_from_slice(&count.to_be_bytes());
    for event in events {
        bytes.extend_from_slice(&(event.len() as i32).to_be_bytes());
        bytes.extend_from_slice(event);
    }
    bytes
}

fn read(frame: &[u8]) -> Result<ScoreArguments, Refused> {
    let mut reader = CallReader::new(frame);
    let mut arguments = ScoreArguments::default();
    reader.header()?;
    reader.score_arguments(10, &mut arguments)?;
    Ok(arguments)
}

fn is_malformed(frame: &[u8]) -> bool {
    matches!(read(frame), Err(Refused::Malformed(_)))
}

#[test]
fn a_call_is_read_without_copying_its_events() {
    let mut arguments = events(2, &[b"{}", b"{\"a\":1}"]);
    arguments.extend_from_slice(b"\x0c\x00\x02\x0b\x00\x01\x00\x00\x00\x01m\x02\x00\x02\x01");
    arguments.extend_from_slice(b"\x04\x00\x04\x40\x08\x00\x00\x00\x00\x00\x00\x00\x00");
    let frame = message(&arguments);
    let read = read(&frame).unwrap();
    let events: Vec<&[u8]> = read
        .events
        .iter()
        .map(|event| &frame[event.clone()])
        .collect();
    assert_eq!(events, [&b"{}"[..], b"{\"a\":1}"]);
    assert_eq!(
        read.options,
        ScoreOptions {
            model: Some("m".into()),
            uncertainty: true,
            max_weights_age_seconds: Some(3.0),
            ..ScoreOptions::default()
        }
    );
}

#[test]
fn strict_and_unstrict_headers_are_read_and_told_apart() {
    let strict = CallReader::new(&message(b"\x00")).header().unwrap();
    let bare = b"\x00\x00\x00\x05score\x01\x00\x00\x00\x07\x00";
    let unstrict = CallReader::new(bare).header().unwrap();
    assert!(strict.strict && !unstrict.strict);
    for header in [strict, unstrict] {
        assert_eq!((header.name.as_str(), header.sequence), ("score", 7));
        assert_eq!(header.kind, TMessageType::Call);
    }
}

#[test]
fn every_truncation_of_a_call_is_refused() {
    let mut arguments = events(2, &[b"{}", b"{}"]);
    arguments.extend_from_slice(b"\x0c\x00\x02\x0b\x00\x05\x00\x00\x00\x02id\x00\x00");
    let frame = message(&arguments);
    assert!(read(&frame).is_ok());
    for length in 0..frame.len() {
        assert!(is_malformed(&frame[..length]), "{length} bytes");
    }
}

#[test]
fn declared_counts_and_lengths_beyond_the_frame_are_refused_before_anything_is_allocated() {
    for hostile in [
        &b"\x0f\x00\x01\x0b\xff\xff\xff\xff"[..], // minus one event
        b"\x0f\x00\x01\x0b\x00\x00\x00\x01\x7f\xff\xff\xff", // an event of 2 GiB
        b"\x0f\x00\x01\x0b\x00\x00\x00\x01\xff\xff\xff\xff",
        b"\x0f\x00\x63\x0c\x7f\xff\xff\xff", // an unknown list of 2^31 structs
        b"\x0f\x00\x63\x02\x00\x00\x10\x00", // of more booleans than there are bytes
        b"\x0d\x00\x63\x0b\x0b\x7f\xff\xff\xff", // an unknown map
        b"\x0b\x00\x63\x7f\xff\xff\xff",     // an unknown string
        b"\x0c\x00\x02\x0b\x00\x01\x7f\xff\xff\xff", // a model's name of 2 GiB
    ] {
        let mut arguments = hostile.to_vec();
        arguments.push(0);
        assert!(is_malformed(&message(&arguments)), "{hostile:x?}");
    }
    assert!(is_malformed(b"\x7f\xff\xff\xffscore")); // an unstrict name of 2 GiB
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        let mut arguments = events(0, &[]);
        arguments.extend(b"\x0c\x00\x63".repeat(depth));
        arguments.extend(vec![0; depth + 1]);
        message(&arguments)
    };
    assert!(read(&nested(3)).is_ok());
    assert!(is_malformed(&nested(100)));
    assert!(is_malformed(&nested(100_000)));
    let mut lists = b"\x0f\x00\x63".to_vec();
    lists.extend(b"\x0f\x00\x00\x00\x01".repeat(10_000));
    assert!(is_malformed(&message(&lists)));
}

#[test]
fn more_events_than_allowed_is_a_bad_request_and_not_a_broken_one() {
    let too_many = message(&events(11, &[&b"{}"[..]; 11]));
    assert!(matches!(read(&too_many), Err(Refused::BadRequest(why)) if why.contains("11")));
    let none = message(b"\x00");
    assert!(matches!(read(&none), Err(Refused::BadRequest(_))));
}

#[test]
fn fields_of_newer_clients_are_skipped_and_bytes_after_the_end_are_not() {
    let mut arguments = b"\x08\x00\x63\x00\x00\x00\x01".to_vec();
    arguments.extend(events(1, &[b"{}"]));
    arguments.push(0);
    assert_eq!(read(&message(&arguments)).unwrap().events.len(), 1);
    arguments.push(0);
    assert!(is_malformed(&message(&arguments)));
}

#[test]
fn no_mutation_of_a_call_does_harm() {
    let mut arguments = events(3, &[b"{\"a\":1}", b"", b"{}"]);
    arguments.extend_from_slice(b"\x0c\x00\x02\x0b\x00\x01\x00\x00\x00\x01m\x00\x00");
    let frame = message(&arguments);
    for at in 0..frame.len() {
        for value in 0..=255 {
            let mut mutant = frame.clone();
            mutant[at] = value;
            let mut scores = ScoreArguments::default();
            let mut reader = CallReader::new(&mutant);
            if reader.header().is_ok() && reader.score_arguments(10, &mut scores).is_ok() {
                assert!(scores.events.iter().all(|event| event.end <= mutant.len()));
            }
        }
    }
}
