use serde_json::Value;

use super::segments::NAMED;
use super::*;
use crate::absent::{AbsentSlots, words_of};
use crate::block::Example;
use crate::seeded::Random;

const SLOTS: usize = 70;

fn judging(every: u64) -> Arc<Judging> {
    Arc::new(Judging {
        every,
        slots: (0..SLOTS).map(|slot| format!("s{slot}")).collect(),
        segments: true,
    })
}

/// Examples of one to four features, of which some had no row; some slots absent; some segments that come late.
fn stream(seed: u64, count: usize) -> (Block, Vec<Judged>) {
    let mut random = Random(seed);
    let (mut block, mut judged) = (Block::default(), Vec::new());
    for at in 0..count {
        let score = (random.below(1_000) as f32 - 500.0) / 100.0;
        let features = 1 + random.below(4);
        block.ids.resize(block.ids.len() + features as usize, 7);
        let mut absent = AbsentSlots::default();
        (0..SLOTS)
            .filter(|slot| random.below(2 + *slot as u64) == 0)
            .for_each(|slot| absent.note(slot));
        block.absent.extend(absent.words(words_of(SLOTS)));
        let segment = random.below(2 + at as u64 / 4);
        let segment = format!("segment {segment}");
        block
            .segments
            .push((random.below(9) > 0).then_some(&segment));
        block.examples.push(Example {
            end: block.ids.len() as u32,
            ..Example::default()
        });
        judged.push(Judged {
            score,
            prediction: Loss::Logistic.prediction(score),
            label: random.below(2) as f32,
            importance: 1.0 + random.below(3) as f32,
            served: if random.below(3) > 0 { 0.25 } else { f32::NAN },
            at: at as u32,
            unseen: random.below(1 + features) as u32,
            watermark_us: at as i64,
        });
    }
    (block, judged)
}

fn closed(evaluations: &mut Evaluations, block: &Block, judged: &[Judged]) -> Vec<Value> {
    let mut closed = Vec::new();
    evaluations.add(Loss::Logistic, block, judged, &mut closed);
    let parsed = closed.iter().map(|json| serde_json::from_slice(json));
    parsed.collect::<Result<_, _>>().unwrap()
}

fn written(evaluations: &Evaluations) -> Vec<u8> {
    let mut writer = Writer::new(0, 0);
    evaluations.write(&mut writer);
    writer.finish()
}

fn read(bytes: &[u8], judging: &Arc<Judging>, detailed: bool) -> Result<Evaluations, Damaged> {
    let mut reader = Reader::new(bytes, "", 0, 0)?;
    let read = Evaluations::read(&mut reader, judging, detailed)?;
    reader.finish().map(|()| read)
}

#[test]
fn an_open_evaluation_survives_a_restart_at_every_example() {
    let judging = judging(50);
    let (block, judged) = stream(3, 333);
    let mut straight = Evaluations::new(&judging);
    let mut found = Vec::new();
    for one in &judged {
        found.extend(closed(&mut straight, &block, &[*one]));
        let again = read(&written(&straight), &judging, true).unwrap();
        assert_eq!(again, straight);
        straight = again;
    }
    assert_eq!(found.len(), 6);
    let mut together = Evaluations::new(&judging);
    assert_eq!(closed(&mut together, &block, &judged), found);
    assert_eq!(together, straight);
    let served = judged.iter().filter(|one| !one.served.is_nan()).count();
    assert_eq!(straight.total().served.examples, served as u64);
}

#[test]
fn features_and_absent_slots_are_those_of_the_examples() {
    let (block, judged) = stream(4, 200);
    // Duplicates are not judged.
    let judged: Vec<Judged> = judged.into_iter().filter(|one| one.at % 5 > 0).collect();
    let found = closed(&mut Evaluations::new(&judging(80)), &block, &judged);
    assert_eq!(found.len(), 2);
    for (evaluation, judged) in found.iter().zip(judged.chunks(80)) {
        let at = || judged.iter().map(|one| one.at as usize);
        let features: usize = at().map(|at| block.features(at).len()).sum();
        assert_eq!(evaluation["features"], features);
        let unseen: u32 = judged.iter().map(|one| one.unseen).sum();
        assert_eq!(evaluation["unseen"], unseen);
        let missing = evaluation["missing"].as_object().unwrap();
        for slot in 0..SLOTS {
            let bit = |at: usize| block.absent[at * 2 + slot / 64] >> (slot % 64) & 1;
            let count: u64 = at().map(bit).sum();
            let said = missing.get(&format!("s{slot}"));
            assert_eq!(said.and_then(Value::as_u64), (count > 0).then_some(count));
        }
        assert!(
            missing.len() > 40,
            "of the later ones some are never absent"
        );
    }
}

