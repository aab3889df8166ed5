use super::*;

fn block(examples: &[usize]) -> Block {
    let mut block = Block {
        empty: 3,
        skipped: 1 << 40,
        ..Block::default()
    };
    for (at, features) in (0..).zip(examples) {
        for feature in 0..*features as u64 {
            block.ids.push(u64::MAX - 1_000 * u64::from(at) - feature);
            block.values.push(-0.25 * feature as f32);
        }
        block.examples.push(Example {
            end: block.ids.len() as u32,
            record: at / 2,
            index: at % 2,
            label: 0.5,
            importance: f32::MIN_POSITIVE,
            served: -1.5,
            event_id: u64::MAX - 7,
            timestamp_us: i64::MIN + 1,
            label_time_us: i64::MAX - 5,
        });
    }
    block.absent = (0..2 * examples.len() as u64).map(|word| !word).collect();
    for text in [Some("é"), None, Some("")].iter().take(examples.len()) {
        block.segments.push(*text);
    }
    block.refusals.push(Refusal {
        record: 9,
        index: 1,
        start: 17,
        end: u32::MAX,
        reason: Reason::TooDeep,
        detail: "é\0".into(),
    });
    block
}

fn kept(blocks: &[Block]) -> Vec<u8> {
    let mut writer = Writer::new(1_234);
    blocks.iter().for_each(|block| writer.push(block));
    writer.finish()
}

#[test]
fn a_block_comes_back_as_it_was() {
    let mut named = block(&[2, 1]);
    named.slots = vec![7, u16::MAX, 0];
    let blocks = [block(&[3, 0, 2]), named, block(&[]), block(&[1])];
    let bytes = kept(&blocks);
    let range = ScannedRange::parse(-5, &bytes).unwrap();
    assert_eq!((range.partition, range.records), (-5, 1_234));
    assert_eq!(range.blocks.len(), blocks.len());
    let mut again = block(&[7]);
    for (scanned, block) in range.blocks.iter().zip(&blocks) {
        scanned.fill(&mut again);
        assert_eq!(format!("{again:?}"), format!("{block:?}"));
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let bytes = kept(&[block(&[2, 1])]);
    for at in 0..bytes.len() {
        assert!(ScannedRange::parse(0, &bytes[..at]).is_err());
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(ScannedRange::parse(0, &flipped).is_err());
        }
    }
}

/// With a checksum that is right.
#[test]
fn columns_that_do_not_fit_are_refused() {
    let refused = |change: fn(&mut Block)| {
        let mut odd = block(&[2, 1]);
        change(&mut odd);
        let bytes = kept(&[odd]);
        ScannedRange::parse(0, &bytes).err().map(|error| error.0)
    };
    assert_eq!(refused(|_| ()), None);
    let stray = Some("a kept scan: features without an example".to_string());
    assert_eq!(refused(|block| block.examples[0].end = 4), stray);
    assert_eq!(refused(|block| block.examples[1].end = 2), stray);
    let no_examples = |block: &mut Block| {
        block.examples.clear();
        block.absent.clear();
        block.segments.clear();
    };
    assert_eq!(refused(no_examples), stray);
    let empty = Some("a kept scan: a feature with id 0".to_string());
    assert_eq!(refused(|block| block.ids[2] = 0), empty);
    assert!(refused(|block| block.values.truncate(1)).is_some());
    let some = Some("a kept scan: slots of some features only".to_string());
    assert_eq!(refused(|block| block.slots.push(1)), some);
    let words = Some("a kept scan: 5 words of absent slots an example".to_string());
    assert_eq!(refused(|block| block.absent = vec![0; 10]), words);
    let segments = Some("a kept scan: 3 segments of 2 examples".to_string());
    assert_eq!(refused(|block| block.segments.push(None)), segments);
    assert_eq!(refused(|block| block.absent.clear()), None);
    assert_eq!(refused(|block| block.segments.clear()), None);
}

#[test]
fn every_reason_is_known_by_its_code() {
    for code in [
        "invalid_json",
        "future_timestamp",
        "no_event_id",
        "too_large",
    ] {
        assert_eq!(Reason::of(code).unwrap().code(), code);
    }
    assert_eq!(Reason::of("none"), None);
}
