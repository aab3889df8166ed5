use super::*;
use crate::seeded::Random;

#[test]
fn slots_beyond_those_that_are_noted_are_left_out() {
    let mut absent = AbsentSlots::default();
    for slot in [0, 63, 64, 255, 256, 65_534] {
        absent.note(slot);
    }
    assert_eq!(absent.words(4), [1 | 1 << 63, 1, 0, 1 << 63]);
    assert_eq!(absent.words(1), [1 | 1 << 63]);
    assert_eq!(
        [0, 1, 64, 65, 256, 60_000].map(words_of),
        [0, 1, 1, 2, 4, 4]
    );
}

#[test]
fn as_many_are_counted_together_as_one_by_one() {
    for (slots, examples) in [
        (1, TOGETHER),
        (39, TOGETHER),
        (70, 64),
        (256, TOGETHER),
        (0, 9),
    ] {
        let mut random = Random(slots as u64);
        let (mut together, mut counts) = (Together::default(), vec![0; slots]);
        let mut expected = vec![0; slots];
        for round in 0..3 {
            for _ in 0..examples {
                let mut absent = AbsentSlots::default();
                for (slot, count) in expected.iter_mut().enumerate() {
                    // In the last round every slot is absent every time: the counts are as large as they can be.
                    if round == 2 || random.below(3) == 0 {
                        absent.note(slot);
                        *count += 1;
                    }
                }
                together.add(absent.words(words_of(slots)));
            }
            together.count_into(&mut counts);
            assert_eq!(counts, expected, "{slots} slots");
        }
    }
}
