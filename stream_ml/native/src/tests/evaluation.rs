use super::*;
use crate::seeded::Random;

fn judged(random: &mut Random) -> Judged {
    let score = (random.below(1_000) as f32 - 500.0) / 100.0;
    let prediction = Loss::Logistic.prediction(score);
    let label = f32::from(u8::from(
        random.below(1_000) < (prediction * 1_000.0) as u64,
    ));
    Judged {
        score,
        prediction,
        label,
        importance: 1.0 + random.below(3) as f32,
        served: 0.25,
        watermark_us: 0,
    }
}

fn stream(seed: u64, count: usize) -> Vec<Judged> {
    let mut random = Random(seed);
    (0..count).map(|_| judged(&mut random)).collect()
}

fn count(tally: &mut Tally, one: Judged) {
    tally.add(
        Loss::Logistic,
        one,
        Loss::Logistic.cost(one.score, one.label),
    );
}

/// Pair by pair; scores within one bin are a tie.
fn plain_auc(judged: &[Judged]) -> f64 {
    let (mut above, mut pairs) = (0.0, 0.0);
    for positive in judged.iter().filter(|one| one.label == 1.0) {
        for negative in judged.iter().filter(|one| one.label == 0.0) {
            let weight = f64::from(positive.importance * negative.importance);
            let order = bin_of(positive.score).cmp(&bin_of(negative.score)) as i32;
            above += weight * f64::from(order + 1) / 2.0;
            pairs += weight;
        }
    }
    above / pairs
}

#[test]
fn the_area_is_that_over_all_pairs() {
    let judged = stream(1, 600);
    let mut tally = Tally::default();
    judged.iter().for_each(|&one| count(&mut tally, one));
    assert!((tally.auc().unwrap() - plain_auc(&judged)).abs() < 1e-12);
    assert!(tally.calibration().unwrap() > 0.8 && tally.normalized_entropy().unwrap() < 0.9);
}

#[test]
fn tallies_of_parts_add_up() {
    let judged = stream(2, 1_000);
    let mut tallies = [Tally::default(), Tally::default(), Tally::default()];
    for (at, &one) in judged.iter().enumerate() {
        count(&mut tallies[usize::from(at >= 300)], one);
        count(&mut tallies[2], one);
    }
    let [mut first, second, whole] = tallies;
    first.merge(&second);
    assert_eq!((first.examples, first.auc()), (whole.examples, whole.auc()));
    assert!((first.loss_sum - whole.loss_sum).abs() < 1e-9);
}

#[test]
fn scores_of_any_size_have_a_bin() {
    assert_eq!(
        [-1e15, -16.1, -16.0, 0.0, 15.99, 1e15].map(bin_of),
        [0, 0, 0, 256, 511, 511]
    );
}

#[test]
fn without_both_labels_there_is_no_area_and_no_entropy() {
    let mut tally = Tally::default();
    assert_eq!(
        (tally.auc(), tally.log_loss(), tally.calibration()),
        (None, None, None)
    );
    count(
        &mut tally,
        Judged {
            score: 1.0,
            prediction: 0.7,
            label: 1.0,
            importance: 1.0,
            served: 0.5,
            watermark_us: 0,
        },
    );
    assert_eq!((tally.auc(), tally.normalized_entropy()), (None, None));
}

#[test]
fn an_open_evaluation_survives_a_restart() {
    let mut straight = Evaluations::new(50);
    let mut closed = Vec::new();
    for one in stream(3, 333) {
        straight.add(Loss::Logistic, &[one], &mut closed);
        let mut writer = Writer::new(0, 0);
        straight.write(&mut writer);
        let bytes = writer.finish();
        let again = Evaluations::read(&mut Reader::new(&bytes, "", 0, 0).unwrap()).unwrap();
        assert_eq!(again, straight);
    }
    assert_eq!(closed.len(), 6);
    assert_eq!(straight.total().served.examples, 333);
    let mut together = (Evaluations::new(50), Vec::new());
    together
        .0
        .add(Loss::Logistic, &stream(3, 333), &mut together.1);
    assert_eq!(together, (straight, closed));
}
