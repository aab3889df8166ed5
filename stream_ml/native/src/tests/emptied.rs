use super::*;
use crate::rows::Row;
use crate::seeded::Random;

fn row(id: u64) -> Row {
    Row {
        z: id as f32,
        n: 1.0,
    }
}

/// Sizes up and down: the same memory, other memory, and growth that was under way.
#[test]
fn an_emptied_table_is_as_a_new_one() {
    let mut random = Random(17);
    let mut used = Table::new(MAX_ROWS, 0).unwrap();
    for count in [
        10, 3_000, 2_900, 40_000, 9, 200_000, 30_000, 150_000, 0, 5_000,
    ] {
        // One that lets in more than was said, as admission never does, but it may.
        let said = count as usize / (1 + random.below(2) as usize);
        used.empty(said).unwrap();
        assert_eq!((used.len(), used.hash()), (0, 0));
        assert_eq!(used.cut(), (Vec::new(), Vec::new()));
        let mut fresh = Table::new(MAX_ROWS, 0).unwrap();
        for _ in 0..count {
            let id = 1 + random.next() % (1 << 50);
            assert_eq!(used.get(id), fresh.get(id));
            assert!(used.put(id, row(id)) && fresh.put(id, row(id)));
            if id.is_multiple_of(7) {
                assert!(used.remove(id) && fresh.remove(id));
            }
        }
        assert_eq!((used.len(), used.hash()), (fresh.len(), fresh.hash()));
        used.begin_image();
    }
}

#[test]
fn a_large_table_does_not_stay_for_a_few_rows() {
    let mut table = Table::new(MAX_ROWS, 400_000).unwrap();
    let large = table.bytes();
    table.empty(300_000).unwrap();
    assert_eq!(table.bytes(), large);
    table.empty(5_000).unwrap();
    assert!(table.bytes() < large / 8);
    let small = table.bytes();
    table.empty(10).unwrap();
    assert_eq!(table.bytes(), small, "it is small enough");
}
