use super::*;

/// Distance in representable numbers.
fn ulps(a: f64, b: f64) -> u64 {
    let line = |x: f64| {
        if x < 0.0 {
            -((x.to_bits() << 1 >> 1) as i64)
        } else {
            x.to_bits() as i64
        }
    };
    line(a).abs_diff(line(b))
}

fn sweep(from: f64, to: f64) -> impl Iterator<Item = f64> {
    (0..=20_000).map(move |i| from + (to - from) * (i as f64) / 20_000.0)
}

#[test]
fn exp_agrees_with_the_platform_over_its_range() {
    for x in sweep(-708.0, 709.0).chain(sweep(-1.0, 1.0)) {
        assert!(x.abs() > 700.0 || exp(x) == exp_near(x));
        assert!(ulps(exp(x), x.exp()) <= 2, "{x}: {} {}", exp(x), x.exp());
    }
    assert!((exp(-744.0) - (-744.0f64).exp()).abs() <= 5e-324);
}

#[test]
fn ln_and_log1p_agree_with_the_platform() {
    for x in sweep(1e-3, 10.0).chain(sweep(-700.0, 700.0).map(f64::exp)) {
        assert!(ulps(ln(x), x.ln()) <= 2, "ln {x}: {} {}", ln(x), x.ln());
    }
    for x in sweep(-0.9, 3.0)
        .chain(sweep(-1e-6, 1e-6))
        .chain([1e-300, -1e-20, 1e300, 5e-324])
    {
        assert!(
            ulps(log1p(x), x.ln_1p()) <= 3,
            "log1p {x}: {} {}",
            log1p(x),
            x.ln_1p()
        );
    }
    assert_eq!(ln(5e-324), 5e-324f64.ln());
}

#[test]
fn softplus_agrees_with_its_definition() {
    for x in sweep(-40.0, 40.0) {
        let expected = x.max(0.0) + (-x.abs()).exp().ln_1p();
        assert!(
            (softplus(x) - expected).abs() <= 8e-16 * expected.max(1e-17),
            "{x}"
        );
    }
}

#[test]
fn ends_of_the_line_are_what_ieee_says() {
    assert_eq!(
        (exp(f64::INFINITY), exp(f64::NEG_INFINITY), exp(0.0)),
        (f64::INFINITY, 0.0, 1.0)
    );
    assert_eq!((exp(1e300), exp(-1e300)), (f64::INFINITY, 0.0));
    assert_eq!(
        (ln(1.0), ln(0.0), ln(f64::INFINITY)),
        (0.0, f64::NEG_INFINITY, f64::INFINITY)
    );
    assert_eq!(
        (log1p(0.0), log1p(-1.0), log1p(f64::INFINITY)),
        (0.0, f64::NEG_INFINITY, f64::INFINITY)
    );
    assert!(
        ln(-1.0).is_nan()
            && log1p(-1.5).is_nan()
            && exp(f64::NAN).is_nan()
            && ln(f64::NAN).is_nan()
    );
    assert_eq!(
        (sigmoid(0.0), sigmoid(800.0), sigmoid(-800.0)),
        (0.5, 1.0, 0.0)
    );
}

/// Golden for ever: other bits would need another `MATH_VERSION`.
#[test]
fn bits_never_change() {
    let bits = [
        exp(1.5),
        ln(10.0),
        log1p(0.3),
        sigmoid(-2.5),
        softplus(-3.25),
    ]
    .map(f64::to_bits);
    assert_eq!(bits, GOLDEN, "{bits:#x?}");
}

const GOLDEN: [u64; 5] = [
    4616731951734179138,
    4612367379483415830,
    4598397954332670428,
    4590130578603591751,
    4585643160471242835,
];

#[test]
fn sigmoid_near_rounds_to_the_same_float32() {
    let far = [0.0, 1e-30, 88.7, 699.9, 700.0, 745.3, 1e4, 1e15];
    let near = (0..200_000).map(|at| f64::from((at as f32 - 1e5) * 0.000_37));
    for x in far.into_iter().chain(near) {
        for x in [x, -x] {
            let (one, other) = (sigmoid(x) as f32, sigmoid_near(x) as f32);
            assert_eq!(one.to_bits(), other.to_bits(), "{x}");
        }
    }
}
