use super::*;

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
