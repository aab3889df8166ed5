use super::*;
use crate::rows::parse_ids;
use crate::seeded::Random;
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeMap<u64, Row>;

/// A table beside the map it must equal.
struct Both {
    random: Random,
    table: Table,
    model: Model,
    columns: Columns,
}

impl Both {
    fn new(seed: u64) -> Both {
        let table = Table::new(1 << 22, 0).unwrap();
        Both {
            random: Random(seed),
            table,
            model: Model::new(),
            columns: Columns::default(),
        }
    }

    /// Change `count` rows, some of them new, as learning does; remove a few.
    fn churn(&mut self, count: usize, universe: u64) {
        for _ in 0..count.div_ceil(10) {
            let ids: BTreeSet<u64> = (0..10).map(|_| 1 + self.random.below(universe)).collect();
            let ids: Vec<u64> = ids.into_iter().collect();
            self.columns.start(&vec![1.0; ids.len()]);
            let mut homes = vec![0; ids.len()];
            self.table.aim(&ids, &mut homes);
            let unseen = self.table.take(&ids, &homes, 0, &mut self.columns);
            let new = ids.iter().filter(|&id| !self.model.contains_key(id));
            assert_eq!(unseen as usize, new.count());
            for (at, &id) in ids.iter().enumerate() {
                let before = Row {
                    z: self.columns.z[at],
                    n: self.columns.n[at],
                };
                assert_eq!(before, self.model.get(&id).copied().unwrap_or_default());
                let after = Row {
                    z: before.z - id as f32,
                    n: before.n + 0.5,
                };
                (self.columns.z[at], self.columns.n[at]) = (after.z, after.n);
                self.model.insert(id, after);
            }
            self.table.write(&ids, &mut self.columns);
            if self.random.below(4) == 0 {
                let victim = 1 + self.random.below(universe);
                assert_eq!(
                    self.table.remove(victim),
                    self.model.remove(&victim).is_some()
                );
            }
        }
    }

    fn check(&self) {
        assert_eq!(rows_of(&self.table), self.model);
    }
}

fn rows_of(table: &Table) -> Model {
    table
        .map
        .iter(0, usize::MAX)
        .map(|(id, value)| (id, Row::unpack(value)))
        .collect()
}

fn apply(model: &mut Model, rows: &[u8], removed: &[u8]) {
    model.extend(parse_rows(rows).map(Result::unwrap));
    for id in parse_ids(removed).unwrap() {
        model.remove(&id);
    }
}

#[test]
fn cuts_add_up_to_the_table() {
    for seed in 0..5 {
        let (mut both, mut copy) = (Both::new(seed), Model::new());
        for _ in 0..30 {
            both.churn(2_000, 30_000);
            let (rows, removed) = both.table.cut();
            apply(&mut copy, &rows, &removed);
            assert_eq!(copy, both.model);
        }
        both.check();
        assert_eq!(both.table.cut(), (vec![], vec![]));
    }
}

#[test]
fn a_cut_of_more_rows_than_are_listed_is_complete() {
    let (mut both, mut copy) = (Both::new(1), Model::new());
    both.churn(MIN_LIST * 2, 1 << 40);
    assert!(both.table.unlisted);
    both.table.begin_image();
    let (rows, removed) = both.table.cut();
    apply(&mut copy, &rows, &removed);
    assert_eq!(copy, both.model);
    both.churn(50, 1 << 40);
    assert!(both.table.cut().0.len() <= 60 * ROW_BYTES);
}

/// Take an image while rows change, come, go and move; sometimes nobody cuts.
fn image(both: &mut Both, max_rows: usize, cuts: bool) -> Model {
    let mut copy = Model::new();
    both.table.begin_image();
    loop {
        let rows = both.table.take_image(max_rows);
        if rows.is_empty() {
            break;
        }
        apply(&mut copy, &rows, &[]);
        both.churn(60, 40_000);
        if cuts {
            both.table.cut();
        }
    }
    both.churn(200, 60_000);
    let sealed = both.table.seal_image();
    apply(&mut copy, &sealed.rows, &sealed.removed);
    assert_eq!(
        (sealed.total_rows, sealed.rows_hash),
        (both.model.len(), both.table.hash())
    );
    copy
}

