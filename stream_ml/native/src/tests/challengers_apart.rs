//! Challengers of fewer slots, of a window, with a warm start.

use super::*;

#[test]
fn a_challenger_of_fewer_slots_is_what_a_learner_without_those_features_is_but_for_rounding() {
    let course = Course {
        slots: true,
        ..course()
    };
    let mut settings = settings(3);
    let has = |slot: usize| slot % 3 != 1;
    settings[1].slots = Some((0..SLOTS).map(has).collect());
    let blocks = blocks(7, 60);
    let mut many = challengers(course, &settings, 2);
    let figures = learn(&mut many, &blocks);
    let without: Vec<Block> = blocks.iter().map(|block| reduced(block, has)).collect();
    let mut one = alone(course, &settings[1].options);
    let closed = learn_alone(&mut one, &without);
    for (figures, closed) in figures.iter().zip(&closed) {
        let loss = closed["loss_sum"].as_f64().unwrap();
        assert!((figures.loss[1] - loss).abs() < 1e-4 * loss);
    }
    let own: Vec<u64> = sorted_rows(&many.rows(1, 0, usize::MAX))
        .iter()
        .map(|row| row.0)
        .collect();
    let rows = sorted_rows(&one.table_mut().cut().0);
    assert_eq!(own, rows.iter().map(|row| row.0).collect::<Vec<_>>());
    // Those beside it have all slots.
    for at in [0, 2] {
        let mut whole = alone(course, &settings[at].options);
        learn_alone(&mut whole, &blocks);
        assert_equal(&many, at, &mut whole);
    }
}

fn reduced(block: &Block, has: impl Fn(usize) -> bool) -> Block {
    let mut reduced = Block::default();
    for (at, example) in block.examples.iter().enumerate() {
        for feature in block.features(at) {
            if has(usize::from(block.slots[feature])) {
                reduced.ids.push(block.ids[feature]);
                reduced.values.push(block.values[feature]);
            }
        }
        let end = reduced.ids.len() as u32;
        reduced.examples.push(Example { end, ..*example });
    }
    reduced
}

#[test]
fn a_challenger_with_a_window_learns_only_its_last_events() {
    for optimizer in [OptimizerKind::Ftrl, OptimizerKind::Adagrad] {
        let mut settings = settings(6);
        for (at, one) in settings.iter_mut().enumerate() {
            one.options.optimizer = optimizer;
            if optimizer == OptimizerKind::Adagrad {
                one.options.decay = 1.0;
            }
            // Block boundaries, so that a learner can be given the rest alone.
            one.from = 40 * [0, 17, 30][at % 3];
        }
        let course = Course {
            duplicate_window: 0,
            ..course()
        };
        let blocks = blocks(8, 60);
        let mut many = challengers(course, &settings, 2);
        learn(&mut many, &blocks);
        for (at, one) in settings.iter().enumerate() {
            let mut own = alone(course, &one.options);
            learn_alone(&mut own, &blocks[one.from as usize / 40..]);
            let rows = sorted_rows(&own.table_mut().cut().0);
            assert_eq!(sorted_rows(&many.rows(at, 0, usize::MAX)), rows);
            assert_eq!(many.score_state(at).bias, own.score_state().bias);
            assert_eq!(many.score_state(at).base, own.score_state().base);
        }
    }
}

#[test]
fn a_warm_start_goes_on_where_another_learner_stood() {
    let (before, after) = {
        let mut all = blocks(9, 60);
        let after = all.split_off(30);
        (all, after)
    };
    let course = Course {
        duplicate_window: 0,
        ..course()
    };
    let base = options(0);
    let mut champion = alone(course, &base);
    learn_alone(&mut champion, &before);
    let (rows, _) = champion.table_mut().cut();
    let state = champion.score_state().to_bytes();

    let mut many = challengers(course, &settings(9), 2);
    many.load_rows(&[0, 8], &base, &rows).unwrap();
    many.load_score_state(&[0, 8], &base, &state).unwrap();
    learn(&mut many, &after);

    learn_alone(&mut champion, &after);
    champion.table_mut().change_rows(|row| row); // all of them, as the challenger's are
    let mut own = Vec::new();
    champion.table_mut().begin_image();
    loop {
        let piece = champion.table_mut().take_image(1 << 20);
        if piece.is_empty() {
            break;
        }
        own.extend(piece);
    }
    assert_eq!(sorted_rows(&many.rows(0, 0, usize::MAX)), sorted_rows(&own));
    assert_eq!(many.score_state(0).bias, champion.score_state().bias);
    // A cold one beside it knows nothing of those rows.
    let mut cold = alone(course, &options(1));
    learn_alone(&mut cold, &after);
    assert_equal_rows(&many, 1, &mut cold);
    assert_ne!(many.rows(8, 0, usize::MAX), many.rows(0, 0, usize::MAX));
}

fn assert_equal_rows(many: &Challengers<Nobody>, at: usize, one: &mut Trainer) {
    let rows = sorted_rows(&one.table_mut().cut().0);
    assert_eq!(sorted_rows(&many.rows(at, 0, usize::MAX)), rows);
}
