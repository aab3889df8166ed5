use super::*;

fn call(id: &str) -> Call {
    Call {
        outcome: Outcome::BadRequest,
        correlation_id: Some(id.to_owned()),
        events: 1,
        said: Said::Fault("why".to_owned()),
    }
}

#[test]
fn nothing_is_noted_before_somebody_has_asked() {
    let noted = Noted::default();
    noted.answered(|| unreachable!());
    assert_eq!(noted.take(1), []);
}

#[test]
fn of_each_kind_as_many_as_were_asked_for_are_noted_until_they_are_taken() {
    let noted = Noted::default();
    noted.take(2);
    for id in ["a", "b", "c"] {
        noted.answered(|| call(id));
        noted.unanswered(|| call(&id.to_uppercase()));
    }
    assert_eq!(noted.take(1), [call("A"), call("B"), call("a"), call("b")]);
    noted.answered(|| call("d"));
    noted.answered(|| call("e"));
    assert_eq!(noted.take(0), [call("d")]);
    noted.answered(|| call("f"));
    assert_eq!(noted.take(0), []);
}
