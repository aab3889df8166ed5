//! Whether the hottest functions, which are compiled several times, may take their other forms. The bits are the same.

/// What `#[target_feature(enable = "avx2,bmi1,bmi2")]` asks for: most of x86-64 since 2013.
#[inline(always)]
pub fn wide() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
}

/// The same for `"avx2,bmi1,bmi2,avx512f,avx512dq,avx512vl"`: vectors that multiply 64-bit numbers.
#[inline(always)]
pub fn widest() -> bool {
    wide()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}