#[test]
fn segments_add_up_to_the_whole_and_the_first_have_names() {
    let (block, judged) = stream(5, 400);
    let found = closed(&mut Evaluations::new(&judging(200)), &block, &judged);
    let named = |evaluation: &Value| {
        let segments = evaluation["segments"].as_array().unwrap().iter();
        segments
            .map(|one| one["segment"].as_str().map(str::to_string))
            .collect::<Vec<_>>()
    };
    let mut order: Vec<String> = Vec::new();
    for text in block.segments.iter().flatten() {
        if order.len() < NAMED && !order.iter().any(|name| name == text) {
            order.push(text.into());
        }
    }
    assert_eq!(order.len(), NAMED);
    for (evaluation, judged) in found.iter().zip(judged.chunks(200)) {
        let name_of = |one: &Judged| block.segments.get(one.at as usize);
        let has_name = |name: &&str| order.iter().any(|known| known == name);
        let mut expected: Vec<Option<String>> = order.iter().cloned().map(Some).collect();
        expected.push(None);
        let of = |name: &Option<String>| {
            let wanted = name.as_deref();
            let is_its = move |one: &&Judged| name_of(one).filter(has_name) == wanted;
            judged.iter().filter(is_its).collect::<Vec<_>>()
        };
        expected.retain(|name| !of(name).is_empty());
        assert_eq!(named(evaluation), expected);
        for (segment, name) in evaluation["segments"]
            .as_array()
            .unwrap()
            .iter()
            .zip(expected)
        {
            let of = of(&name);
            assert_eq!(segment["examples"], of.len());
            let weights: f64 = of.iter().map(|one| f64::from(one.importance)).sum();
            assert_eq!(segment["importance_sum"], weights);
            let bins = |side: &str| segment[side].as_array().unwrap().iter();
            assert_eq!(bins("positives").len(), 64);
            let binned = bins("positives").chain(bins("negatives"));
            assert_eq!(binned.filter_map(Value::as_f64).sum::<f64>(), weights);
            let served = of.iter().filter(|one| !one.served.is_nan()).count();
            let said = segment["served"]["examples"].as_u64().unwrap_or(0);
            assert_eq!(said, served as u64);
        }
        for sum in ["label_sum", "prediction_sum", "loss_sum"] {
            let segments = evaluation["segments"].as_array().unwrap().iter();
            let parts: f64 = segments.filter_map(|one| one[sum].as_f64()).sum();
            assert!((parts - evaluation[sum].as_f64().unwrap()).abs() < 1e-9);
        }
    }
    assert_eq!(named(&found[1]).last(), Some(&None));
}

#[test]
fn without_slots_and_segments_the_details_are_empty() {
    let (block, judged) = stream(6, 60);
    let found = closed(&mut Evaluations::new(&Judging::every(60)), &block, &judged);
    assert_eq!(found[0]["missing"], serde_json::json!({}));
    assert_eq!(found[0]["segments"], Value::Null);
    assert_eq!(found[0]["format"], 2);
}

/// What an older release wrote: without details.
#[test]
fn an_evaluation_that_an_older_release_began_is_closed_as_it_would_have_been() {
    let judging = Judging::every(50);
    let (block, judged) = stream(7, 150);
    let mut evaluations = Evaluations::new(&judging);
    let straight = closed(&mut evaluations.clone(), &block, &judged);
    evaluations.add(Loss::Logistic, &block, &judged[..70], &mut Vec::new());
    evaluations.details = None;
    // The last word says that there are no details; it was not there.
    let bytes = written(&evaluations);
    let body = &bytes[8..bytes.len() - 12];
    let mut writer = Writer::new(0, 0);
    writer.bytes(body);
    let mut again = read(&writer.finish(), &judging, false).unwrap();
    let found = closed(&mut again, &block, &judged[70..]);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], straight[2]);
    let mut older = straight[1].clone();
    for key in ["features", "unseen", "missing", "segments"] {
        older.as_object_mut().unwrap().remove(key);
    }
    older["format"] = json!(1);
    assert_eq!(found[0], older);
}

#[test]
fn a_state_that_does_not_fit_the_plan_is_refused() {
    let (block, judged) = stream(8, 30);
    let judging = judging(50);
    let mut evaluations = Evaluations::new(&judging);
    closed(&mut evaluations, &block, &judged);
    let bytes = written(&evaluations);
    assert!(read(&bytes, &judging, true).is_ok());
    let refused = |change: fn(&mut Judging)| {
        let mut other = (*judging).clone();
        change(&mut other);
        read(&bytes, &Arc::new(other), true).unwrap_err().0
    };
    assert!(refused(|other| other.every = 51).contains("50 examples"));
    assert!(refused(|other| other.slots.truncate(3)).contains("70 slots"));
    assert!(refused(|other| other.segments = false).contains("too many"));
    assert!(read(&bytes, &judging, false).is_err());
}
