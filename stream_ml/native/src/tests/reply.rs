use std::io::Cursor;

use serde_json::{Map, Value as Json, json};
use thrift::protocol::{TBinaryInputProtocol, TInputProtocol};

use super::*;

/// A reply as JSON: fields by their ids.
pub struct Reply {
    pub name: String,
    pub kind: TMessageType,
    pub sequence: i32,
    pub fields: Json,
}

/// The reply of one whole frame.
pub fn decoded(frame: &[u8]) -> Reply {
    let (length, message) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, message.len());
    let mut protocol = TBinaryInputProtocol::new(Cursor::new(message), false);
    let begin = protocol.read_message_begin().unwrap();
    let fields = struct_of(&mut protocol);
    assert_eq!(protocol.transport.position() as usize, message.len());
    Reply {
        name: begin.name,
        kind: begin.message_type,
        sequence: begin.sequence_number,
        fields,
    }
}

fn struct_of(protocol: &mut dyn TInputProtocol) -> Json {
    let mut fields = Map::new();
    protocol.read_struct_begin().unwrap();
    loop {
        let field = protocol.read_field_begin().unwrap();
        let Some(id) = field.id.filter(|_| field.field_type != TType::Stop) else {
            break;
        };
        fields.insert(id.to_string(), value_of(protocol, field.field_type));
    }
    protocol.read_struct_end().unwrap();
    Json::Object(fields)
}

fn value_of(protocol: &mut dyn TInputProtocol, kind: TType) -> Json {
    match kind {
        TType::Bool => json!(protocol.read_bool().unwrap()),
        TType::I32 => json!(protocol.read_i32().unwrap()),
        TType::I64 => json!(protocol.read_i64().unwrap()),
        TType::Double => json!(protocol.read_double().unwrap()),
        TType::String => json!(protocol.read_string().unwrap()),
        TType::Struct => struct_of(protocol),
        TType::List => {
            let list = protocol.read_list_begin().unwrap();
            (0..list.size)
                .map(|_| value_of(protocol, list.element_type))
                .collect()
        }
        other => panic!("no reply holds a {other}"),
    }
}

fn header() -> Header {
    Header {
        name: "score".into(),
        kind: TMessageType::Call,
        sequence: -7,
        strict: true,
    }
}

fn origin(watermark_us: Option<i64>) -> Origin<'static> {
    Origin {
        model: "m",
        variant: "v",
        fingerprint: "f",
        step: 12,
        watermark_us,
        weights_age_seconds: 0.5,
        stale: true,
    }
}

#[test]
fn scores_are_written_in_their_order_with_their_origin() {
    let mut output = b"earlier".to_vec();
    let mut writer = ReplyWriter::begin_scores(&mut output, &header(), 3).unwrap();
    let mut score = Score {
        prediction: 0.25,
        log_odds: -1.5,
        uncertainty: None,
        contributions: None,
    };
    writer.score(score).unwrap();
    writer.refused("wrong_type", "field a").unwrap();
    score.uncertainty = Some(0.75);
    score.contributions = Some(&[("slot", 2.0), ("bias", -0.5)]);
    writer.score(score).unwrap();
    writer.finish_scores(&origin(Some(-3)), Some("id")).unwrap();
    assert_eq!(&output[..7], b"earlier");
    let reply = decoded(&output[7..]);
    assert_eq!(
        (reply.name.as_str(), reply.kind, reply.sequence),
        ("score", TMessageType::Reply, -7)
    );
    let shares = json!([{"1": "slot", "2": 2.0}, {"1": "bias", "2": -0.5}]);
    let scores = json!([
        {"1": 0.25, "2": -1.5},
        {"5": {"1": "wrong_type", "2": "field a"}},
        {"1": 0.25, "2": -1.5, "3": 0.75, "4": shares}
    ]);
    let expected = json!({"0": {
        "1": scores, "2": "m", "3": "v", "4": "f", "5": 12, "6": -3, "7": 0.5, "8": true, "9": "id"
    }});
    assert_eq!(reply.fields, expected);
}

#[test]
fn what_is_not_there_is_left_out_of_the_origin() {
    let mut output = Vec::new();
    let writer = ReplyWriter::begin_scores(&mut output, &header(), 0).unwrap();
    writer.finish_scores(&origin(None), None).unwrap();
    let expected = json!({"0": {
        "1": [], "2": "m", "3": "v", "4": "f", "5": 12, "7": 0.5, "8": true
    }});
    assert_eq!(decoded(&output).fields, expected);
}

#[test]
fn every_fault_has_its_field_and_what_belongs_to_it() {
    for (fault, expected) in [
        (Fault::NoModelYet("why".into()), json!({"1": {"1": "why"}})),
        (
            Fault::UnknownModel("why".into(), vec!["a".into(), "b".into()]),
            json!({"2": {"1": "why", "2": ["a", "b"]}}),
        ),
        (
            Fault::StaleWeights("why".into(), 9.5),
            json!({"3": {"1": "why", "2": 9.5}}),
        ),
        (Fault::BadRequest("why".into()), json!({"4": {"1": "why"}})),
        (
            Fault::Overloaded("why".into(), 0.5),
            json!({"5": {"1": "why", "2": 0.5}}),
        ),
    ] {
        let mut output = Vec::new();
        ReplyWriter::fault(&mut output, &header(), &fault).unwrap();
        let reply = decoded(&output);
        assert_eq!((reply.kind, reply.fields), (TMessageType::Reply, expected));
    }
}

#[test]
fn a_status_tells_of_served_and_of_awaited_models() {
    let models = || {
        let model = |model, origin, rows| ModelStatus {
            model,
            origin,
            rows,
        };
        vec![
            model("waiting", None, 5),
            model("m", Some(origin(Some(4))), 6),
        ]
    };
    let told = json!([
        {"1": "waiting", "2": false},
        {"1": "m", "2": true, "3": "v", "4": "f", "5": 12, "6": 4, "7": 0.5, "8": true, "9": 6}
    ]);
    let status = Status {
        version: "1.2",
        uptime_seconds: 3.5,
        connections: 8,
        draining: true,
        models: models(),
    };
    let mut output = Vec::new();
    ReplyWriter::status(&mut output, &header(), &status).unwrap();
    let expected = json!({"0": {"1": "1.2", "2": 3.5, "3": 8, "4": true, "5": told}});
    assert_eq!(decoded(&output).fields, expected);
    output.clear();
    ReplyWriter::models(&mut output, &header(), &models()).unwrap();
    assert_eq!(decoded(&output).fields, json!({ "0": told }));
}

#[test]
fn what_is_not_in_the_idl_is_answered_as_an_exception_in_the_callers_header() {
    for strict in [true, false] {
        let header = Header { strict, ..header() };
        let mut output = Vec::new();
        let kind = ApplicationErrorKind::UnknownMethod;
        ReplyWriter::application_error(&mut output, &header, kind, "no").unwrap();
        assert_eq!(output[4] & 0x80 != 0, strict);
        let reply = decoded(&output);
        assert_eq!((reply.kind, reply.sequence), (TMessageType::Exception, -7));
        assert_eq!(reply.fields, json!({"1": "no", "2": 1}));
    }
}
