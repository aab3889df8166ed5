use super::*;
use crate::options::OptimizerKind;

fn options(loss: Loss, base_rate: Option<f64>, base_rate_events: u64) -> LearnerOptions {
    LearnerOptions {
        loss,
        optimizer: OptimizerKind::Ftrl,
        alpha: 0.5,
        beta: 1.0,
        l1: 0.25,
        l2: 2.0,
        decay: 1.0,
        base_rate,
        base_rate_events,
    }
}

#[test]
fn a_known_base_rate_is_the_base_for_ever() {
    for (loss, rate, expected) in [
        (Loss::Logistic, 0.5, 0.0),
        (Loss::Logistic, 0.1, (0.1f64 / 0.9).ln()),
        (Loss::Squared, 3.5, 3.5),
        (Loss::Poisson, 2.0, 2f64.ln()),
    ] {
        let options = options(loss, Some(rate), 10);
        let mut state = ScoreState::new(&options);
        assert!((f64::from(state.base) - expected).abs() < 1e-6, "{loss:?}");
        let before = state.clone();
        state.count(&options, 1.0, 5.0);
        assert_eq!(state, before);
    }
}

#[test]
fn a_base_rate_that_is_no_rate_gives_a_bounded_base() {
    for rate in [0.0, 1.0] {
        assert!(
            ScoreState::new(&options(Loss::Logistic, Some(rate), 0))
                .base
                .abs()
                <= 1e15
        );
    }
}

#[test]
fn the_base_is_measured_over_the_first_examples_and_then_frozen() {
    let options = options(Loss::Logistic, None, 3);
    let mut state = ScoreState::new(&options);
    assert_eq!(state.base, 0.0, "half an event of each kind");
    let logit = |rate: f64| (rate / (1.0 - rate)).ln() as f32;
    for (label, importance, expected) in [
        (1.0, 1.0, logit(1.5 / 2.0)),
        (0.0, 3.0, logit(1.5 / 5.0)),
        (1.0, 0.5, logit(2.0 / 5.5)),
        (1.0, 100.0, logit(2.0 / 5.5)),
    ] {
        state.count(&options, label, importance);
        assert!(
            (state.base - expected).abs() < 1e-6,
            "{} {expected}",
            state.base
        );
    }
}

#[test]
fn a_squared_base_is_the_mean_with_one_label_of_zero() {
    let options = options(Loss::Squared, None, 10);
    let mut state = ScoreState::new(&options);
    assert_eq!(state.base, 0.0);
    state.count(&options, 8.0, 3.0);
    assert_eq!(state.base, 6.0);
}

fn unusual() -> ScoreState {
    let options = options(Loss::Logistic, None, 3);
    let mut state = ScoreState::new(&options);
    state.count(&options, 1.0, 0.75);
    state.bias = Row { z: -1.5, n: 2.25 };
    state.watermark_us = -7;
    state
}

#[test]
fn a_state_is_read_as_it_was_written_and_goes_on_alike() {
    let mut state = unusual();
    let mut read = ScoreState::from_bytes(&state.to_bytes()).unwrap();
    assert_eq!(read, state);
    let options = options(Loss::Logistic, None, 3);
    for state in [&mut state, &mut read] {
        state.count(&options, 0.0, 2.0);
    }
    assert_eq!(read, state);
}

#[test]
fn each_thing_that_an_example_leaves_says_that_something_was_learned() {
    let measuring = options(Loss::Logistic, None, 3);
    let fixed = options(Loss::Logistic, Some(0.25), 3);
    for options in [&measuring, &fixed] {
        let new = ScoreState::new(options);
        assert!(!new.has_learned());
        let dated = ScoreState {
            watermark_us: -7,
            ..new.clone()
        };
        assert!(dated.has_learned());
        for bias in [Row { z: -1.5, n: 0.0 }, Row { z: 0.0, n: 0.5 }] {
            assert!(
                ScoreState {
                    bias,
                    ..new.clone()
                }
                .has_learned()
            );
        }
    }
    let mut counted = ScoreState::new(&measuring);
    counted.count(&measuring, 0.0, 0.75);
    assert!(counted.has_learned());
    let mut adopted = ScoreState::new(&fixed);
    adopted.adopt(&measuring, &fixed);
    assert!(!adopted.has_learned(), "a seed that learned nothing");
}

#[test]
fn a_damaged_state_is_refused() {
    let bytes = unusual().to_bytes();
    for at in 0..bytes.len() {
        assert!(ScoreState::from_bytes(&bytes[..at]).is_err());
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(ScoreState::from_bytes(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn a_state_of_another_math_is_named() {
    let mut writer = Writer::new(MAGIC, VERSION);
    writer.u32(MATH_VERSION + 1);
    let told = ScoreState::from_bytes(&writer.finish())
        .unwrap_err()
        .to_string();
    assert_eq!(
        told,
        format!(
            "made with math version {}, this release has {MATH_VERSION}",
            MATH_VERSION + 1
        )
    );
}

#[test]
fn a_score_is_base_bias_and_the_weighted_features() {
    let options = options(Loss::Logistic, Some(0.2), 0);
    let mut table = Table::new(1000, 0).unwrap();
    table.put(5, Row { z: -2.0, n: 4.0 });
    table.put(6, Row { z: 0.125, n: 9.0 });
    let mut state = ScoreState::new(&options);
    state.bias = Row { z: 1.0, n: 1.0 };
    let mut scorer = Scorer::new(&options);
    let score = scorer.score(&table, &[5, 6, 7], &[2.0, 1.0, 1.0], &state);
    // -(z - sgn(z) l1) / ((beta + √n) / alpha + l2); the second is shrunk to 0, the third is not there.
    let weight = 1.75 / (3.0 * 2.0 + 2.0);
    // The bias is not regularised.
    let bias = -1.0 / (2.0 * 2.0);
    assert_eq!(scorer.bias_weight(&state), bias);
    assert_eq!(scorer.columns.w[..3], [weight, 0.0, 0.0]);
    assert!((score.score - (state.base + bias + 2.0 * weight)).abs() < 1e-6);
    assert_eq!(score.prediction, Loss::Logistic.prediction(score.score));
}

#[test]
fn learning_moves_the_score_towards_the_label() {
    for (label, importance) in [(1.0, 1.0), (0.0, 1.0), (1.0, 10.0)] {
        let options = LearnerOptions {
            l1: 0.0,
            ..options(Loss::Logistic, Some(0.5), 0)
        };
        let table = Table::new(1000, 0).unwrap();
        let mut state = ScoreState::new(&options);
        let mut scorer = Scorer::new(&options);
        let before = scorer.score(&table, &[5], &[1.0], &state);
        scorer.learn(before, label, importance, &mut state);
        let slope = importance * (0.5 - label);
        assert_eq!(
            (scorer.columns.z[0], scorer.columns.n[0]),
            (slope, slope * slope)
        );
        assert_eq!(
            state.bias,
            Row {
                z: slope,
                n: slope * slope
            }
        );
        let after = scorer.finish(&state);
        assert_eq!(after.score > before.score, label == 1.0);
    }
}
