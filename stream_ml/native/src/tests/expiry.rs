use super::*;
use crate::image::Sealed;
use crate::seeded::Random;
use crate::table::MAX_ROWS;

const SECOND_US: i64 = 1_000_000;
const HOT: u64 = 100;

/// A table from which goes what was not seen for 1,000 s.
struct Aging {
    table: Table,
    expiry: Expiry,
    events: u64,
}

impl Aging {
    fn new(expire_below: f32, expected_rows: usize) -> Aging {
        let options = TableOptions {
            expire_after_seconds: Some(1_000.0),
            expire_below,
            ..TableOptions::default()
        };
        Aging {
            table: Table::new(MAX_ROWS, expected_rows).unwrap(),
            expiry: Expiry::new(&options).unwrap(),
            events: 0,
        }
    }

    /// An event with these features, each of weight 1 / id.
    fn learn(&mut self, ids: &[u64], at_seconds: i64) {
        self.events += 1;
        for &id in ids {
            let row = Row {
                z: 1.0 / id as f32,
                n: 1.0,
            };
            self.table.put(id, row);
        }
        let (table, expiry) = (&mut self.table, &mut self.expiry);
        expiry.see(ids);
        expiry.turn(self.events, at_seconds * SECOND_US, table, |row| row.z);
    }

    /// Events one second apart, each with a feature that comes again and one that does not.
    fn go_on(&mut self, events: u64) {
        for _ in 0..events {
            let at = self.events;
            self.learn(&[1 + at % HOT, once(at)], at as i64);
        }
    }

    fn digest(&self) -> (usize, u64, Vec<u8>) {
        let mut writer = Writer::new(0, 0);
        self.expiry.write(&mut writer);
        (self.table.len(), self.table.hash(), writer.finish())
    }

    /// The same, as a snapshot brings it back.
    fn restored(&mut self) -> Aging {
        self.table.begin_image();
        let Sealed { rows, removed, .. } = self.table.seal_image();
        assert!(removed.is_empty());
        let mut restored = Aging::new(self.expiry.below, 0);
        restored.events = self.events;
        restored.table.load(&rows).unwrap();
        let (_, _, state) = self.digest();
        let mut reader = Reader::new(&state, "", 0, 0).unwrap();
        restored.expiry = restored.expiry.read(&mut reader).unwrap();
        reader.finish().unwrap();
        restored
    }
}

/// A feature of one event alone.
fn once(event: u64) -> u64 {
    Random(event).next() | 1 << 40
}

#[test]
fn what_was_not_seen_for_a_period_goes_before_two_are_over_and_what_was_seen_stays() {
    let mut aging = Aging::new(0.0, 0);
    aging.go_on(6_000);
    for hot in 1..=HOT {
        assert!(aging.table.get(hot).is_some(), "{hot} was seen");
    }
    for event in 5_000..6_000 {
        assert!(aging.table.get(once(event)).is_some(), "{event} is young");
    }
    let old = (0..3_800).filter(|&event| aging.table.get(once(event)).is_some());
    assert!(old.count() < 200, "but for those that share a bit");
    assert_eq!(
        aging.expiry.dropped as usize + aging.table.len(),
        6_000 + HOT as usize
    );
}

#[test]
fn what_weighs_too_little_goes_although_it_was_seen() {
    let mut aging = Aging::new(1.0 / 50.5, 0);
    aging.go_on(1_300);
    // A sweep is over; what came after it may be there again.
    let ids = aging.table.rows_of_hashes(0, u64::MAX).map(|(id, _)| id);
    assert_eq!(ids.filter(|&id| id <= 50).count(), 50);
    assert!(aging.expiry.dropped > 1_000, "{}", aging.expiry.dropped);
}

#[test]
fn a_restored_or_presized_table_drops_the_same_rows_at_the_same_events() {
    let (mut one, mut presized) = (Aging::new(0.0, 0), Aging::new(0.0, 500_000));
    for event in 0..9_000u64 {
        // So many rows that a sweep takes several slices.
        for aging in [&mut one, &mut presized] {
            let ids: Vec<u64> = (0..8).map(|at| once(event * 8 + at)).collect();
            aging.learn(&ids, event as i64 / 3);
        }
        if event % 700 == 64 {
            one = one.restored();
        }
    }
    assert!(one.expiry.dropped > 10_000, "{}", one.expiry.dropped);
    assert_eq!(one.digest(), presized.digest());
}

#[test]
fn what_went_is_said_in_the_next_cut() {
    let mut aging = Aging::new(0.0, 0);
    aging.go_on(2_500);
    let (_, removed) = aging.table.cut();
    assert_eq!(removed.len() as u64, 8 * aging.expiry.dropped);
}

#[test]
fn a_set_of_no_size_that_can_be_is_refused() {
    let mut writer = Writer::new(0, 0);
    for value in [0, 0, 0, 0, 3] {
        writer.u64(value);
    }
    let bytes = writer.finish();
    let mut reader = Reader::new(&bytes, "", 0, 0).unwrap();
    let refused = Aging::new(0.0, 0).expiry.read(&mut reader);
    assert!(refused.is_err_and(|error| error.0.contains("3 words")));
}
