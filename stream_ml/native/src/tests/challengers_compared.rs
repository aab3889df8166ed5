//! What challengers are compared by besides sums of the whole: segments, and histograms.

use super::*;
use crate::evaluation::{BINS, Judging, NAMED};
use serde_json::Value;

fn segmented() -> Course {
    Course {
        segments: true,
        ..course()
    }
}

/// More values than have a name, and examples without.
fn blocks_of_segments(seed: u64, count: usize) -> Vec<Block> {
    let mut random = Random(seed);
    let mut blocks = blocks(seed, count);
    for block in &mut blocks {
        for _ in 0..block.examples.len() {
            let value = random.below(NAMED as u64 + 12).min(random.below(60));
            let name = format!("v{value}");
            block.segments.push((value != 3).then_some(&name));
        }
    }
    blocks
}

fn alone_by_segment(course: Course, options: &LearnerOptions) -> Trainer {
    let own = trainer::Course {
        fingerprint: String::new(),
        options: options.clone(),
        table: course.table,
        record_wise: course.record_wise,
        duplicate_window: course.duplicate_window,
        judging: std::sync::Arc::new(Judging {
            segments: true,
            every: course.block_examples,
            ..Judging::default()
        }),
    };
    Trainer::new(own, 0).unwrap()
}

fn by_name(segments: &Value) -> std::collections::BTreeMap<Option<String>, &Value> {
    let all = segments.as_array().unwrap().iter();
    all.map(|one| (one["segment"].as_str().map(Into::into), one))
        .collect()
}

fn assert_near(found: f64, wanted: f64, of: &str) {
    let near = (found - wanted).abs() <= 1e-12 * wanted.abs().max(1.0);
    assert!(near, "{of}: {found}, {wanted} alone");
}

fn assert_segments_as_alone(figures: &Figures, at: usize, evaluation: &Value) {
    let own = by_name(&evaluation["segments"]);
    assert_eq!(figures.segments.len(), own.len());
    for segment in &figures.segments {
        let alone = own[&segment.name];
        assert_eq!(segment.share.examples, alone["examples"]);
        let importance = alone["importance_sum"].as_f64().unwrap();
        assert_near(segment.share.importance_sum, importance, "importance");
        let loss = alone["loss_sum"].as_f64().unwrap();
        assert_near(segment.loss[at], loss, "loss");
    }
}

#[test]
fn sums_by_segment_are_those_of_learners_of_their_own() {
    for record_wise in [false, true] {
        let course = Course {
            record_wise,
            ..segmented()
        };
        let (settings, blocks) = (settings(11), blocks_of_segments(21, 60));
        let mut many = challengers(course, &settings, 2);
        let figures = learn(&mut many, &blocks);
        let named = figures.iter().flat_map(|one| &one.segments);
        let named: std::collections::BTreeSet<_> = named.map(|one| &one.name).collect();
        assert_eq!(named.len(), NAMED + 1);
        for (at, settings) in settings.iter().enumerate() {
            let mut one = alone_by_segment(course, &settings.options);
            let closed = learn_alone(&mut one, &blocks);
            assert_eq!(figures.len(), closed.len());
            for (figures, evaluation) in figures.iter().zip(&closed) {
                assert_segments_as_alone(figures, at, evaluation);
            }
        }
    }
}

#[test]
fn segments_change_nothing_else_and_do_not_depend_on_threads_or_calls() {
    let blocks = blocks_of_segments(22, 60);
    let mut once = challengers(segmented(), &settings(9), 1);
    let all = learn(&mut once, &blocks);
    let mut again = challengers(segmented(), &settings(9), 3);
    let pieces: Vec<Figures> = blocks
        .chunks(13)
        .flat_map(|some| learn(&mut again, some))
        .collect();
    assert_eq!(all, pieces);
    let mut without = challengers(course(), &settings(9), 2);
    for (with, without) in all.iter().zip(learn(&mut without, &blocks)) {
        assert_eq!((&with.loss, &with.common), (&without.loss, &without.common));
        assert!(without.segments.is_empty());
    }
    assert_eq!(once.rows(8, 0, usize::MAX), without.rows(8, 0, usize::MAX));
}

