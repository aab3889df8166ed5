use super::*;

#[test]
fn the_calendar_counts_every_day_once() {
    let mut expected = days_since_1970(1, 1, 1);
    for year in 1..2500 {
        for month in 1..=12 {
            for day in 1..=days_of_month(year, month) {
                assert_eq!(days_since_1970(year, month, day), expected);
                assert_eq!(month_and_day(expected), (i64::from(month), i64::from(day)));
                expected += 1;
            }
        }
    }
    assert_eq!(days_since_1970(1970, 1, 1), 0);
}

#[test]
fn a_text_may_have_a_clock_a_fraction_and_an_offset() {
    let noon = 1_704_110_400 * SECOND;
    for text in [
        "2024-01-01T12:00",
        "2024-01-01 12:00:00",
        "2024-01-01T12:00:00Z",
        "2024-01-01T14:00+02:00",
        "2024-01-01T06:30:00.000-05:30",
    ] {
        assert_eq!(from_text(text.as_bytes()), Some(noon), "{text}");
    }
    assert_eq!(from_text(b"2024-01-01"), Some(noon - 12 * HOUR));
    assert_eq!(
        from_text(b"2024-01-01T12:00:00.1234567Z"),
        Some(noon + 123_456)
    );
    assert_eq!(from_text(b"1969-12-31T23:59:59.5"), Some(-SECOND / 2));
}

#[test]
fn what_is_no_time_is_refused() {
    for text in [
        "",
        "2024",
        "2024-1-1",
        "2024-02-30",
        "2023-02-29",
        "2024-13-01",
        "2024-00-01",
        "2024-01-00",
        "2024-01-01T",
        "2024-01-01T24:00",
        "2024-01-01T12:60",
        "2024-01-01T12",
        "2024-01-01T12:00:60",
        "2024-01-01T12:00:00.",
        "2024-01-01T12:00+2",
        "2024-01-01T12:00+24:00",
        "2024-01-01t12:00",
        "2024-01-01T12:00z",
        "2024-01-01T12:00Zx",
        "2024-01-01x",
        "+024-01-01",
        "２024-01-01",
    ] {
        assert_eq!(from_text(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn seconds_are_rounded_to_the_microsecond_and_bounded() {
    assert_eq!(
        from_seconds(1_704_110_400.123456),
        Some(1_704_110_400_123_456)
    );
    assert_eq!(from_seconds(-0.5), Some(-SECOND / 2));
    assert_eq!(from_seconds(1_704_110_400_000.0), None, "milliseconds");
    assert_eq!(from_seconds(f64::NAN), None);
}

#[test]
fn parts_of_instants_before_1970_are_those_of_the_calendar() {
    let time = from_text(b"1969-12-28T23:10").unwrap();
    assert_eq!(Part::Hour.of(time), 23);
    assert_eq!(Part::Weekday.of(time), 6);
    assert_eq!(Part::Day.of(time), 28);
    assert_eq!(Part::Month.of(time), 12);
}
