use super::*;

const MAGIC: u32 = 0x1234_5678;

fn written(version: u32) -> Vec<u8> {
    let mut writer = Writer::new(MAGIC, version);
    writer.text("é");
    writer.f64(-0.5);
    writer.i64(i64::MIN);
    writer.f32(f32::MIN_POSITIVE);
    writer.finish()
}

fn open(bytes: &[u8]) -> Result<Reader<'_>, Damaged> {
    Reader::new(bytes, "thing", MAGIC, 3)
}

#[test]
fn what_is_written_is_read() {
    let bytes = written(3);
    let mut reader = open(&bytes).unwrap();
    assert_eq!(reader.text(), Ok("é"));
    assert_eq!((reader.f64(), reader.i64()), (Ok(-0.5), Ok(i64::MIN)));
    assert_eq!(reader.f32(), Ok(f32::MIN_POSITIVE));
    assert!(reader.u32().is_err(), "nothing is left");
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let bytes = written(3);
    for at in 0..bytes.len() {
        assert!(open(&bytes[..at]).is_err());
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(open(&flipped).is_err());
        }
    }
}

#[test]
fn another_format_is_named() {
    let refused = open(&written(4)).err().unwrap().to_string();
    assert_eq!(refused, "thing: format 4, this release reads 3 (42 bytes)");
}

#[test]
fn what_is_left_over_is_refused() {
    let bytes = written(3);
    let mut reader = open(&bytes).unwrap();
    reader.text().unwrap();
    assert!(reader.finish().is_err());
}

#[test]
fn shared_numbers_are_written_as_if_one_by_one() {
    // More than two pieces of them, and one number, and none.
    for count in [0, 1, 7, 2 * PIECE_BYTES / 8 + 3] {
        let numbers = Arc::new((0..count as u64).map(|at| at << 33 | 5).collect::<Vec<_>>());
        let from = count / 7;
        let (mut plain, mut shared) = (Writer::new(MAGIC, 3), Writer::new(MAGIC, 3));
        plain.text("é");
        shared.text("é");
        numbers[from..].iter().for_each(|&number| plain.u64(number));
        shared.shared(&numbers, from);
        plain.u32(7);
        shared.u32(7);
        let (plain, written) = (plain.finish(), shared.written());
        assert_eq!(written.to_bytes(), plain);
        let pieces: Vec<_> = written.pieces().collect();
        assert!(
            pieces
                .iter()
                .all(|piece| (1..=PIECE_BYTES).contains(&piece.len()))
        );
        assert_eq!(pieces.concat(), plain);
        assert!(open(&plain).is_ok());
    }
}