/// Of all segments of closed evaluations together.
fn alone_histogram(closed: &[Value], figure: &str) -> Vec<f64> {
    let mut sums = vec![0.0; BINS];
    let segments = closed
        .iter()
        .flat_map(|one| one["segments"].as_array().unwrap());
    for segment in segments {
        for (sum, bin) in sums.iter_mut().zip(segment[figure].as_array().unwrap()) {
            *sum += bin.as_f64().unwrap();
        }
    }
    sums
}

#[test]
fn histograms_are_those_of_learners_of_their_own() {
    let (settings, blocks) = (settings(11), blocks_of_segments(23, 60));
    let mut many = challengers(segmented(), &settings, 2);
    let figures = learn(&mut many, &blocks);
    for (at, settings) in settings.iter().enumerate() {
        let mut one = alone_by_segment(segmented(), &settings.options);
        let closed = learn_alone(&mut one, &blocks);
        let own = many.histogram(at).unwrap();
        let both = [("positives", &own.positives), ("negatives", &own.negatives)];
        for (name, bins) in both {
            let alone = alone_histogram(&closed, name);
            assert!(alone.iter().filter(|&&bin| bin > 0.0).count() > 3);
            for (&bin, alone) in bins.iter().zip(alone) {
                assert_near(bin, alone, name);
            }
        }
        let said: f64 = figures.iter().map(|block| block.prediction[at]).sum();
        assert_near(own.predictions.iter().sum(), said, "predictions");
        // A bin has predictions between its ends.
        for bin in (0..BINS).filter(|&bin| own.positives[bin] + own.negatives[bin] > 0.0) {
            let mean = own.predictions[bin] / (own.positives[bin] + own.negatives[bin]);
            let log_odds = (mean / (1.0 - mean)).ln();
            let from = (bin as f64 - 32.0) / 2.0;
            assert!(bin == 0 || log_odds > from - 1e-3, "{bin}: {log_odds}");
            assert!(
                bin == 63 || log_odds < from + 0.5 + 1e-3,
                "{bin}: {log_odds}"
            );
        }
    }
}

fn importance(many: &Challengers<Nobody>, at: usize) -> f64 {
    let Histogram {
        positives,
        negatives,
        ..
    } = many.histogram(at).unwrap();
    positives.iter().chain(&negatives).sum()
}

#[test]
fn histograms_that_begin_anew_are_of_the_blocks_that_begin_then() {
    let blocks = blocks_of_segments(24, 60);
    // In the middle of a block of figures, and between two of them (no event is a repeat).
    for before in [31, 30] {
        let course = Course {
            duplicate_window: 0,
            ..segmented()
        };
        let mut many = challengers(course, &settings(10), 2);
        let (trained, compared) = blocks.split_at(before);
        learn(&mut many, trained);
        let cut = many.counts().learned;
        many.begin_histograms();
        assert_eq!(importance(&many, 9), 0.0);
        let figures = learn(&mut many, compared);
        let whole = figures.iter().filter(|block| block.common.from >= cut);
        let wanted: f64 = whole.map(|block| block.common.importance_sum).sum();
        for at in 0..10 {
            assert_near(importance(&many, at), wanted, "importance");
        }
    }
}

#[test]
fn what_says_no_log_odds_has_no_histogram() {
    let mut settings = settings(1);
    settings[0].options.loss = Loss::Squared;
    settings[0].options.alpha = 0.001;
    let mut many = challengers(segmented(), &settings, 1);
    let figures = learn(&mut many, &blocks_of_segments(25, 10));
    assert!(many.histogram(0).is_none());
    assert!(!figures[0].segments.is_empty());
}
