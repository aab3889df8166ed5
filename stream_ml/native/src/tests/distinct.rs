use std::collections::BTreeSet;

use super::*;
use crate::seeded::Random;

#[test]
fn ids_come_ascending_each_once_whatever_they_are() {
    let mut distinct = Distinct::new();
    let mut random = Random(9);
    // Small and large by turns: the places shrink and grow; some ids lie side by side, some are hashes.
    for (count, below) in [
        (50, 20),
        (60_000, 20_000),
        (0, 1),
        (5_000, 1 << 40),
        (90_000, u64::MAX),
    ] {
        let ids: Vec<u64> = (0..count).map(|_| 1 + random.below(below)).collect();
        for part in ids.chunks(777) {
            distinct.add(part);
        }
        let expected: BTreeSet<u64> = ids.into_iter().collect();
        assert_eq!(distinct.take(), expected.into_iter().collect::<Vec<_>>());
    }
}

/// What is known without the places is so until the next `take` only.
#[test]
fn the_same_ids_are_new_again_after_they_were_taken() {
    let mut distinct = Distinct::new();
    for _ in 0..3 {
        distinct.add(&[7, 9, 7, 7]);
        assert_eq!(distinct.take(), [7, 9]);
    }
}

/// The highest places are full: what follows goes on at the lowest.
#[test]
fn places_go_round() {
    let mut at_the_end: Vec<u64> = (1..4_000_000u64)
        .filter(|&id| hash_of(id) >> (u64::BITS - FIRST_BITS) == (1 << FIRST_BITS) - 1)
        .take(40)
        .collect();
    assert_eq!(at_the_end.len(), 40);
    let mut distinct = Distinct::new();
    distinct.add(&at_the_end);
    distinct.add(&at_the_end);
    at_the_end.sort_unstable();
    assert_eq!(distinct.take(), at_the_end);
}
