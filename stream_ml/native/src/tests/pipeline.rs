use super::*;

fn range(values: Vec<Option<Vec<u8>>>) -> Records<Vec<u8>> {
    Records {
        partition: 0,
        timestamps_ms: vec![0; values.len()],
        values,
    }
}

#[test]
fn pieces_cover_every_record_once_and_stay_small() {
    let long = (0..1_000).map(|at| Some(vec![7; if at == 500 { 1 << 20 } else { 10 + at }]));
    let ranges = [
        range(long.collect()),
        range(vec![]),
        range(vec![None, None, None]),
    ];
    let pieces = cut(&ranges);
    let covered: Vec<_> = pieces
        .iter()
        .flat_map(|piece| (piece.from..piece.to).map(|at| (piece.range, at)))
        .collect();
    let expected: Vec<_> = (0..1_000)
        .map(|at| (0, at))
        .chain((0..3).map(|at| (2, at)))
        .collect();
    assert_eq!(covered, expected);
    assert!(
        pieces.len() > 8
            && pieces
                .iter()
                .all(|piece| piece.to - piece.from <= BLOCK_RECORDS)
    );
}
