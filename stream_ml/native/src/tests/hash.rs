use super::*;
use crate::seeded::Random;

#[test]
fn a_tombstone_and_an_empty_record_have_different_checksums() {
    assert_ne!(
        checksum([None].into_iter()),
        checksum([Some(&b""[..])].into_iter())
    );
}

#[test]
fn a_checksum_knows_where_one_record_ends_and_the_next_begins() {
    let whole = checksum([Some(&b"ab"[..])].into_iter());
    assert_ne!(
        whole,
        checksum([Some(&b"a"[..]), Some(&b"b"[..])].into_iter())
    );
}

#[test]
fn the_same_text_has_another_id_under_another_seed() {
    assert_ne!(feature_id(b"a", 1), feature_id(b"a", 2));
    assert_eq!(feature_id(b"", 7), xxh3_64_with_seed(b"", 7));
}

#[test]
fn a_short_text_in_a_register_has_the_id_that_it_has_anywhere() {
    let mut random = Random(11);
    for _ in 0..2_000 {
        let (word, seed) = (random.next(), random.next());
        for length in 4..=8 {
            let text = &word.to_le_bytes()[..length];
            assert_eq!(
                ShortIds::new(seed).id(word, length as u64),
                feature_id(text, seed)
            );
        }
    }
}
