use super::*;
use crate::hash::feature_id;
use crate::number::parse_short;
use crate::seeded::Random;

const SLOTS: usize = 37;

/// Lanes of texts, and of numbers in every third slot, in an order of places of their own.
fn filled(random: &mut Random) -> (Lanes, Vec<Feature>) {
    let (mut lanes, mut expected) = (Lanes::default(), Vec::new());
    for slot in 0..SLOTS {
        let (place, seed) = ((slot * 5) % SLOTS, random.next());
        if slot % 3 == 0 {
            let (lane, text) = (
                lanes.add_number(place, seed),
                format!("{}", random.below(2_000) as f64 / 100.0),
            );
            let sign = [1.0, -1.0][slot % 2];
            let short = parse_short(word_of(text.as_bytes())).unwrap();
            lanes.number(lane, short.digits, sign * short.divisor);
            let value: f64 = text.parse().unwrap();
            expected.push((place, seed, (sign * value) as f32));
        } else {
            let length = 4 + random.below(5) as usize;
            let text = &random.next().to_le_bytes()[..length];
            let lane = lanes.add_text(place, seed);
            // What stands behind the text does not matter.
            lanes.text(lane, word_of(text), length as u64);
            expected.push((place, feature_id(text, seed), 1.0));
        }
    }
    (lanes, expected)
}

fn word_of(text: &[u8]) -> u64 {
    let mut word = *b",,,,,,,,";
    word[..text.len()].copy_from_slice(text);
    u64::from_le_bytes(word)
}

fn bits((place, id, x): Feature) -> (usize, u64, u32) {
    (place, id, x.to_bits())
}

#[test]
fn lanes_give_the_features_that_each_value_gives_alone() {
    let mut random = Random(11);
    for _ in 0..300 {
        let (mut lanes, mut expected) = filled(&mut random);
        lanes.start();
        let other = (random.below(SLOTS as u64) as usize, random.next(), -0.5);
        lanes.other(other);
        expected.retain(|feature| feature.0 != other.0);
        expected.push(other);
        let (mut ids, mut xs) = ([0; SLOTS], [0.0; SLOTS]);
        lanes.finish(&mut ids, &mut xs).unwrap();
        for feature in expected {
            let place = feature.0;
            assert_eq!(bits((place, ids[place], xs[place])), bits(feature));
        }
    }
}

#[test]
fn a_zero_is_noticed_in_any_lane_and_nothing_else_is_one() {
    for lane in 0..9 {
        for (text, zero) in [("0.0", true), ("0.1", false)] {
            let mut lanes = Lanes::default();
            for place in 0..9 {
                assert_eq!(lanes.add_number(place, 7), place);
                lanes.number(place, u64::from(b'2') << 56, 1.0);
            }
            let short = parse_short(word_of(text.as_bytes())).unwrap();
            lanes.number(lane, short.digits, -short.divisor);
            let done = lanes.finish(&mut [0; 9], &mut [0.0; 9]);
            assert_eq!(done, Some(zero), "{lane}");
            lanes.number(lane, u64::from(b'3') << 56, 1.0);
            lanes.other((lane, 7, 0.0));
            assert_eq!(lanes.finish(&mut [0; 9], &mut [0.0; 9]), Some(true));
        }
    }
}

#[test]
fn a_number_out_of_bounds_is_noticed_in_any_lane() {
    for lane in 0..9 {
        for (text, within) in [("1000000", true), ("1000001", false)] {
            let mut lanes = Lanes::default();
            (0..9).for_each(|place| assert_eq!(lanes.add_number(place, 7), place));
            let short = parse_short(word_of(text.as_bytes())).unwrap();
            lanes.number(lane, short.digits, -short.divisor);
            let done = lanes.finish(&mut [0; 9], &mut [0.0; 9]);
            assert_eq!(done.is_some(), within, "{lane}");
        }
    }
}
