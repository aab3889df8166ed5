use super::growth::{READY_BYTES, STEPS_PER_INSERT};
use super::*;
use crate::bucket::EMPTY;
use crate::seeded::Random;
use std::collections::HashMap;

impl IdMap {
    /// Panics unless every bucket from an id's home to its own is full, and buckets fill from the first cell.
    fn check(&self) {
        let mut count = 0;
        for (at, bucket) in self.buckets()[..self.end].iter().enumerate() {
            let used = bucket[..CELLS].iter().take_while(|&&id| id != 0).count();
            assert!(
                bucket[used..CELLS].iter().all(|&id| id == 0),
                "a hole in bucket {at}"
            );
            count += used;
            for &id in &bucket[..used] {
                let home = self.homes().of(id);
                assert!(home <= at, "{id} is left of its home");
                assert!(
                    self.buckets()[home..at]
                        .iter()
                        .all(|bucket| bucket[CELLS - 1] != 0)
                );
            }
        }
        assert_eq!(count, self.len);
        assert!(
            self.buckets()[self.end..self.end + 64]
                .iter()
                .all(|bucket| *bucket == EMPTY)
        );
    }
}

fn same(map: &IdMap, model: &HashMap<u64, u64>) {
    assert_eq!(map.len(), model.len());
    assert!(model.iter().all(|(&id, &value)| map.get(id) == Some(value)));
    assert_eq!(map.iter(0, usize::MAX).collect::<HashMap<_, _>>(), *model);
}

#[test]
fn it_is_a_map_through_growth_and_removals() {
    for (seed, small_ids) in [(1, false), (2, true), (3, false)] {
        let mut random = Random(seed);
        let (mut map, mut model) = (IdMap::new(1 << 20, 0).unwrap(), HashMap::new());
        for step in 0..60_000u64 {
            let id = if small_ids {
                1 + random.below(20_000)
            } else {
                random.next() | 1
            };
            map.put(id, step);
            model.insert(id, step);
            if random.below(3) == 0 {
                let victim = if small_ids {
                    1 + random.below(20_000)
                } else {
                    id
                };
                assert_eq!(map.remove(victim), model.remove(&victim));
            }
            if step % 7_919 == 0 {
                map.check();
                same(&map, &model);
            }
        }
        map.check();
        same(&map, &model);
    }
}

#[test]
fn growth_is_spread_over_inserts() {
    let mut map = IdMap::new(1 << 20, 0).unwrap();
    let (mut rounds, mut under_way) = (0, 0);
    for id in 1..200_000u64 {
        let frontier = map.frontier;
        map.put(id, id);
        under_way += usize::from(map.new != map.old);
        if map.frontier > frontier {
            rounds += 1;
        } else {
            assert!(
                frontier - map.frontier <= 2 * STEPS_PER_INSERT as u64,
                "a stall at {id}"
            );
        }
        assert!(map.len <= map.new as usize * CELLS * 17 / 20);
    }
    assert!(
        rounds >= 5 && under_way > 5_000,
        "{rounds} rounds, {under_way}"
    );
    map.check();
}

#[test]
#[cfg(target_os = "linux")]
fn the_memory_of_a_round_is_ready_before_it_begins() {
    let mut map = IdMap::new(1 << 21, 0).unwrap();
    let mut ids = 1..;
    while map.bytes() < READY_BYTES {
        let id = ids.next().unwrap();
        map.put(id, id);
    }
    map.ahead = None;
    while map.len < map.ready_at {
        let id = ids.next().unwrap();
        map.put(id, id);
    }
    assert!(map.ahead.is_none());
    let before = crate::ahead::tests::resident(&map.memory);
    let (behind, wanted) = (map.bytes(), map.more() as usize * BUCKET_BYTES);
    map.put(u64::MAX, 1);
    assert_eq!(map.new, map.old);
    map.ahead.take().expect("memory is asked for").wait();
    let after = crate::ahead::tests::resident(&map.memory);
    assert!(wanted - behind > 4 << 20);
    assert!(
        (wanted - behind - (4 << 20)..=wanted - behind + (4 << 20)).contains(&(after - before))
    );
}

#[test]
fn a_presized_map_takes_no_memory_beyond_what_is_expected() {
    let mut map = IdMap::new(1 << 21, 1 << 20).unwrap();
    for id in 1..=1 << 20 {
        map.put(id, id);
    }
    assert!(map.ahead.is_none() && map.new == map.old);
    while map.new == map.old {
        let id = map.len as u64 + 1;
        map.put(id, id);
    }
    assert!(map.ahead.is_some());
}

