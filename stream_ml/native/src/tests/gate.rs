use super::*;

fn gate(max_rows: usize, admission: f64) -> Option<Gate> {
    Gate::new(&TableOptions {
        max_rows,
        admission,
        ..TableOptions::default()
    })
}

#[test]
fn there_is_no_gate_where_all_may_enter() {
    assert!(gate(MAX_ROWS, 1.0).is_none());
}

#[test]
fn a_full_table_lets_nothing_in() {
    let gate = gate(2, 1.0).unwrap();
    assert_eq!(gate.admit(7, 0, 1), Ok(()));
    assert_eq!(gate.admit(7, 0, 2), Err(Outside::Full));
}

#[test]
fn a_feature_is_let_in_after_as_many_sightings_as_the_admission_says_on_average() {
    let gate = gate(MAX_ROWS, 0.2).unwrap();
    let ids = 1..=10_000u64;
    let sightings = ids.map(|id| {
        let let_in = |sighting: &u64| gate.admit(id, *sighting, 0).is_ok();
        1 + (0..).find(let_in).unwrap()
    });
    let mean = sightings.sum::<u64>() as f64 / 10_000.0;
    assert!((mean - 5.0).abs() < 0.2, "{mean}");
}

#[test]
fn chance_is_that_of_splitmix64() {
    // Its first three outputs from seed 1234567.
    let expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ];
    for (sighting, expected) in (0..).zip(expected) {
        assert_eq!(chance(1234567, sighting), expected);
    }
}
