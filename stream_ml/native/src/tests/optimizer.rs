use super::*;
use crate::options::Loss;
use crate::options::OptimizerKind::{Adagrad, Ftrl, Sgd};
use crate::seeded::Random;

fn optimizer(kind: OptimizerKind, alpha: f32, beta: f32, l1: f32, l2: f32) -> Optimizer {
    let loss = Loss::Logistic;
    let (base_rate, base_rate_events) = (None, 0);
    Optimizer::new(&LearnerOptions {
        loss,
        optimizer: kind,
        alpha,
        beta,
        l1,
        l2,
        decay: 1.0,
        base_rate,
        base_rate_events,
    })
}

const KINDS: [OptimizerKind; 4] = [
    OptimizerKind::Ftrl,
    OptimizerKind::Adagrad,
    OptimizerKind::Sgd,
    OptimizerKind::Counting,
];

#[test]
fn nothing_becomes_infinite_or_no_number_whatever_the_gradients() {
    let mut random = Random(3);
    let mut any = |choices: &[f32]| choices[random.below(choices.len() as u64) as usize];
    for at in 0..3_000 {
        let [alpha, beta] = [
            any(&[1e-10, 1e-3, 1.0, 1e10]),
            any(&[0.0, 1e-20, 1.0, 1e10]),
        ];
        let [l1, l2] = [any(&[0.0, 1e-20, 1.0, 1e10]), any(&[0.0, 1e-20, 1.0, 1e10])];
        let optimizer = optimizer(KINDS[at % 4], alpha, beta, l1, l2);
        let (mut z, mut n) = (0.0, 0.0);
        for _ in 0..50 {
            let w = optimizer.weight(z, n);
            let slope = any(&[0.0, 1e-45, -1e-30, 0.3, -1.0, 1e9, -1e18, f32::MAX]);
            (z, n) = optimizer.step(slope, any(&[1.0, -1.0, 1e-38, 1e6, -1e6]), w, z, n);
            assert!(
                w.is_finite() && z.is_finite() && (0.0..=MAX_N).contains(&n),
                "{optimizer:?} {w} {z} {n}"
            );
        }
    }
}

/// Vectors and single rows go through the same lines, whatever is in the padding.
#[test]
fn columns_are_learned_as_single_rows_are() {
    let mut random = Random(5);
    for (at, count) in (0..120).map(|at| (at, at % 21)) {
        let optimizer = optimizer(KINDS[at % 4], 0.3, 0.7, 0.2, 0.1);
        let mut value = || random.below(2_000) as f32 / 500.0 - 2.0;
        let x: Vec<f32> = (0..count).map(|_| value()).collect();
        let mut columns = Columns::default();
        columns.start(&x);
        for at in 0..count {
            (columns.z[at], columns.n[at]) = (value(), value().abs());
        }
        let (z, n) = (columns.z.clone(), columns.n.clone());
        optimizer.weights(&mut columns);
        optimizer.update(0.8, &mut columns);
        for at in 0..count {
            let w = optimizer.weight(z[at], n[at]);
            assert_eq!(columns.w[at], w);
            assert_eq!(
                (columns.z[at], columns.n[at]),
                optimizer.step(0.8, x[at], w, z[at], n[at])
            );
        }
        let sum: f32 = columns.w.iter().zip(&columns.x).map(|(w, x)| w * x).sum();
        assert!((dot(&columns) - sum).abs() < 1e-4);
    }
}

/// Duchi et al. 2011: the weight moves by alpha / (beta + |g|) · g at first, then is shrunk.
#[test]
fn adagrad_and_sgd_step_against_the_gradient() {
    let adagrad = optimizer(OptimizerKind::Adagrad, 0.5, 1.0, 0.0, 0.0);
    assert_eq!(
        adagrad.step(3.0, 1.0, 0.0, 2.0, 0.0),
        (2.0 - 0.5 / 4.0 * 3.0, 9.0)
    );
    let sgd = optimizer(OptimizerKind::Sgd, 0.5, 1.0, 0.0, 0.0);
    assert_eq!(sgd.step(3.0, -1.0, 0.0, 2.0, 0.0), (3.5, 9.0));
    let shrinking = optimizer(OptimizerKind::Sgd, 0.5, 1.0, 1.0, 2.0);
    assert_eq!(shrinking.step(1.0, 1.0, 0.0, 2.0, 0.0).0, (1.5 - 0.5) / 2.0);
    assert_eq!(shrinking.step(1.0, 1.0, 0.0, 0.9, 0.0).0, 0.0);
}

