use super::*;
use crate::replica::tests::{plan, rows, state};

#[derive(Default)]
struct Kept(Vec<Result<Values, (String, String)>>);

#[derive(Clone, Debug, PartialEq)]
struct Values {
    prediction: f64,
    log_odds: f64,
    uncertainty: Option<f64>,
    contributions: Option<Vec<(String, f64)>>,
}

impl Sink for Kept {
    type Error = std::convert::Infallible;

    fn score(&mut self, score: Score<'_>) -> Result<(), Self::Error> {
        let owned = |shares: &[(&str, f64)]| {
            shares
                .iter()
                .map(|(slot, share)| (slot.to_string(), *share))
                .collect()
        };
        self.0.push(Ok(Values {
            prediction: score.prediction,
            log_odds: score.log_odds,
            uncertainty: score.uncertainty,
            contributions: score.contributions.map(owned),
        }));
        Ok(())
    }

    fn refused(&mut self, reason: &str, detail: &str) -> Result<(), Self::Error> {
        self.0.push(Err((reason.into(), detail.into())));
        Ok(())
    }
}

/// Rows for every feature of *event*: z = -1 - k, n = k + 1 of the k-th.
fn replica(event: &str) -> Arc<Replica> {
    let mut block = Block::default();
    Scanner::new(plan(), Mode::Score).scan_record(event.as_bytes(), 0, -1, &mut block);
    let learned = (0..)
        .zip(&block.ids)
        .map(|(k, id)| (*id, -1.0 - k as f32, k as f32 + 1.0));
    let replica = Replica::new(plan(), 0).unwrap();
    let learned: Vec<_> = learned.collect();
    replica
        .apply(&rows(&learned), &[], &state().to_bytes(), 1, 0.0)
        .unwrap();
    Arc::new(replica)
}

fn scores(
    replica: &Arc<Replica>,
    events: &[&str],
    all: bool,
) -> Vec<Result<Values, (String, String)>> {
    let options = ScoreOptions {
        uncertainty: all,
        contributions: all,
        ..ScoreOptions::default()
    };
    let mut kept = Kept::default();
    let events = events.iter().map(|event| event.as_bytes());
    let tally = EventScorer::new(replica.clone())
        .score(events, &options, 100, &mut kept)
        .unwrap();
    let scored = kept.0.iter().filter(|result| result.is_ok()).count();
    assert_eq!(tally.scored as usize, scored);
    assert_eq!((tally.scored + tally.refused) as usize, kept.0.len());
    kept.0
}

/// McMahan et al. 2013, Algorithm 1, with the hyper-parameters of `plan`.
fn weight(z: f64, n: f64, l1: f64, l2: f64) -> f64 {
    if z.abs() <= l1 {
        0.0
    } else {
        -(z - z.signum() * l1) / ((0.5 + n.sqrt()) / 0.25 + l2)
    }
}

#[test]
fn contributions_are_named_and_sum_to_the_log_odds() {
    let event = r#"{"c":"a","x":-2.5,"w":"one two"}"#;
    let replica = replica(event);
    let score = scores(&replica, &[event], true)[0].clone().unwrap();
    let w = |k: f64| weight(-1.0 - k, k + 1.0, 0.125, 0.75);
    let bias = 0.25f64.ln() + weight(-1.5, 2.25, 0.0, 0.0);
    let expected = [
        ("c", w(0.0)),
        ("x", -2.5 * w(1.0)),
        ("w", w(2.0) + w(3.0)),
        ("bias", bias),
    ];
    let shares = score.contributions.unwrap();
    for ((slot, share), (expected_slot, expected_share)) in shares.iter().zip(expected) {
        assert_eq!(slot, expected_slot);
        assert!(
            (share - expected_share).abs() < 1e-6,
            "{slot}: {share}, {expected_share}"
        );
    }
    let sum: f64 = shares.iter().map(|(_, share)| share).sum();
    assert!((sum - score.log_odds).abs() < 1e-6);
    assert!((score.prediction - 1.0 / (1.0 + (-sum).exp())).abs() < 1e-6);
}

#[test]
fn uncertainty_is_the_learning_rates_of_the_features_and_largest_for_the_unseen() {
    let event = r#"{"c":"a","x":-2.5,"w":"one two"}"#;
    let replica = replica(event);
    let all = scores(&replica, &[event, r#"{"c":"unseen"}"#, "{}"], true);
    let rate = |n: f64| 0.25 / (0.5 + n.sqrt());
    let expected = rate(1.0) + 2.5 * rate(2.0) + rate(3.0) + rate(4.0);
    let uncertainties = all
        .into_iter()
        .map(|score| score.unwrap().uncertainty.unwrap());
    for (found, expected) in uncertainties.zip([expected, 0.25 / 0.5, 0.0]) {
        assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
    }
}

#[test]
fn a_bad_event_fails_alone_wherever_it_stands() {
    let good = r#"{"c":"a","x":-2.5,"w":"one two"}"#;
    let replica = replica(good);
    let alone = scores(&replica, &[good], false)[0].clone().unwrap();
    let long = format!("{{\"c\":\"{}\"}}", "a".repeat(200));
    let events = [
        "",
        good,
        "nonsense",
        good,
        "{}\n{}",
        r#"{"x":"text"}"#,
        good,
        &long,
        good,
    ];
    let found = scores(&replica, &events, false);
    let reasons: Vec<_> = found
        .iter()
        .map(|result| result.as_ref().err().map(|e| e.0.as_str()))
        .collect();
    let (json, wrong, large) = (Some("invalid_json"), Some("wrong_type"), Some("too_large"));
    assert_eq!(
        reasons,
        [json, None, json, None, json, wrong, None, large, None]
    );
    assert!(found.iter().flatten().all(|score| *score == alone));
}

#[test]
fn a_call_longer_than_a_lock_scores_every_event_in_its_place() {
    let good = r#"{"c":"a","x":-2.5,"w":"one two"}"#;
    let replica = replica(good);
    let events: Vec<&str> = (0..200)
        .map(|at| if at % 7 == 3 { "?" } else { good })
        .collect();
    let found = scores(&replica, &events, false);
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(at, result)| result.is_err() == (at % 7 == 3))
    );
}
