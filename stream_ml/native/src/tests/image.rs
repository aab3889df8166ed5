//! The set of rows to hand out again, and images of tables that are empty, full of removals, or taken twice.

use super::*;
use crate::bucket::hash_of;
use crate::rows::{parse_ids, parse_rows};
use std::collections::BTreeMap;

fn row(z: f32) -> Row {
    Row { z, n: 1.0 }
}

fn table(ids: impl Iterator<Item = u64>) -> Table {
    let mut table = Table::new(1 << 20, 0).unwrap();
    ids.for_each(|id| {
        table.put(id, row(id as f32));
    });
    table
}

/// What a reader makes of all that is left of an image.
fn rest(table: &mut Table, max_rows: usize) -> BTreeMap<u64, Row> {
    let mut read = BTreeMap::new();
    loop {
        let rows = table.take_image(max_rows);
        if rows.is_empty() {
            break;
        }
        read.extend(parse_rows(&rows).map(Result::unwrap));
    }
    let sealed = table.seal_image();
    read.extend(parse_rows(&sealed.rows).map(Result::unwrap));
    for id in parse_ids(&sealed.removed).unwrap() {
        read.remove(&id);
    }
    assert_eq!(sealed.total_rows, read.len());
    assert_eq!(sealed.rows_hash, table.hash());
    read
}

/// How far the farthest of `ids` lies from its home in the set, in buckets.
fn farthest(set: &IdMap, ids: &[u64]) -> usize {
    let ids: Vec<u64> = ids.iter().map(|&id| scattered(id)).collect();
    let mut homes = vec![0; ids.len()];
    set.aim(&ids, &mut homes);
    let distance = |(&id, &home): (&u64, &u32)| bucket_of(set.find(id).unwrap()) - home as usize;
    ids.iter().zip(&homes).map(distance).max().unwrap_or(0)
}

#[test]
fn ids_in_the_order_of_a_cut_do_not_pile_up() {
    // A cut that goes over the table gives ids in the order of their homes, which is that of their hashes.
    const UNHASH: u64 = 0xf1de_83e1_9937_733d;
    assert_eq!(hash_of(UNHASH.wrapping_mul(9)), 9);
    let ids: Vec<u64> = (1..=20_000u64)
        .map(|at| (at << 45).wrapping_mul(UNHASH))
        .collect();
    let mut image = Image::default();
    for (count, &id) in ids.iter().enumerate() {
        image.hand_out_again(id);
        if count % 2_000 == 1_999 {
            let far = farthest(image.dirty.as_ref().unwrap(), &ids[..=count]);
            assert!(far < 100, "{far} buckets from home after {count} ids");
        }
    }
    assert_eq!(image.dirty.unwrap().len(), ids.len());
    assert!(image.spilled.is_empty());
}

#[test]
fn an_id_is_gathered_as_it_was_scattered() {
    for id in [1, 2, u64::MAX, 1 << 63, 0x0123_4567_89ab_cdef] {
        assert_eq!(gathered(scattered(id)), id);
        assert_ne!(scattered(id), 0, "0 is no id");
    }
}

#[test]
fn an_id_that_is_handed_out_twice_is_in_the_set_once() {
    let mut image = Image::default();
    for id in [7, 9, 7, 7, 9] {
        image.hand_out_again(id);
    }
    assert_eq!(image.dirty.unwrap().len(), 2);
}

#[test]
fn an_image_of_an_empty_table_is_empty() {
    let mut table = table(0..0);
    table.begin_image();
    assert!(table.take_image(10).is_empty());
    assert!(rest(&mut table, 10).is_empty());
}

#[test]
fn a_seal_without_a_beginning_holds_everything() {
    let mut table = table(1..=1_000);
    let sealed = table.seal_image();
    assert_eq!(sealed.rows.len(), 1_000 * rows::ROW_BYTES);
    assert_eq!((sealed.total_rows, sealed.rows_hash), (1_000, table.hash()));
    assert!(sealed.removed.is_empty());
}

#[test]
fn what_is_taken_at_once_is_bounded() {
    let mut table = table((1..=5_000).map(|id| id << 40));
    for max_rows in [1, 7, 100] {
        table.begin_image();
        let taken = table.take_image(max_rows).len() / rows::ROW_BYTES;
        assert!(
            (max_rows..max_rows + 4).contains(&taken),
            "{taken} of {max_rows}"
        );
        let left = table.seal_image().rows.len() / rows::ROW_BYTES;
        assert_eq!(taken + left, 5_000);
    }
}

#[test]
fn an_image_begun_anew_forgets_the_one_before() {
    let mut table = table((1..=500).map(|id| id << 50));
    table.begin_image();
    table.take_image(200);
    table.put(1 << 50, row(-1.0));
    table.begin_image();
    let read = rest(&mut table, 50);
    assert_eq!(read.len(), 500);
    assert_eq!(read[&(1 << 50)], row(-1.0));
}

#[test]
fn rows_that_go_while_an_image_is_taken_are_not_in_it() {
    let mut table = table((1..=2_000).map(|id| id << 48));
    table.begin_image();
    let mut read: BTreeMap<u64, Row> = parse_rows(&table.take_image(1_000))
        .map(Result::unwrap)
        .collect();
    for id in (1..=2_000).step_by(2) {
        assert!(table.remove(id << 48));
    }
    table.cut();
    let sealed = table.seal_image();
    read.extend(parse_rows(&sealed.rows).map(Result::unwrap));
    for id in parse_ids(&sealed.removed).unwrap() {
        read.remove(&id);
    }
    assert_eq!(read.len(), 1_000);
    assert!(read.keys().all(|id| (id >> 48) % 2 == 0));
    assert_eq!((sealed.total_rows, sealed.rows_hash), (1_000, table.hash()));
}

#[test]
fn a_row_that_went_and_came_back_is_there_as_it_is_now() {
    let mut table = table((1..=300).map(|id| id << 48));
    table.begin_image();
    while !table.take_image(100).is_empty() {}
    assert!(table.remove(5 << 48));
    table.put(5 << 48, row(0.25));
    table.cut();
    let sealed = table.seal_image();
    let last: BTreeMap<u64, Row> = parse_rows(&sealed.rows).map(Result::unwrap).collect();
    assert_eq!(last.get(&(5 << 48)), Some(&row(0.25)));
    assert!(!parse_ids(&sealed.removed).unwrap().contains(&(5 << 48)));
    assert_eq!(sealed.total_rows, 300);
}
