//! Elementary functions of our own: the same bits on every machine.
//!
//! Platforms round `exp` and `ln` differently. These use only IEEE operations (+ − × ÷ √), each rounded by itself, in
//! a fixed order and never fused. Errors are below 2 ulp. Whatever alters a bit here raises `MATH_VERSION`.

/// Part of every plan, and so of its fingerprint.
pub const MATH_VERSION: u32 = 1;

/// ln 2 in two parts; the upper has 32 trailing zero bits, so its product with a small integer is exact.
const LN2_UPPER: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LOWER: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
/// Adding and subtracting 1.5 · 2^52 rounds to an integer, ties to even.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// e^x; x = k ln 2 + r with |r| ≤ ln 2 / 2, and the Taylor series of e^r up to r^13 / 13!.
#[inline]
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 709.79 {
        return f64::INFINITY;
    }
    if x < -745.2 {
        return 0.0;
    }
    // Two factors, because 2^1024 and 2^-1074 have no normal representation.
    let (k, r) = reduced(x);
    let half = (k as i64) >> 1;
    exp_series(r) * power_of_two(half) * power_of_two(k as i64 - half)
}

/// k and r of x = k ln 2 + r.
#[inline(always)]
fn reduced(x: f64) -> (f64, f64) {
    let k = (x * std::f64::consts::LOG2_E + ROUNDER) - ROUNDER;
    (k, (x - k * LN2_UPPER) - k * LN2_LOWER)
}

/// The same bits as `exp` for |x| ≤ 700, without a branch, so that many go into a vector.
#[inline(always)]
fn exp_near(x: f64) -> f64 {
    let (k, r) = reduced(x);
    // The lowest bits of k + 1.5 · 2^52 are those of k.
    let exponent = (k + ROUNDER).to_bits() << 52;
    exp_series(r) * f64::from_bits(exponent.wrapping_add(1.0f64.to_bits()))
}

#[inline(always)]
fn exp_series(r: f64) -> f64 {
    let (r2, r4) = (r * r, (r * r) * (r * r));
    let low = (1.0 + r) + (1.0 / 2.0 + r * (1.0 / 6.0)) * r2;
    let middle = (1.0 / 24.0 + r * (1.0 / 120.0)) + (1.0 / 720.0 + r * (1.0 / 5_040.0)) * r2;
    let high = (1.0 / 40_320.0 + r * (1.0 / 362_880.0))
        + (1.0 / 3_628_800.0 + r * (1.0 / 39_916_800.0)) * r2;
    let top = 1.0 / 479_001_600.0 + r * (1.0 / 6_227_020_800.0);
    low + (middle + (high + top * r4) * r4) * r4
}

#[inline]
fn power_of_two(k: i64) -> f64 {
    f64::from_bits(((k + 1023) as u64) << 52)
}

/// Natural logarithm; NaN below 0. x = 2^k m with m in [√½, √2), ln m = 2 artanh((m − 1) / (m + 1)).
#[inline]
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x == f64::INFINITY {
        return x;
    }
    if x <= 0.0 {
        return if x == 0.0 {
            f64::NEG_INFINITY
        } else {
            f64::NAN
        };
    }
    let (x, lift) = if x < f64::MIN_POSITIVE {
        (x * power_of_two(54), -54)
    } else {
        (x, 0)
    };
    let bits = x.to_bits();
    // Moves the cut of the mantissa from 1 to √½.
    let offset = bits.wrapping_sub(std::f64::consts::FRAC_1_SQRT_2.to_bits());
    let k = (offset as i64) >> 52;
    let m = f64::from_bits(bits.wrapping_sub((k as u64) << 52));
    let k = (k + lift) as f64;
    let s = (m - 1.0) / (m + 1.0);
    k * LN2_UPPER + (2.0 * s + (2.0 * s * artanh_tail(s * s) + k * LN2_LOWER))
}

/// artanh(s) / s − 1 for s² = q ≤ 1/9: q/3 + q²/5 + … + q^17/35.
#[inline(always)]
fn artanh_tail(q: f64) -> f64 {
    let mut sum = 0.0;
    for odd in ARTANH {
        sum = sum * q + odd;
    }
    sum * q
}

#[rustfmt::skip]
const ARTANH: [f64; 17] = [
    1.0 / 35.0, 1.0 / 33.0, 1.0 / 31.0, 1.0 / 29.0, 1.0 / 27.0, 1.0 / 25.0, 1.0 / 23.0, 1.0 / 21.0, 1.0 / 19.0,
    1.0 / 17.0, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0,
];

/// ln(1 + x), exact to the last bits for small x too.
#[inline]
pub fn log1p(x: f64) -> f64 {
    let sum = 1.0 + x;
    if sum == 1.0 || sum == f64::INFINITY || sum.is_nan() {
        return x;
    }
    if sum <= 0.0 {
        return ln(sum);
    }
    // What the addition rounded away, to first order.
    ln(sum) + (x - (sum - 1.0)) / sum
}

/// 1 / (1 + e^−x).
#[inline]
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// The same for float32: once rounded to it, the bits are those of `sigmoid`. No branch, so that many go into a vector.
#[inline(always)]
pub fn sigmoid_near(x: f64) -> f64 {
    let above = if x > -700.0 { x } else { -700.0 };
    let near = if above < 700.0 { above } else { 700.0 };
    1.0 / (1.0 + exp_near(-near))
}

/// ln(p / (1 − p)).
#[inline]
pub fn logit(p: f64) -> f64 {
    ln(p / (1.0 - p))
}

/// ln(1 + e^x), without overflow: the log loss of a negative with log-odds x. No branch, so that many go into a vector.
#[inline(always)]
pub fn softplus(x: f64) -> f64 {
    let near = if x.abs() < 700.0 { x.abs() } else { 700.0 };
    let t = exp_near(-near);
    // ln(1 + t) = 2 artanh(t / (2 + t)), t in [0, 1].
    let s = t / (2.0 + t);
    let above = if x > 0.0 { x } else { 0.0 };
    above + (2.0 * s + 2.0 * s * artanh_tail(s * s))
}

#[cfg(test)]
#[path = "tests/math.rs"]
mod tests;
