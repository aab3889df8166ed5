use super::*;

const LOSSES: [Loss; 3] = [Loss::Logistic, Loss::Squared, Loss::Poisson];

#[test]
fn a_score_is_a_bounded_number() {
    for (score, expected) in [
        (0.5, 0.5),
        (-3.0, -3.0),
        (f32::NAN, 0.0),
        (f32::INFINITY, 1e15),
        (f32::NEG_INFINITY, -1e15),
        (f32::MAX, 1e15),
    ] {
        assert_eq!(bounded(score), expected, "{score}");
    }
}

#[test]
fn predictions_follow_their_link() {
    for (loss, score, expected) in [
        (Loss::Logistic, 0.0, 0.5),
        (Loss::Logistic, 1e15, 1.0),
        (Loss::Logistic, -1e15, 0.0),
        (Loss::Squared, -2.5, -2.5),
        (Loss::Poisson, 0.0, 1.0),
        (Loss::Poisson, 1e15, 34f64.exp() as f32),
        (Loss::Poisson, -1e15, (-34f64).exp() as f32),
    ] {
        let found = loss.prediction(score);
        assert!(
            (found - expected).abs() <= 1e-6 * expected.abs(),
            "{loss:?} {score}: {found}"
        );
    }
}

#[test]
fn the_score_of_a_prediction_leads_back_to_it() {
    for loss in LOSSES {
        for prediction in [0.01, 0.25, 0.5, 0.9] {
            let back = loss.prediction(loss.score(prediction) as f32);
            assert!(
                (f64::from(back) - prediction).abs() < 1e-6,
                "{loss:?} {prediction}"
            );
        }
    }
}

#[test]
fn costs_are_those_of_the_papers() {
    for (loss, score, label, expected) in [
        (Loss::Logistic, 0.0f32, 1.0f32, 2f64.ln()),
        (Loss::Logistic, 2.0, 1.0, (-2f64).exp().ln_1p()),
        (Loss::Logistic, 2.0, 0.0, 2f64.exp().ln_1p()),
        (Loss::Logistic, 2.0, 0.5, 2f64.exp().ln_1p() - 1.0),
        (Loss::Squared, 3.0, 1.0, 2.0),
        (Loss::Squared, 1.0, 1.0, 0.0),
        (Loss::Poisson, 1.0, 2.0, 1f64.exp() - 2.0),
        (Loss::Poisson, 100.0, 0.0, 34f64.exp()),
    ] {
        let found = loss.cost(score, label);
        assert!(
            (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
            "{loss:?} {score} {label}: {found}"
        );
    }
}

#[test]
fn the_slope_of_every_cost_is_prediction_minus_label() {
    for loss in LOSSES {
        for (score, label) in [(-1.5f32, 0.0f32), (0.25, 1.0), (2.0, 0.5)] {
            let step = 1.0 / 1024.0;
            let slope = (loss.cost(score + step, label) - loss.cost(score - step, label))
                / (2.0 * f64::from(step));
            let expected = f64::from(loss.prediction(score) - label);
            assert!(
                (slope - expected).abs() < 1e-5,
                "{loss:?} {score}: {slope} {expected}"
            );
        }
    }
}

#[test]
fn many_costs_are_those_of_each() {
    let examples: Vec<(f32, f32)> = (0..20)
        .map(|at| (at as f32 / 3.0 - 3.0, (at % 2) as f32))
        .collect();
    for loss in LOSSES {
        let mut costs = [f64::NAN; 32];
        loss.costs(examples.iter().copied(), &mut costs);
        for (&(score, label), cost) in examples.iter().zip(costs) {
            assert_eq!(cost, loss.cost(score, label), "{loss:?}");
        }
        assert!(costs[20..].iter().all(|cost| cost.is_nan()));
    }
}