/// Whatever the gradient, and exact as long as float32 counts.
#[test]
fn counting_adds_one_and_never_has_a_weight() {
    let counting = optimizer(OptimizerKind::Counting, 0.5, 1.0, 0.1, 0.2);
    let last = 16_777_215.0;
    for z in [0.0, 41.0, last] {
        assert_eq!(counting.weight(z, 0.0), 0.0);
        for (slope, x) in [(0.0, 1.0), (-0.3, 2.5), (1e9, -1.0), (1.0, 0.0)] {
            assert_eq!(counting.step(slope, x, 0.0, z, 0.0), (z + 1.0, 0.0));
        }
    }
    assert_eq!(last + 1.0 - last, 1.0);
}

/// Of hyper-parameters and rows of every size, with weights of both signs and many that l1 holds at zero.
#[test]
fn a_row_keeps_its_weight_under_other_hyper_parameters() {
    let mut random = Random(11);
    let mut any = |choices: &[f32]| choices[random.below(choices.len() as u64) as usize];
    let mut zeros = 0;
    for _ in 0..20_000 {
        let mut ftrl = || {
            let (alpha, beta) = (any(&[0.03, 0.2, 3.0]), any(&[0.0, 0.7, 5.0]));
            optimizer(
                Ftrl,
                alpha,
                beta,
                any(&[0.0, 0.9, 4.0]),
                any(&[0.0, 0.3, 9.0]),
            )
        };
        let (before, after) = (ftrl(), ftrl());
        let sign = any(&[1.0, -1.0]);
        let row = Row {
            z: sign * any(&[0.0, 0.4, 0.901, 1.7, 37.0, 5e3]),
            n: any(&[1e-3, 0.2, 8.0, 4e4]),
        };
        let adopted = after.adopt(&before, row);
        let (w, now) = (
            before.weight(row.z, row.n),
            after.weight(adopted.z, adopted.n),
        );
        // What the nearest float32 to z can say of w.
        let most = adopted.z.abs() * f32::EPSILON / after.scale(row.n.sqrt())
            + w.abs() * 4.0 * f32::EPSILON;
        assert!(
            (w - now).abs() <= most,
            "{before:?} {after:?} {row:?}: {w} {now}"
        );
        assert_eq!(adopted.n, row.n);
        assert!(w != 0.0 || now == 0.0, "zero stays zero");
        zeros += u32::from(w == 0.0);
        assert_eq!(
            before.adopt(&before, row),
            row,
            "bit for bit where nothing changed"
        );
    }
    assert!((2_000..18_000).contains(&zeros), "{zeros}");
}

#[test]
fn where_z_is_the_weight_a_row_stays_what_it_is() {
    let row = Row { z: -0.7, n: 3.0 };
    for kind in [Adagrad, Sgd] {
        let (before, after) = (
            optimizer(kind, 0.1, 1.0, 0.2, 0.3),
            optimizer(kind, 0.4, 2.0, 0.5, 0.6),
        );
        assert_eq!(after.adopt(&before, row), row);
    }
}

/// What decays is the sum that FTRL minimises: g·w and the squares alike, so that z and √n shrink by the same factor.
#[test]
fn a_decay_shrinks_what_was_learned_each_time_the_feature_is() {
    let keeps = optimizer(Ftrl, 0.3, 0.5, 0.1, 0.2);
    let decay = 0.75f32;
    let forgets = Optimizer {
        decay,
        decay_of_n: decay * decay,
        ..keeps
    };
    let (mut z, mut n) = (0.0f32, 0.0f32);
    let (mut sum, mut root) = (0.0f64, 0.0f64);
    for (at, slope) in [0.5f32, -0.25, 0.75, 0.1].into_iter().enumerate() {
        let w = forgets.weight(z, n);
        let g = f64::from(slope) * 2.0;
        let grown = ((0.75 * root).powi(2) + g * g).sqrt();
        sum = 0.75 * sum + g - (grown - 0.75 * root) / f64::from(0.3f32) * f64::from(w);
        root = grown;
        (z, n) = forgets.step(slope, 2.0, w, z, n);
        assert!((f64::from(z) - sum).abs() < 1e-6, "{at}: {z} {sum}");
        assert!((f64::from(n) - root * root).abs() < 1e-6, "{at}");
    }
    assert_ne!(
        forgets.step(0.5, 2.0, 0.1, 1.0, 2.0),
        keeps.step(0.5, 2.0, 0.1, 1.0, 2.0)
    );
    assert_eq!(forgets.adopt(&keeps, Row { z, n }), Row { z, n });
}
