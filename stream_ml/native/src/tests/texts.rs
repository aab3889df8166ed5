use super::*;

#[test]
fn every_example_has_its_text_or_none() {
    let said = [Some("é"), None, Some(""), Some("long"), None];
    let mut texts = Texts::default();
    for round in 0..2 {
        said.iter().for_each(|text| texts.push(*text));
        assert!(texts.iter().eq(said), "round {round}");
        assert_eq!((texts.len(), texts.get(5)), (5, None));
        texts.clear();
        assert_eq!(texts, Texts::default());
    }
}

#[test]
fn a_long_text_is_cut_between_characters() {
    assert_eq!(beginning("abc", 3), "abc");
    assert_eq!(beginning("abcd", 3), "abc");
    assert_eq!(beginning("aé", 2), "a");
    assert_eq!(beginning("日本", 4), "日");
    assert_eq!(beginning("日本", 2), "");
}
