use super::*;

#[test]
fn every_outcome_and_closure_has_its_own_place() {
    for (at, (outcome, _)) in OUTCOMES.iter().enumerate() {
        assert_eq!(*outcome as usize, at);
    }
    for (at, (why, _)) in CLOSED.iter().enumerate() {
        assert_eq!(*why as usize, at);
    }
}

#[test]
fn a_latency_falls_in_the_bucket_whose_bound_it_does_not_exceed() {
    let counters = Counters::default();
    counters.latency(2, Duration::from_micros(50));
    counters.latency(1, Duration::from_micros(51));
    counters.latency(1, Duration::from_secs(9));
    let (buckets, sum) = counters.latencies();
    assert_eq!((buckets[0], buckets[1], buckets[14]), (2, 1, 1));
    assert!((sum - 9.000151).abs() < 1e-9);
}
