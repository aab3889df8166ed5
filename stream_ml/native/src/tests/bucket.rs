use super::*;

#[test]
fn a_position_is_the_word_of_the_value_and_tells_its_bucket() {
    for (bucket, cell, position) in [(0, 0, 4), (0, 3, 7), (1, 0, 12), (9, 2, 78)] {
        assert_eq!(position_of(bucket, cell), position);
        assert_eq!(bucket_of(position), bucket);
    }
}

#[test]
fn an_id_is_looked_for_among_ids_and_not_among_values() {
    let bucket = [5, 7, 5, 0, 9, 9, 9, 9];
    for (id, cells, first) in [
        (5, 0b101, Some(0)),
        (7, 0b10, Some(1)),
        (0, 0b1000, Some(3)),
        (9, 0, None),
    ] {
        assert_eq!(cells_of(&bucket, id), cells, "{id}");
        assert_eq!(cell_of(&bucket, id), first, "{id}");
    }
    assert_eq!(cell_of(&EMPTY, 0), Some(0));
}

#[test]
fn homes_are_within_the_buckets_and_follow_the_order_of_hashes() {
    let homes = Homes {
        old: 10,
        new: 10,
        frontier: 10,
    };
    let mut ids: Vec<u64> = (1..2000).collect();
    ids.sort_by_key(|id| hash_of(*id));
    let found: Vec<usize> = ids.iter().map(|id| homes.of(*id)).collect();
    assert!(found.is_sorted());
    assert_eq!((found[0], found[found.len() - 1]), (0, 9));
}

#[test]
fn ids_left_of_the_frontier_keep_their_old_home() {
    let (old, new) = (10, 20);
    let by = |buckets| Homes {
        old: buckets,
        new: buckets,
        frontier: buckets,
    };
    for frontier in [0, 3, 10] {
        let homes = Homes { old, new, frontier };
        for id in 1..500 {
            let before = by(old).of(id);
            let expected = if (before as u64) < frontier {
                before
            } else {
                by(new).of(id)
            };
            assert_eq!(homes.of(id), expected, "{id} {frontier}");
        }
    }
}
