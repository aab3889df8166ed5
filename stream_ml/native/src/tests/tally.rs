use super::*;
use crate::seeded::Random;

fn said(random: &mut Random) -> Said {
    let score = (random.below(1_000) as f32 - 500.0) / 100.0;
    let prediction = Loss::Logistic.prediction(score);
    let label = f32::from(u8::from(
        random.below(1_000) < (prediction * 1_000.0) as u64,
    ));
    Said {
        score,
        prediction,
        label,
        importance: 1.0 + random.below(3) as f32,
        cost: Loss::Logistic.cost(score, label),
    }
}

fn stream(seed: u64, count: usize) -> Vec<Said> {
    let mut random = Random(seed);
    (0..count).map(|_| said(&mut random)).collect()
}

fn tally_of<const BINS: usize>(stream: &[Said]) -> Tally<BINS> {
    let mut tally = Tally::default();
    stream
        .iter()
        .for_each(|&one| tally.add(Loss::Logistic, one));
    tally
}

/// Pair by pair; scores within one bin are a tie.
fn plain_auc<const BINS: usize>(stream: &[Said]) -> f64 {
    let (mut above, mut pairs) = (0.0, 0.0);
    for positive in stream.iter().filter(|one| one.label == 1.0) {
        for negative in stream.iter().filter(|one| one.label == 0.0) {
            let weight = f64::from(positive.importance * negative.importance);
            let bin = bin_of::<BINS>(negative.score);
            let order = bin_of::<BINS>(positive.score).cmp(&bin) as i32;
            above += weight * f64::from(order + 1) / 2.0;
            pairs += weight;
        }
    }
    above / pairs
}

#[test]
fn the_area_is_that_over_all_pairs() {
    let stream = stream(1, 600);
    let tally: Tally = tally_of(&stream);
    assert!((tally.auc().unwrap() - plain_auc::<512>(&stream)).abs() < 1e-12);
    assert!(tally.calibration().unwrap() > 0.8 && tally.normalized_entropy().unwrap() < 0.9);
    let coarse: Tally<64> = tally_of(&stream);
    assert!((coarse.auc().unwrap() - plain_auc::<64>(&stream)).abs() < 1e-12);
    assert_ne!(coarse.auc(), tally.auc());
    assert_eq!(coarse.sums(), tally.sums());
}

#[test]
fn tallies_of_parts_add_up() {
    let stream = stream(2, 1_000);
    let (mut first, second) = (tally_of::<512>(&stream[..300]), tally_of(&stream[300..]));
    let whole: Tally = tally_of(&stream);
    first.merge(&second);
    assert_eq!((first.examples, first.auc()), (whole.examples, whole.auc()));
    assert!((first.loss_sum - whole.loss_sum).abs() < 1e-9);
}

#[test]
fn scores_of_any_size_have_a_bin() {
    assert_eq!(
        [-1e15, -16.1, -16.0, 0.0, 15.99, 1e15].map(bin_of::<512>),
        [0, 0, 0, 256, 511, 511]
    );
    assert_eq!(
        [-1e15, -15.6, -15.4, -0.1, 0.0, 0.5, 15.99, 1e15].map(bin_of::<64>),
        [0, 0, 1, 31, 32, 33, 63, 63]
    );
}

#[test]
fn without_both_labels_there_is_no_area_and_no_entropy() {
    let mut tally: Tally = Tally::default();
    assert_eq!(
        (tally.auc(), tally.log_loss(), tally.calibration()),
        (None, None, None)
    );
    let one = Said {
        score: 1.0,
        prediction: 0.7,
        label: 1.0,
        importance: 1.0,
        cost: 0.3,
    };
    tally.add(Loss::Logistic, one);
    assert_eq!((tally.auc(), tally.normalized_entropy()), (None, None));
}

#[test]
fn a_tally_survives_its_bytes() {
    let tally: Tally<64> = tally_of(&stream(3, 50));
    let mut writer = Writer::new(0, 0);
    tally.write(&mut writer);
    let bytes = writer.finish();
    let mut reader = Reader::new(&bytes, "", 0, 0).unwrap();
    assert_eq!(Tally::read(&mut reader).unwrap(), tally);
    assert!(reader.is_empty());
}