#[test]
fn an_image_and_its_seal_are_the_table_at_the_seal() {
    for (seed, max_rows) in [(1, 100), (2, 700), (3, 1_000_000)] {
        let mut both = Both::new(seed);
        both.churn(5_000, 40_000);
        for cuts in [true, false, true] {
            assert_eq!(image(&mut both, max_rows, cuts), both.model, "seed {seed}");
        }
        both.check();
    }
}

/// Neither removals nor growth mark a row as changed, but both move rows, also to the left across the cursor.
#[test]
fn rows_that_only_move_are_in_the_image() {
    for seed in 0..40 {
        let mut both = Both::new(seed);
        both.churn(3_200, 1 << 40);
        both.table.cut();
        both.table.begin_image();
        let mut copy = Model::new();
        while both.table.map.watch < both.table.map.end() {
            apply(&mut copy, &both.table.take_image(4), &[]);
            let id = both.random.next() | 1;
            both.table.put(id, Row::default());
            both.model.insert(id, Row::default());
            let victim = *both
                .model
                .range(both.random.next() >> 24..)
                .next()
                .unwrap()
                .0;
            assert!(both.table.remove(victim) && both.model.remove(&victim).is_some());
        }
        let sealed = both.table.seal_image();
        apply(&mut copy, &sealed.rows, &sealed.removed);
        assert_eq!(copy, both.model, "seed {seed}");
        assert_eq!(sealed.rows_hash, both.table.hash(), "seed {seed}");
    }
}

#[test]
fn an_image_sealed_early_is_whole() {
    let mut both = Both::new(9);
    both.churn(20_000, 40_000);
    both.table.begin_image();
    let mut copy = Model::new();
    apply(&mut copy, &both.table.take_image(500), &[]);
    both.churn(500, 40_000);
    let sealed = both.table.seal_image();
    apply(&mut copy, &sealed.rows, &sealed.removed);
    assert_eq!(copy, both.model);
}

#[test]
fn little_is_left_for_the_seal_when_cuts_go_on() {
    let mut both = Both::new(11);
    both.churn(40_000, 1 << 40);
    both.table.cut();
    both.table.begin_image();
    while !both.table.take_image(1_000).is_empty() {
        both.churn(100, 1 << 40);
        both.table.cut();
    }
    let handed = both.table.seal_image().rows.len() / ROW_BYTES;
    assert!(handed <= 1_200 && both.model.len() > 30_000, "{handed}");
}

#[test]
fn the_hash_tells_any_bit_apart_and_knows_no_order() {
    let rows = [(5, 1.5, 2.0), (6, -1.5, 0.0), (7, 0.0, 1.0)];
    let of = |rows: &[(u64, f32, f32)]| {
        let mut table = Table::new(100, 0).unwrap();
        rows.iter()
            .for_each(|&(id, z, n)| assert!(table.put(id, Row { z, n })));
        table.hash()
    };
    let mut turned = rows;
    turned.reverse();
    assert_eq!(of(&rows), of(&turned));
    for at in 0..rows.len() {
        for other in [
            (8, rows[at].1, rows[at].2),
            (rows[at].0, 9.0, rows[at].2),
            (rows[at].0, rows[at].1, 9.0),
        ] {
            let mut changed = rows;
            changed[at] = other;
            assert_ne!(of(&rows), of(&changed));
        }
    }
    assert_ne!(of(&rows), of(&rows[..2]));
}

