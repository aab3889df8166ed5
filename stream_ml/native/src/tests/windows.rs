use super::*;
use crate::seeded::Random;

/// As the protocol says it: one of the last W accepted events of the partition.
fn expected(ids: &[u64], size: usize) -> Vec<bool> {
    (0..ids.len())
        .map(|at| ids[at.saturating_sub(size)..at].contains(&ids[at]))
        .collect()
}

fn accepted(windows: &mut Windows, ids: &[u64]) -> Vec<bool> {
    let window = windows.of(0).unwrap().unwrap();
    ids.iter().map(|&id| window.accept(id)).collect()
}

#[test]
fn a_b_a_c_d_a_with_window_3() {
    let found = accepted(&mut Windows::new(3), &[1, 2, 1, 3, 4, 1]);
    assert_eq!(found, [false, false, true, false, false, true]);
    let found = accepted(&mut Windows::new(2), &[1, 2, 1, 3, 4, 1]);
    assert_eq!(found, [false, false, true, false, false, false]);
}

#[test]
fn any_stream_is_judged_by_the_last_w_events_also_after_a_restart() {
    for (seed, size) in [(1, 1), (2, 7), (3, 500), (4, 6_000)] {
        let mut random = Random(seed);
        let ids: Vec<u64> = (0..20_000)
            .map(|_| 1 + random.below(2 * size as u64))
            .collect();
        let (first, second) = ids.split_at(13_333);
        let mut windows = Windows::new(size);
        let mut found = accepted(&mut windows, first);
        let mut writer = Writer::new(0, 0);
        windows.write(&mut writer);
        let bytes = writer.finish();
        let mut restored =
            Windows::read(&mut Reader::new(&bytes, "", 0, 0).unwrap(), size, size).unwrap();
        found.extend(accepted(&mut restored, second));
        assert_eq!(found, expected(&ids, size), "seed {seed}");
        assert!(found.contains(&true) && found.contains(&false));
    }
}

#[test]
fn events_without_an_id_are_no_duplicates() {
    assert_eq!(
        accepted(&mut Windows::new(2), &[0, 0, 0, 0, 7, 0, 7]),
        [false, false, false, false, false, false, true]
    );
}

#[test]
fn windows_of_another_size_are_refused() {
    let mut writer = Writer::new(0, 0);
    Windows::new(3).write(&mut writer);
    let bytes = writer.finish();
    assert!(Windows::read(&mut Reader::new(&bytes, "", 0, 0).unwrap(), 4, 3).is_err());
}

#[test]
fn windows_go_on_in_another_size_with_the_newest_that_fit() {
    let mut windows = Windows::new(3);
    accepted(&mut windows, &[1, 2, 3, 4]);
    let mut writer = Writer::new(0, 0);
    windows.write(&mut writer);
    let bytes = writer.finish();
    let resized =
        |size| Windows::read(&mut Reader::new(&bytes, "", 0, 0).unwrap(), 3, size).unwrap();
    assert_eq!(accepted(&mut resized(2), &[3, 4]), [true, true]);
    assert_eq!(accepted(&mut resized(2), &[2, 4]), [false, true]);
    assert_eq!(
        accepted(&mut resized(5), &[1, 2, 3, 4]),
        [false, true, true, true]
    );
    assert!(resized(0).of(0).unwrap().is_none());
}

#[test]
fn what_was_written_stays_while_the_window_goes_on() {
    const SIZE: usize = 5 * MOST_TOGETHER + 77;
    let ids: Vec<u64> = (0..4 * SIZE as u64).map(|at| at << 20 | 1).collect();
    let mut windows = Windows::new(SIZE);
    let mut kept = Vec::new();
    for (at, some) in ids.chunks(SIZE / 3).enumerate() {
        accepted(&mut windows, some);
        let mut writer = Writer::new(0, 0);
        windows.write(&mut writer);
        kept.push(((at + 1) * (SIZE / 3), writer.written()));
    }
    for (learned, written) in kept {
        let learned = learned.min(ids.len());
        let newest = &ids[learned.saturating_sub(SIZE)..learned];
        let mut plain = Writer::new(0, 0);
        let head = [SIZE as u64, 1, 0, newest.len() as u64];
        head.iter().chain(newest).for_each(|&id| plain.u64(id));
        assert!(
            written.to_bytes() == plain.finish(),
            "after {learned} events"
        );
    }
}

#[test]
fn a_large_window_is_shared_with_what_is_written() {
    let mut windows = Windows::new(9 * MOST_TOGETHER);
    let ids: Vec<u64> = (1..=9 * MOST_TOGETHER as u64).collect();
    accepted(&mut windows, &ids);
    let mut writer = Writer::new(0, 0);
    windows.write(&mut writer);
    let copied = writer.copied_bytes();
    assert!(
        copied <= 8 * MOST_TOGETHER,
        "{copied} bytes of it were copied"
    );
}

#[test]
fn memory_of_a_piece_that_went_is_used_again_unless_it_is_shared() {
    let mut ids = Ids::new(1);
    assert_eq!(ids.piece(), 1);
    ids.push(5);
    assert_eq!((ids.pop(), ids.len()), (Some(5), 0));
    assert!(ids.spare.is_some());
    ids.push(6);
    let shared = Arc::clone(&ids.full[0]);
    assert_eq!(ids.pop(), Some(6));
    assert!(ids.spare.is_none());
    ids.push(7);
    assert_eq!((shared[0], ids.pop(), ids.pop()), (6, Some(7), None));
}
