use super::*;
use crate::json::Window;
use crate::keys::Target;
use crate::seeded::Random;

const FIELDS: usize = 21;

/// A way that expects so many fields, every third a number; the event of `values` in that order.
fn quick_of(values: &[String]) -> (Quick, Window) {
    let names: Vec<_> = (0..FIELDS)
        .map(|field| {
            let target = Target {
                field: field as u16,
                node: 0,
            };
            (0, format!("name{field}"), target)
        })
        .collect();
    let unused = Target {
        field: FIELDS as u16,
        node: 0,
    };
    let keys = Keys::new(1, &names, unused);
    let used = |field: usize| Use {
        bare: Some((
            Bare {
                field: field as u16,
                number: field.is_multiple_of(3),
                seed: 1_000 + field as u64,
            },
            FIELDS - 1 - field,
        )),
        ..Use::default()
    };
    let mut quick = Quick {
        steps: Vec::new(),
        uses: (0..FIELDS).map(used).chain([Use::default()]).collect(),
        lanes: Lanes::default(),
        features: Features {
            ids: vec![0; FIELDS],
            values: vec![0.0; FIELDS],
            gaps: false,
        },
        unwritten: false,
        wait: 0,
        pause: 0,
    };
    quick.learn(&keys, FIELDS);
    let members: Vec<String> = names
        .iter()
        .zip(values)
        .map(|((_, name, _), value)| format!("\"{name}\":{value}"))
        .collect();
    let mut window = Window::new();
    window.hold(format!("{{{}}}", members.join(",")).as_bytes());
    (quick, window)
}

fn value(random: &mut Random, number: bool) -> String {
    let many = random.below(100_000_000);
    match random.below(8) {
        0 => "null".into(),
        1 if number => format!("-{}.{}", many % 1_000, many % 97),
        2 if number => "1000001".into(),
        _ if number => format!("{}", (many % 4_000) as f64 / 100.0 - 20.0),
        1 => format!("\"{}\"", "long".repeat((many % 9) as usize)),
        _ => format!("\"{many:x}\""),
    }
}

/// What a way through the event gives: where it ends, and the features' bits.
type Given = Option<(usize, Vec<(u64, u32)>)>;
type Way = fn(&mut Quick, Reader, &mut [Token]) -> Option<usize>;

fn given(way: Way, values: &[String]) -> Given {
    let (mut quick, window) = quick_of(values);
    let mut tokens = [Token::NONE; FIELDS + 1];
    let end = way(&mut quick, Reader::new(&window), &mut tokens)?;
    let Features { ids, values, .. } = quick.features();
    let bits = values.iter().map(|value| value.to_bits());
    Some((end, ids.iter().copied().zip(bits).collect()))
}

#[test]
fn every_way_it_is_compiled_gives_the_same_features() {
    let mut random = Random(21);
    let mut read = 0;
    for _ in 0..2_000 {
        let values: Vec<String> = (0..FIELDS)
            .map(|field| value(&mut random, field.is_multiple_of(3)))
            .collect();
        let narrow = given(
            |quick, reader, tokens| quick.run_narrow(reader, 0, tokens, 1),
            &values,
        );
        read += usize::from(narrow.is_some());
        #[cfg(target_arch = "x86_64")]
        for (there, way) in [
            (
                wide::wide(),
                // SAFETY: called only where the processor has what it is compiled for.
                (|quick, reader, tokens| unsafe { quick.run_wide(reader, 0, tokens, 1) }) as Way,
            ),
            (
                wide::widest(),
                // SAFETY: as above.
                |quick, reader, tokens| unsafe { quick.run_widest(reader, 0, tokens, 1) },
            ),
        ] {
            if there {
                assert_eq!(given(way, &values), narrow, "{values:?}");
            }
        }
    }
    assert!(
        (100..1_900).contains(&read),
        "{read} of 2000 events were plain"
    );
}