#[test]
fn a_full_table_leaves_new_features_out_and_counts_them() {
    let (mut table, mut columns) = (Table::new(4_000, 0).unwrap(), Columns::default());
    for id in 1..=5_000u64 {
        columns.start(&[1.0, 1.0]);
        let mut homes = [0; 2];
        table.aim(&[id, 1], &mut homes);
        let unseen = table.take(&[id, 1], &homes, 0, &mut columns);
        assert_eq!(unseen, 1, "also of one that found no room");
        columns.z[..2].fill(id as f32);
        table.write(&[id, 1], &mut columns);
    }
    assert_eq!((table.len(), table.refused), (4_000, 1_000));
    assert_eq!((table.get(1).unwrap().z, table.get(4_001)), (5_000.0, None));
}

/// Without room made at once the rows would pile up at the left end, and this test would take minutes.
#[test]
fn an_image_loads_piece_by_piece_into_an_empty_table() {
    let mut both = Both::new(7);
    both.churn(120_000, 1 << 40);
    let mut copy = Table::new(1 << 22, 0).unwrap();
    both.table.begin_image();
    loop {
        let piece = both.table.take_image(5_000);
        if piece.is_empty() {
            break;
        }
        copy.load(&piece).unwrap();
    }
    copy.load(&both.table.seal_image().rows).unwrap();
    assert_eq!(rows_of(&copy), both.model);
    assert!(copy.bytes() < 40 * copy.len(), "{}", copy.bytes());
}

/// A sample never says exactly how many rows there are, and to rebuild a table for that takes a pass over all of it.
#[test]
fn a_table_with_room_for_an_image_is_not_rebuilt_by_the_pieces() {
    let mut both = Both::new(11);
    both.churn(60_000, 1 << 40);
    let mut copy = Table::new(1 << 22, both.table.len() + 1).unwrap();
    let room = copy.map.room();
    both.table.begin_image();
    loop {
        let piece = both.table.take_image(5_000);
        if piece.is_empty() {
            break;
        }
        copy.load(&piece).unwrap();
        assert_eq!(copy.map.room(), room);
    }
    copy.load(&both.table.seal_image().rows).unwrap();
    assert!(rows_of(&copy) == both.model && copy.map.room() == room);
}

#[test]
fn damaged_rows_change_nothing() {
    let mut table = Table::new(100, 0).unwrap();
    let mut rows = Vec::new();
    rows::push_row(&mut rows, 5, Row { z: 1.0, n: 1.0 });
    rows::push_row(
        &mut rows,
        6,
        Row {
            z: f32::NAN,
            n: 1.0,
        },
    );
    assert!(
        table
            .load(&rows)
            .unwrap_err()
            .starts_with("row 1 is damaged")
    );
    assert!(table.load(&rows[..20]).is_err() && table.is_empty());
}

#[test]
fn a_row_that_is_put_is_no_change() {
    let mut table = Table::new(100, 0).unwrap();
    table.put(3, Row { z: 1.0, n: 2.0 });
    assert_eq!(table.cut(), (vec![], vec![]));
}

#[test]
fn rows_come_into_columns_with_zeros_behind_them_whatever_was_there() {
    let (mut table, mut columns) = (Table::new(4_000, 0).unwrap(), Columns::default());
    let ids: Vec<u64> = (1..=40).collect();
    for &id in &ids {
        let (z, n) = (id as f32, 1.0 / id as f32);
        assert!(table.put(id, Row { z, n }));
    }
    for count in (1..=40).rev().chain(1..=40) {
        columns.start(&vec![1.0; count]);
        columns.z.fill(9.0);
        columns.n.fill(9.0);
        table.read(&ids[..count], &mut columns);
        let given: Vec<_> = columns
            .z
            .iter()
            .copied()
            .zip(columns.n.iter().copied())
            .collect();
        let rows = ids[..count].iter().map(|&id| table.get(id).unwrap());
        let mut expected: Vec<_> = rows.map(|row| (row.z, row.n)).collect();
        expected.resize(given.len(), (0.0, 0.0));
        assert_eq!(given, expected, "{count}");
    }
}
