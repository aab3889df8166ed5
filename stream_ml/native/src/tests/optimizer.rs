use super::*;
use crate::options::Loss;
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
        base_rate,
        base_rate_events,
    })
}

const KINDS: [OptimizerKind; 3] = [
    OptimizerKind::Ftrl,
    OptimizerKind::Adagrad,
    OptimizerKind::Sgd,
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
        let optimizer = optimizer(KINDS[at % 3], alpha, beta, l1, l2);
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
        let optimizer = optimizer(KINDS[at % 3], 0.3, 0.7, 0.2, 0.1);
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