#[test]
fn positions_hold_after_reserve() {
    let mut map = IdMap::new(1 << 20, 0).unwrap();
    let mut random = Random(5);
    for _ in 0..500 {
        let ids: Vec<u64> = (0..200).map(|_| random.next() | 1).collect();
        map.reserve(ids.len());
        let positions: Vec<_> = ids.iter().map(|&id| map.insert(id).unwrap()).collect();
        assert!(
            ids.iter()
                .zip(&positions)
                .all(|(&id, &position)| map.find(id) == Some(position))
        );
    }
}

#[test]
fn a_full_map_refuses_new_ids_and_keeps_the_old() {
    let mut map = IdMap::new(5_000, 0).unwrap();
    let taken = (1..=6_000u64).filter(|&id| map.put(id, id + 7)).count();
    assert_eq!((taken, map.len()), (5_000, 5_000));
    assert!((1..=5_000u64).all(|id| map.get(id) == Some(id + 7)) && map.get(5_001).is_none());
    assert!(map.put(17, 1), "an id that is there is no new one");
    map.check();
}

#[test]
fn presized_it_does_not_grow_and_stays_below_24_bytes_an_id() {
    let mut map = IdMap::new(1 << 20, 300_000).unwrap();
    let bytes = map.bytes();
    (1..=300_000u64).for_each(|id| assert!(map.put(id, id)));
    assert!(map.bytes() <= bytes + OVERFLOW_BUCKETS * BUCKET_BYTES && map.bytes() < 24 * map.len());
}

/// Indices of the ids that `look` does not find; the others it finds where they are.
fn not_found(map: &IdMap, ids: &[u64], homes: &[u32]) -> usize {
    let (mut positions, mut elsewhere) = (vec![0; ids.len()], vec![0; ids.len()]);
    let mut values = Vec::new();
    let count = map.look(ids, homes, &mut positions, &mut elsewhere, |_, four| {
        values.extend(four);
    });
    for (index, &id) in ids.iter().enumerate() {
        if !elsewhere[..count].contains(&(index as u32)) {
            assert_eq!(map.find(id), Some(positions[index]));
            assert_eq!(map.get(id), Some(values[index]));
        }
    }
    count
}

#[test]
fn to_aim_again_finds_more_ids_and_none_where_it_is_not() {
    let mut random = Random(31);
    let mut map = IdMap::new(1 << 20, 40_000).unwrap();
    // Up to the limit of its load, also while it grows.
    for rows in [39_000, 50_000] {
        while map.len() < rows {
            map.put(random.next() | 1, random.next());
        }
        let all: Vec<u64> = map.iter(0, usize::MAX).map(|(id, _)| id).collect();
        let (mut before, mut once, mut twice) = (0, 0, 0);
        for some in all.chunks(39) {
            // The last one is in no bucket.
            let ids: Vec<u64> = some.iter().copied().chain([random.next() & !1]).collect();
            let mut homes = vec![0; ids.len()];
            map.aim(&ids, &mut homes);
            before += not_found(&map, &ids, &homes) - 1;
            map.aim_again(&ids, &mut homes);
            once += not_found(&map, &ids, &homes) - 1;
            map.aim_again(&ids, &mut homes);
            twice += not_found(&map, &ids, &homes) - 1;
        }
        assert!(before > all.len() / 40, "{before}");
        assert!(
            once < before / 2 && twice < once / 2 + 1,
            "{before} {once} {twice}"
        );
    }
}

/// The buckets that `next_bucket` leads over.
fn walk(map: &IdMap) -> Vec<usize> {
    std::iter::successors(Some(0), |&at| Some(map.next_bucket(at)))
        .take_while(|&at| at < map.end())
        .collect()
}

#[test]
fn a_walk_over_the_buckets_meets_every_id_and_leaves_out_what_growth_has_not_reached() {
    let (mut random, mut left_out) = (Random(9), 0);
    let mut map = IdMap::new(1 << 20, 0).unwrap();
    for step in 0..40_000u64 {
        map.put(random.next() | 1, step);
        if step % 97 == 0 {
            let buckets = walk(&map);
            assert!(buckets.is_sorted());
            let met: usize = buckets.iter().map(|&at| map.iter(at, at + 1).count()).sum();
            assert_eq!(met, map.len());
            left_out = left_out.max(map.end() - buckets.len());
            let moved = map.new - map.frontier * map.new / map.old;
            let overflow = 64;
            assert!(buckets.len() as u64 <= map.frontier + moved + overflow);
        }
    }
    assert!(left_out > 7_000, "{left_out} buckets left out at most");
}
