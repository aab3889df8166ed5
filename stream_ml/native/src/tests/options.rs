use serde_json::{Value as Json, json};

use super::*;

fn written() -> Json {
    json!({"loss": "poisson", "optimizer": "adagrad", "alpha": 0.5, "beta": 1.0, "l1": 0.25, "l2": 2.0,
        "base_rate": 0.125, "base_rate_events": 30})
}

fn read(options: Json) -> Result<LearnerOptions, String> {
    serde_json::from_value(options).map_err(|error| error.to_string())
}

#[test]
fn options_are_what_the_plan_states() {
    let expected = LearnerOptions {
        loss: Loss::Poisson,
        optimizer: OptimizerKind::Adagrad,
        alpha: 0.5,
        beta: 1.0,
        l1: 0.25,
        l2: 2.0,
        decay: 1.0,
        base_rate: Some(0.125),
        base_rate_events: 30,
    };
    assert_eq!(read(written()), Ok(expected));
}

#[test]
fn every_number_must_be_stated() {
    for key in [
        "loss",
        "optimizer",
        "alpha",
        "beta",
        "l1",
        "l2",
        "base_rate_events",
    ] {
        let mut options = written();
        options.as_object_mut().unwrap().remove(key);
        let told = read(options).unwrap_err();
        assert!(told.contains(key), "{told}");
    }
}

#[test]
fn what_is_not_known_is_refused() {
    for (key, value) in [
        ("momentum", json!(1)),
        ("loss", json!("hinge")),
        ("optimizer", json!("FTRL")),
        ("base_rate_events", json!(-1)),
        ("alpha", json!("0.1")),
    ] {
        let mut options = written();
        options[key] = value;
        assert!(read(options).is_err(), "{key}");
    }
}

#[test]
fn every_loss_and_optimizer_has_its_name() {
    for (name, loss) in [
        ("logistic", Loss::Logistic),
        ("squared", Loss::Squared),
        ("poisson", Loss::Poisson),
    ] {
        assert_eq!(serde_json::from_value::<Loss>(json!(name)).unwrap(), loss);
    }
    for (name, kind) in [
        ("ftrl", OptimizerKind::Ftrl),
        ("adagrad", OptimizerKind::Adagrad),
        ("sgd", OptimizerKind::Sgd),
        ("counting", OptimizerKind::Counting),
    ] {
        assert_eq!(
            serde_json::from_value::<OptimizerKind>(json!(name)).unwrap(),
            kind
        );
    }
}
