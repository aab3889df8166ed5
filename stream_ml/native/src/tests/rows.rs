use super::*;

fn row(z: f32, n: f32) -> Row {
    Row { z, n }
}

fn bytes_of(rows: &[(u64, Row)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    rows.iter()
        .for_each(|(id, row)| push_row(&mut bytes, *id, *row));
    bytes
}

#[test]
fn packing_keeps_every_bit_and_the_mark_is_no_part_of_the_row() {
    for (z, n) in [
        (0.0, 0.0),
        (-0.0, 1.0),
        (1e-45, 1e38),
        (-1e30, f32::MIN_POSITIVE),
    ] {
        let packed = row(z, n).pack();
        assert_eq!(packed & CHANGED, 0, "n is never negative");
        for value in [packed, packed | CHANGED] {
            let unpacked = Row::unpack(value);
            assert_eq!(
                (unpacked.z.to_bits(), unpacked.n.to_bits()),
                (z.to_bits(), n.to_bits())
            );
        }
    }
}

#[test]
fn a_row_on_the_wire_is_id_z_n_in_little_endian() {
    let bytes = bytes_of(&[(0x0102, row(1.0, 2.0))]);
    assert_eq!(
        bytes,
        [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]
    );
    assert_eq!(bytes.len(), ROW_BYTES);
}

#[test]
fn rows_are_read_as_they_were_written() {
    let rows = [
        (1, row(-1.5, 0.25)),
        (u64::MAX, row(0.0, 0.0)),
        (7, row(1e30, 1e38)),
    ];
    let read: Result<Vec<_>, _> = parse_rows(&bytes_of(&rows)).collect();
    assert_eq!(read.unwrap(), rows);
    assert_eq!(parse_rows(&[]).count(), 0);
}

#[test]
fn a_row_that_no_learner_can_have_written_is_refused_with_its_place() {
    for (id, z, n) in [
        (0, 1.0, 1.0),
        (1, f32::NAN, 1.0),
        (1, f32::INFINITY, 1.0),
        (1, 1.0, f32::INFINITY),
        (1, 1.0, f32::NAN),
        (1, 1.0, -1.0),
        (1, 1.0, -0.0),
    ] {
        let bytes = bytes_of(&[(5, row(1.0, 1.0)), (id, row(z, n))]);
        let read: Vec<_> = parse_rows(&bytes).collect();
        assert!(read[0].is_ok());
        let told = read[1].clone().unwrap_err();
        assert!(
            told.starts_with(&format!("row 1 is damaged: id {id:#x}")),
            "{told}"
        );
    }
}

#[test]
fn torn_rows_and_ids_are_refused_first() {
    let bytes = bytes_of(&[(5, row(1.0, 1.0))]);
    for length in 1..ROW_BYTES {
        let first = parse_rows(&bytes[..length]).next().unwrap();
        assert_eq!(
            first,
            Err(format!("{length} bytes are no whole number of rows of 16"))
        );
    }
    assert_eq!(
        parse_ids(&[0; 9]),
        Err("9 bytes are no whole number of ids of 8".into())
    );
}

#[test]
fn ids_are_read_in_little_endian() {
    let bytes: Vec<u8> = [1u64, 0x0807_0605_0403_0201, u64::MAX]
        .iter()
        .flat_map(|id| id.to_le_bytes())
        .collect();
    assert_eq!(
        parse_ids(&bytes),
        Ok(vec![1, 0x0807_0605_0403_0201, u64::MAX])
    );
    assert_eq!(parse_ids(&[]), Ok(vec![]));
}

#[test]
fn columns_are_whole_lanes_with_zeros_behind() {
    let mut columns = Columns::default();
    for count in [3, 8, 9, 20, 1, 0, 17] {
        let values: Vec<f32> = (1..=count).map(|value| value as f32).collect();
        columns.start(&values);
        let padded = values.len().next_multiple_of(LANES);
        for column in [&columns.x, &columns.z, &columns.n, &columns.w] {
            assert_eq!(column.len(), padded);
        }
        assert_eq!(columns.x[..values.len()], values);
        assert!(
            columns.x[values.len()..].iter().all(|x| *x == 0.0),
            "{count}"
        );
        assert_eq!(columns.places.values.len(), values.len());
    }
}

#[test]
fn columns_take_rows_and_give_them_back_as_changed() {
    let mut columns = Columns::default();
    columns.start(&[1.0; 3]);
    let rows = [row(1.0, 2.0), row(-3.0, 4.0), row(0.5, 0.0)];
    for (index, row) in rows.into_iter().enumerate() {
        columns.put(index, row.pack() | CHANGED);
    }
    assert_eq!(
        (&columns.z[..4], &columns.n[..4]),
        (&[1.0, -3.0, 0.5, 0.0][..], &[2.0, 4.0, 0.0, 0.0][..])
    );
    columns.z[1] = 7.0;
    columns.pack();
    let packed = &columns.places.values;
    assert!(packed.iter().all(|value| value & CHANGED != 0));
    assert_eq!(Row::unpack(packed[1]), row(7.0, 4.0));
}

#[test]
fn the_hash_of_a_row_tells_bits_apart_and_not_the_mark() {
    let value = row(1.0, 2.0).pack();
    let hash = row_hash(77, value);
    assert_eq!(row_hash(77, value | CHANGED), hash);
    for bit in 0..63 {
        assert_ne!(row_hash(77, value ^ 1 << bit), hash, "bit {bit}");
    }
    assert_ne!(row_hash(78, value), hash);
    assert_ne!(row_hash(77, 0), 0, "a row of zeros is there");
}
