//! Records to examples: finds the fields of each event, evaluates the plan, and refuses what breaks a rule.
//!
//! An event is delivered whole or not at all: a refused one leaves nothing in the block, whatever else its
//! record holds.

use std::sync::Arc;

use crate::block::{Block, Example, Reason, Refusal};
use crate::expr::Scratch;
use crate::fields::{Fields, Found, Refused, Textual, Token};
use crate::hash::{event_id, feature_id};
use crate::json::{self, Fault, Kind, Reader, Value};
use crate::keys::Keys;
use crate::number;
use crate::options::Loss;
use crate::plan::{Plan, Rule, Unlabelled};

pub const MAX_EVENT_BYTES: usize = 1 << 20;
/// Of one event; more refuse it.
pub const MAX_FEATURES: usize = 1 << 17;
/// Bounds that keep every gradient finite.
pub const MAX_VALUE: f64 = 1e6;
pub const MAX_LABEL: f64 = 1e6;
pub const MAX_IMPORTANCE: f64 = 1e3;

/// What the examples are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything is read and checked.
    Learn,
    /// Only the features are.
    Score,
    /// As for learning, but nothing need be there; slots and value texts of features are kept.
    Explain,
}

/// One thread's scanner of one plan; its memory is reused from event to event.
pub struct Scanner {
    plan: Arc<Plan>,
    mode: Mode,
    name_slots: bool,
    keys: Keys,
    tokens: Vec<Token>,
    event: u32,
    /// Last event in which each object on a path was met, to notice repeated keys.
    met: Vec<u32>,
    scratch: Scratch,
    texts: Vec<String>,
}

/// Why an event gives no example.
enum Stop {
    Refused(Box<Refused>),
    Unlabelled,
}

impl From<Box<Refused>> for Stop {
    fn from(refused: Box<Refused>) -> Stop {
        Stop::Refused(refused)
    }
}

impl Scanner {
    pub fn new(plan: Arc<Plan>, mode: Mode) -> Scanner {
        Scanner {
            mode,
            name_slots: mode == Mode::Explain,
            keys: plan.keys.clone(),
            tokens: vec![Token::NONE; plan.field_names.len()],
            event: 0,
            met: vec![0; plan.fields_below.len()],
            scratch: Scratch::default(),
            texts: Vec::new(),
            plan,
        }
    }

    /// Fill `Block::slots` too (contributions by name).
    pub fn name_slots(mut self) -> Scanner {
        self.name_slots = true;
        self
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// In explain mode: the value of each feature since the scanner was made, as people read it.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Append the events of a record to the block: examples, refusals, counts.
    ///
    /// `record_timestamp_ms` is Kafka's; a negative one is unknown.
    pub fn scan_record(
        &mut self,
        record: &[u8],
        record_index: u32,
        record_timestamp_ms: i64,
        block: &mut Block,
    ) {
        let mut at = 0;
        let mut index = 0;
        loop {
            at += record[at..]
                .iter()
                .take_while(|byte| b" \t\r\n".contains(byte))
                .count();
            if at >= record.len() {
                break;
            }
            at = self.scan_line(
                record,
                at,
                (record_index, index),
                record_timestamp_ms,
                block,
            );
            index += 1;
        }
        block.empty += u64::from(index == 0);
    }

    /// Scan the event that begins at `start`; return where its line ends.
    fn scan_line(
        &mut self,
        record: &[u8],
        start: usize,
        place: (u32, u32),
        record_ms: i64,
        block: &mut Block,
    ) -> usize {
        let features = block.ids.len();
        let texts = self.texts.len();
        let outcome = match self.find_fields(record, start) {
            Ok(end) => self
                .evaluate(&record[..end], place, record_ms, block)
                .map(|()| end),
            Err(refused) => Err(refused.into()),
        };
        let stop = match outcome {
            Ok(end) => return end,
            Err(stop) => stop,
        };
        block.ids.truncate(features);
        block.values.truncate(features);
        block.slots.truncate(features);
        self.texts.truncate(texts);
        let end = line_end(record, start);
        match stop {
            Stop::Unlabelled => block.skipped += 1,
            Stop::Refused(refused) => block.refusals.push(refusal(
                *refused,
                place,
                start,
                record[..end].trim_ascii_end().len(),
            )),
        }
        end
    }
}

fn refusal(refused: Refused, (record, index): (u32, u32), start: usize, end: usize) -> Refusal {
    Refusal {
        record,
        index,
        start: start as u32,
        end: end as u32,
        reason: refused.reason,
        detail: refused.detail,
    }
}

fn line_end(record: &[u8], start: usize) -> usize {
    record[start..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(record.len(), |length| start + length)
}

/// First pass: borders and kinds.
impl Scanner {
    /// Find the fields of the event at `start`, and where it ends; all of its bytes are checked.
    fn find_fields(&mut self, record: &[u8], start: usize) -> Result<usize, Box<Refused>> {
        if record.len() > MAX_EVENT_BYTES && line_end(record, start) - start > MAX_EVENT_BYTES {
            return Err(Refused::new(
                Reason::TooLarge,
                format!("an event of more than {MAX_EVENT_BYTES} bytes"),
            ));
        }
        self.next_event();
        let mut reader = Reader::new(record, start);
        match self.event_object(&mut reader) {
            Ok(()) if reader.is_ascii() => Ok(reader.at),
            Ok(()) => match std::str::from_utf8(&record[start..reader.at]) {
                Ok(_) => Ok(reader.at),
                Err(error) => Err(invalid_utf8(error)),
            },
            Err(fault) => Err(refuse_fault(fault, &reader, start)),
        }
    }

    fn next_event(&mut self) {
        if self.event == u32::MAX {
            self.event = 0;
            self.tokens.fill(Token::NONE);
            self.met.fill(0);
        }
        self.event += 1;
        self.scratch.bytes.clear();
        self.scratch.ends.clear();
    }

    fn event_object(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        if reader.peek() != b'{' {
            return Err(Fault::NotAnObject);
        }
        self.object(reader, 0, 1)?;
        reader.skip_space();
        if reader.at < reader.input.len() && reader.peek() != b'\n' {
            Err(Fault::Trailing)
        } else {
            Ok(())
        }
    }

    /// An object that fields' paths lead through.
    fn object(&mut self, reader: &mut Reader, node: u16, depth: u32) -> Result<(), Fault> {
        reader.open(depth)?;
        if reader.is_empty(b'}') {
            return Ok(());
        }
        let mut previous = u32::from(node);
        loop {
            reader.skip_space();
            let key = match self.keys.guess(previous, reader.input, reader.at) {
                Some((key, end)) => {
                    reader.at = end;
                    Some(key)
                }
                None => self.find_key(reader, node, previous)?,
            };
            let target = key.map(|key| self.keys.target(key)).unwrap_or_default();
            previous = key.unwrap_or(previous);
            if let Some(child) = target.node {
                self.descend(reader, child, target.field, depth)?;
            } else {
                let value = reader.value(depth)?;
                if let Some(field) = target.field {
                    self.note(field, value);
                }
            }
            if !reader.another(b'}')? {
                return Ok(());
            }
        }
    }

    #[inline(always)]
    fn note(&mut self, field: u16, value: Value) {
        self.tokens[usize::from(field)] = Token {
            number: value.number,
            event: self.event,
            start: value.start,
            end: value.end,
            found: Found::Value(value.kind),
        };
    }

    /// Read a key that was not guessed.
    fn find_key(
        &mut self,
        reader: &mut Reader,
        node: u16,
        previous: u32,
    ) -> Result<Option<u32>, Fault> {
        let key = reader.key()?;
        let name = &reader.input[key.start as usize..key.end as usize];
        if key.kind == Kind::Text {
            return Ok(self.keys.find(node, previous, name, true));
        }
        let start = self.scratch.bytes.len();
        json::unescape(name, &mut self.scratch.bytes);
        let found = self
            .keys
            .find(node, previous, &self.scratch.bytes[start..], false);
        self.scratch.bytes.truncate(start);
        Ok(found)
    }

    /// A value at whose place some paths go on.
    #[inline(never)]
    fn descend(
        &mut self,
        reader: &mut Reader,
        node: u16,
        field: Option<u16>,
        depth: u32,
    ) -> Result<(), Fault> {
        reader.skip_space();
        let start = reader.at;
        if self.met[usize::from(node)] == self.event {
            self.set_below(node, 0);
        }
        self.met[usize::from(node)] = self.event;
        let value = if reader.peek() == b'{' {
            self.object(reader, node, depth + 1)?;
            Value {
                kind: Kind::Object,
                start: start as u32,
                end: reader.at as u32,
                number: 0.0,
            }
        } else {
            let value = reader.value(depth)?;
            if value.kind != Kind::Null {
                self.set_below(node, self.event);
            }
            value
        };
        if let Some(field) = field {
            self.note(field, value);
        }
        Ok(())
    }

    /// All fields below an object are off their path in this event, or (event 0) not met.
    fn set_below(&mut self, node: u16, event: u32) {
        for field in &self.plan.fields_below[usize::from(node)] {
            self.tokens[usize::from(*field)] = Token {
                event,
                ..Token::NONE
            };
        }
    }
}

#[cold]
fn refuse_fault(fault: Fault, reader: &Reader, start: usize) -> Box<Refused> {
    if let Err(error) = std::str::from_utf8(&reader.input[start..line_end(reader.input, start)]) {
        return invalid_utf8(error);
    }
    Refused::new(
        fault.reason(),
        format!("byte {}: {}", reader.at - start, fault.message()),
    )
}

#[cold]
fn invalid_utf8(error: std::str::Utf8Error) -> Box<Refused> {
    Refused::new(
        Reason::InvalidUtf8,
        format!("byte {}: not valid UTF-8", error.valid_up_to()),
    )
}

/// Second pass: values.
impl Scanner {
    fn evaluate(
        &mut self,
        input: &[u8],
        place: (u32, u32),
        record_ms: i64,
        block: &mut Block,
    ) -> Result<(), Stop> {
        let plan = Arc::clone(&self.plan);
        let fields = Fields {
            input,
            tokens: &self.tokens,
            event: self.event,
            names: &plan.field_names,
        };
        let scratch = &mut self.scratch;
        let mut example = Example {
            end: 0,
            record: place.0,
            index: place.1,
            label: f32::NAN,
            importance: 1.0,
            served: f32::NAN,
            event_id: 0,
            timestamp_us: i64::MIN,
        };
        if self.mode != Mode::Score {
            read_roles(&plan, self.mode, record_ms, fields, scratch, &mut example)?;
        }
        let mut output = Output {
            block,
            texts: &mut self.texts,
            slots: self.name_slots,
            explain: self.mode == Mode::Explain,
        };
        let first = output.block.ids.len();
        for (slot, (rule, info)) in plan.rules.iter().zip(plan.slots()).enumerate() {
            output.slot(rule, info.seed, slot as u16, fields, scratch)?;
            if output.block.ids.len() - first > MAX_FEATURES {
                let detail = format!("an event of more than {MAX_FEATURES} features");
                return Err(Refused::new(Reason::TooLarge, detail).into());
            }
        }
        example.end = block.ids.len() as u32;
        block.examples.push(example);
        Ok(())
    }
}

/// Label, time, event id, importance and served probability, each by its rule.
fn read_roles(
    plan: &Plan,
    mode: Mode,
    record_ms: i64,
    fields: Fields,
    scratch: &mut Scratch,
    example: &mut Example,
) -> Result<(), Stop> {
    let strict = mode == Mode::Learn;
    let loss = plan.learner().loss;
    match plan.roles.label.evaluate(fields, scratch)? {
        Some(label) => example.label = check_label(label, loss)?,
        None if strict && plan.events().unlabelled == Unlabelled::Skip => {
            return Err(Stop::Unlabelled);
        }
        None if strict => {
            return Err(Refused::new(Reason::NoLabel, "the label is missing".into()).into());
        }
        None => {}
    }
    if let Some(timestamp) = &plan.roles.timestamp {
        match timestamp.evaluate(fields, scratch)? {
            Some(time) => {
                example.timestamp_us = check_timestamp(time, record_ms, plan.events().max_skew_us)?
            }
            None if strict => {
                return Err(
                    Refused::new(Reason::NoTimestamp, "the timestamp is missing".into()).into(),
                );
            }
            None => {}
        }
    }
    if let Some(text) = &plan.roles.event_id {
        let start = scratch.bytes.len();
        if text.append(fields, scratch)? {
            example.event_id = event_id(&scratch.bytes[start..]);
            scratch.bytes.truncate(start);
        } else if strict {
            return Err(Refused::new(Reason::NoEventId, "the event id is missing".into()).into());
        }
    }
    if let Some(importance) = &plan.roles.importance
        && let Some(value) = importance.evaluate(fields, scratch)?
    {
        let fits = value as f32 > 0.0 && value <= MAX_IMPORTANCE;
        example.importance = in_range(fits, value, "an importance above 0, up to 1000")?;
    }
    if let Some(served) = &plan.roles.served
        && let Some(value) = served.evaluate(fields, scratch)?
    {
        let fits = if loss == Loss::Logistic {
            (0.0..=1.0).contains(&value)
        } else {
            value.abs() <= MAX_LABEL
        };
        example.served = in_range(fits, value, "a prediction that the model can have served")?;
    }
    Ok(())
}

fn check_label(label: f64, loss: Loss) -> Result<f32, Box<Refused>> {
    match loss {
        Loss::Logistic if label == -1.0 => Ok(0.0),
        Loss::Logistic => in_range(
            (0.0..=1.0).contains(&label),
            label,
            "a label from 0 to 1 (or -1 for 0)",
        ),
        Loss::Squared => in_range(label.abs() <= MAX_LABEL, label, "a label from -1e6 to 1e6"),
        Loss::Poisson => in_range(
            (0.0..=MAX_LABEL).contains(&label),
            label,
            "a label from 0 to 1e6",
        ),
    }
}

fn in_range(fits: bool, value: f64, wanted: &str) -> Result<f32, Box<Refused>> {
    if fits {
        Ok(value as f32)
    } else {
        Err(out_of_range(value, wanted))
    }
}

#[cold]
fn out_of_range(value: f64, wanted: &str) -> Box<Refused> {
    Refused::new(
        Reason::OutOfRange,
        format!("expected {wanted}, found {value:?}"),
    )
}

/// Event time beyond the record's own time and the allowed skew would age the whole model.
fn check_timestamp(time: i64, record_ms: i64, max_skew_us: i64) -> Result<i64, Box<Refused>> {
    let latest = record_ms.saturating_mul(1000).saturating_add(max_skew_us);
    if record_ms >= 0 && time > latest {
        let ahead = (time - latest) / 1_000_000;
        let detail = format!("{ahead} s beyond the record's own timestamp and max_skew_seconds");
        return Err(Refused::new(Reason::FutureTimestamp, detail));
    }
    Ok(time)
}

/// Where features go.
struct Output<'a> {
    block: &'a mut Block,
    texts: &'a mut Vec<String>,
    slots: bool,
    explain: bool,
}

impl Output<'_> {
    #[inline(always)]
    fn slot(
        &mut self,
        rule: &Rule,
        seed: u64,
        slot: u16,
        fields: Fields,
        scratch: &mut Scratch,
    ) -> Result<(), Box<Refused>> {
        match rule {
            Rule::BareText(field) => {
                match fields.text(*field, &mut scratch.bytes)? {
                    None => {}
                    Some(Textual::InPlace(text)) => self.category(text, seed, slot),
                    Some(Textual::Appended) => {
                        self.category(&scratch.bytes, seed, slot);
                        scratch.bytes.clear();
                    }
                }
                Ok(())
            }
            Rule::BareNumber(field, id) => match fields.number(*field)? {
                Some(value) => self.number(value, *id, slot),
                None => Ok(()),
            },
            Rule::Number(number, id) => match number.evaluate(fields, scratch)? {
                Some(value) => self.number(value, *id, slot),
                None => Ok(()),
            },
            Rule::Category(text) => {
                if text.append(fields, scratch)? {
                    self.category(&scratch.bytes, seed, slot);
                    scratch.bytes.clear();
                }
                Ok(())
            }
            Rule::Set(set) => {
                if set.append(fields, scratch)? {
                    let mut begin = 0;
                    for end in scratch.ends.drain(..) {
                        let element = &scratch.bytes[begin..end];
                        self.feature(feature_id(element, seed), 1.0, slot, || set.show(element));
                        begin = end;
                    }
                    scratch.bytes.clear();
                }
                Ok(())
            }
        }
    }

    #[inline(always)]
    fn category(&mut self, text: &[u8], seed: u64, slot: u16) {
        self.feature(feature_id(text, seed), 1.0, slot, || {
            String::from_utf8_lossy(text).into_owned()
        });
    }

    #[inline(always)]
    fn number(&mut self, value: f64, id: u64, slot: u16) -> Result<(), Box<Refused>> {
        let fits = value.abs() <= MAX_VALUE;
        let x = in_range(fits, value, "a numeric feature from -1e6 to 1e6")?;
        if x != 0.0 {
            self.feature(id, x, slot, || number_text(value));
        }
        Ok(())
    }

    #[inline(always)]
    fn feature(&mut self, id: u64, x: f32, slot: u16, text: impl FnOnce() -> String) {
        self.block.ids.push(id);
        self.block.values.push(x);
        if self.slots {
            self.block.slots.push(slot);
            if self.explain {
                self.texts.push(text());
            }
        }
    }
}

fn number_text(value: f64) -> String {
    let mut text = Vec::new();
    number::append_value(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    /// A plan over `fields` with these slots (name, kind, expression); `changes` replaces top-level keys.
    fn plan(fields: Json, slots: Json, changes: Json) -> Arc<Plan> {
        let slots: Vec<Json> = slots.as_array().unwrap().iter().map(|slot| {
            json!({"name": slot[0], "kind": slot[1], "seed": "00000000000000ff", "expr": slot[2]})
        }).collect();
        let mut source = json!({
            "format": 1, "math": 1, "name": "m", "fields": fields, "event_id": null, "timestamp": null,
            "label": ["number", 0], "importance": null, "served": null, "learn_after": "event",
            "unlabelled": "refuse", "max_skew_seconds": 60.0, "duplicate_window": 10, "evaluate_every": 10,
            "slots": slots,
            "learner": {"loss": "logistic", "optimizer": "ftrl", "alpha": 0.1, "beta": 1.0, "l1": 0.0, "l2": 0.0,
                "base_rate": null, "base_rate_events": 1000}
        });
        for (key, value) in changes.as_object().unwrap() {
            source[key] = value.clone();
        }
        Arc::new(Plan::parse(source.to_string().as_bytes()).unwrap())
    }

    fn simple() -> Arc<Plan> {
        let slots = json!([
            ["a", "category", ["text", 1]],
            ["b", "number", ["number", 2]]
        ]);
        plan(json!([["y"], ["a"], ["b"]]), slots, json!({}))
    }

    fn scan(plan: &Arc<Plan>, mode: Mode, record: &[u8]) -> Block {
        let mut block = Block::default();
        Scanner::new(Arc::clone(plan), mode).scan_record(record, 7, 0, &mut block);
        block
    }

    fn reasons(block: &Block) -> Vec<Reason> {
        block
            .refusals
            .iter()
            .map(|refusal| refusal.reason)
            .collect()
    }

    fn id(text: &str) -> u64 {
        feature_id(text.as_bytes(), 0xff)
    }

    #[test]
    fn features_come_in_slot_order_whatever_the_order_of_keys() {
        for record in [
            r#"{"y":1,"a":"x","b":2.5}"#,
            r#"{"b":2.5,"a":"x","y":1}"#,
            r#" { "b" : 25e-1 , "u" : [{}] , "a":"\u0078","y":1.0 } "#,
        ] {
            let block = scan(&simple(), Mode::Learn, record.as_bytes());
            assert_eq!(block.ids, [id("x"), id("")], "{record}");
            assert_eq!(block.values, [1.0, 2.5]);
            assert_eq!(
                (block.examples[0].label, block.examples[0].record),
                (1.0, 7)
            );
        }
    }

    #[test]
    fn what_is_missing_gives_no_feature() {
        for record in [
            r#"{"y":0}"#,
            r#"{"y":0,"a":null,"b":null}"#,
            r#"{"y":0,"b":0}"#,
            r#"{"y":0,"b":-0.0}"#,
            r#"{"y":0,"b":1e-300}"#,
        ] {
            let block = scan(&simple(), Mode::Learn, record.as_bytes());
            assert_eq!((block.examples.len(), block.ids.len()), (1, 0), "{record}");
        }
    }

    #[test]
    fn the_last_of_repeated_keys_counts() {
        let block = scan(
            &simple(),
            Mode::Learn,
            br#"{"a":[1],"y":5,"a":"x","b":1,"y":1,"b":null}"#,
        );
        assert_eq!(block.ids, [id("x")]);
        assert_eq!(block.examples[0].label, 1.0);
    }

    #[test]
    fn a_poison_event_fails_alone() {
        let record = b"{\"y\":1,\"a\":\"x\"}\n\n{\"y\":1,\"a\":\"z\",\"b\":}  \r\n  {\"y\":0,\"a\":\"w\"}\r\n{\"y\":0";
        let block = scan(&simple(), Mode::Learn, record);
        assert_eq!(block.ids, [id("x"), id("w")]);
        assert_eq!(
            block
                .examples
                .iter()
                .map(|example| example.index)
                .collect::<Vec<_>>(),
            [0, 2]
        );
        let places: Vec<_> = block
            .refusals
            .iter()
            .map(|r| (r.index, &record[r.start as usize..r.end as usize]))
            .collect();
        assert_eq!(
            places,
            [(1, &b"{\"y\":1,\"a\":\"z\",\"b\":}"[..]), (3, b"{\"y\":0")]
        );
    }

    #[test]
    fn a_refused_event_leaves_nothing_behind() {
        let block = scan(
            &simple(),
            Mode::Explain,
            b"{\"y\":1,\"a\":\"x\",\"b\":\"text\"}\n{\"y\":1}",
        );
        assert_eq!(reasons(&block), [Reason::WrongType]);
        assert_eq!(
            (
                block.ids.len(),
                block.values.len(),
                block.slots.len(),
                block.examples.len()
            ),
            (0, 0, 0, 1)
        );
    }

    #[test]
    fn each_rule_refuses_with_its_reason() {
        for (record, reason) in [
            ("{\"y\":1", Reason::InvalidJson),
            ("[1]", Reason::InvalidJson),
            ("{\"y\":1}}", Reason::InvalidJson),
            ("\u{b}{\"y\":1}", Reason::InvalidJson),
            ("\u{c}{\"y\":1}", Reason::InvalidJson),
            ("{\"y\":1,\"b\":[]}", Reason::WrongType),
            ("{\"y\":1,\"a\":{}}", Reason::WrongType),
            ("{\"y\":\"1\"}", Reason::WrongType),
            ("{\"y\":true}", Reason::WrongType),
            ("{\"y\":1,\"b\":1000001}", Reason::OutOfRange),
            ("{\"y\":1,\"unused\":1e999}", Reason::OutOfRange),
            ("{\"y\":1.5}", Reason::OutOfRange),
            ("{\"y\":null}", Reason::NoLabel),
            ("{}", Reason::NoLabel),
        ] {
            let block = scan(&simple(), Mode::Learn, record.as_bytes());
            assert_eq!(reasons(&block), [reason], "{record}");
            assert!(block.examples.is_empty());
        }
        assert_eq!(
            reasons(&scan(&simple(), Mode::Learn, b"{\"y\":1,\"a\":\"\xff\"}")),
            [Reason::InvalidUtf8]
        );
        assert_eq!(
            reasons(&scan(&simple(), Mode::Learn, b"{\"y\":1,\"a\":\"\xff\"")),
            [Reason::InvalidUtf8]
        );
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = |depth: usize| {
            format!(
                "{{\"y\":1,\"u\":{}{}}}",
                "[".repeat(depth),
                "]".repeat(depth)
            )
        };
        assert_eq!(
            reasons(&scan(&simple(), Mode::Learn, deep(31).as_bytes())),
            []
        );
        assert_eq!(
            reasons(&scan(&simple(), Mode::Learn, deep(32).as_bytes())),
            [Reason::TooDeep]
        );
        let large = |size: usize| format!("{{\"y\":1,\"u\":\"{}\"}}", "x".repeat(size - 14));
        assert_eq!(large(100).len(), 100);
        assert_eq!(
            reasons(&scan(
                &simple(),
                Mode::Learn,
                large(MAX_EVENT_BYTES).as_bytes()
            )),
            []
        );
        let both = format!("{}\n{}", large(MAX_EVENT_BYTES + 1), large(100));
        let block = scan(&simple(), Mode::Learn, both.as_bytes());
        assert_eq!(
            (reasons(&block), block.examples.len()),
            (vec![Reason::TooLarge], 1)
        );
    }

    #[test]
    fn scoring_asks_for_features_alone() {
        let slots = json!([["a", "category", ["text", 1]]]);
        let changes = json!({"timestamp": ["time", 2], "event_id": ["text", 3]});
        let plan = plan(json!([["y"], ["a"], ["t"], ["id"]]), slots, changes);
        let block = scan(
            &plan,
            Mode::Score,
            br#"{"y":"no number","a":"x","t":"no time"}"#,
        );
        assert_eq!(block.ids, [id("x")]);
        let example = block.examples[0];
        assert!(
            example.label.is_nan() && example.event_id == 0 && example.timestamp_us == i64::MIN
        );
    }

    #[test]
    fn roles_are_read_by_their_rules() {
        let changes = json!({"timestamp": ["time", 1], "event_id": ["text", 2], "importance": ["number", 3], "served": ["number", 4]});
        let plan = plan(
            json!([["y"], ["t"], ["id"], ["w"], ["p"]]),
            json!([]),
            changes,
        );
        let whole = br#"{"y":-1,"t":59.5,"id":"e1","w":2,"p":0.25}"#;
        let example = scan(&plan, Mode::Learn, whole).examples[0];
        assert_eq!(
            (example.label, example.timestamp_us, example.event_id),
            (0.0, 59_500_000, event_id(b"e1"))
        );
        assert_eq!((example.importance, example.served), (2.0, 0.25));
        let bare = scan(&plan, Mode::Learn, br#"{"y":1,"t":60,"id":1.0}"#).examples[0];
        assert_eq!(
            (bare.importance, bare.served.is_nan(), bare.event_id),
            (1.0, true, event_id(b"1"))
        );
        for (record, reason) in [
            (r#"{"y":1,"id":"e"}"#, Reason::NoTimestamp),
            (r#"{"y":1,"t":61,"id":"e"}"#, Reason::FutureTimestamp),
            (r#"{"y":1,"t":1e12,"id":"e"}"#, Reason::OutOfRange),
            (r#"{"y":1,"t":"soon","id":"e"}"#, Reason::WrongType),
            (r#"{"y":1,"t":1}"#, Reason::NoEventId),
            (r#"{"y":1,"t":1,"id":"e","w":0}"#, Reason::OutOfRange),
            (r#"{"y":1,"t":1,"id":"e","w":1e-60}"#, Reason::OutOfRange),
            (r#"{"y":1,"t":1,"id":"e","w":1001}"#, Reason::OutOfRange),
            (r#"{"y":1,"t":1,"id":"e","p":1.5}"#, Reason::OutOfRange),
        ] {
            assert_eq!(
                reasons(&scan(&plan, Mode::Learn, record.as_bytes())),
                [reason],
                "{record}"
            );
        }
    }

    #[test]
    fn the_record_timestamp_of_a_broker_without_one_forbids_nothing() {
        let plan = plan(
            json!([["y"], ["t"]]),
            json!([]),
            json!({"timestamp": ["time", 1]}),
        );
        let mut block = Block::default();
        Scanner::new(plan, Mode::Learn).scan_record(br#"{"y":1,"t":1e9}"#, 0, -1, &mut block);
        assert_eq!(block.examples[0].timestamp_us, 1_000_000_000_000_000);
    }

    #[test]
    fn labels_are_bounded_by_the_loss() {
        let with = |loss: &str| {
            let learner = json!({"loss": loss, "optimizer": "sgd", "alpha": 0.1, "beta": 1.0, "l1": 0.0, "l2": 0.0,
                "base_rate": 0.5, "base_rate_events": 0});
            plan(json!([["y"]]), json!([]), json!({"learner": learner}))
        };
        for (loss, record, label) in [
            ("logistic", "{\"y\":0.5}", Some(0.5)),
            ("logistic", "{\"y\":2}", None),
            ("squared", "{\"y\":-3}", Some(-3.0)),
            ("squared", "{\"y\":1000001}", None),
            ("poisson", "{\"y\":7}", Some(7.0)),
            ("poisson", "{\"y\":-1}", None),
        ] {
            let block = scan(&with(loss), Mode::Learn, record.as_bytes());
            assert_eq!(
                block.examples.first().map(|example| example.label),
                label,
                "{loss} {record}"
            );
        }
    }

    #[test]
    fn unlabelled_events_are_skipped_where_the_model_says_so() {
        let plan = plan(
            json!([["y"], ["a"]]),
            json!([["a", "number", ["number", 1]]]),
            json!({"unlabelled": "skip"}),
        );
        let block = scan(
            &plan,
            Mode::Learn,
            b"{\"a\":1}\n{\"y\":1,\"a\":1}\n{\"y\":null}",
        );
        assert_eq!(
            (block.skipped, block.examples.len(), block.refusals.len()),
            (2, 1, 0)
        );
    }

    #[test]
    fn blank_records_are_counted_and_blank_lines_are_not_events() {
        for record in [&b""[..], b" \r\n\t\n"] {
            assert_eq!(scan(&simple(), Mode::Learn, record).empty, 1);
        }
        let block = scan(&simple(), Mode::Learn, b"\n\n{\"y\":1}\n");
        assert_eq!((block.empty, block.examples[0].index), (0, 0));
    }

    #[test]
    fn paths_lead_into_objects() {
        let slots = json!([
            ["age", "number", ["number", 1]],
            ["city", "category", ["text", 2]]
        ]);
        let plan = plan(
            json!([["y"], ["user", "age"], ["user", "home", "city"]]),
            slots,
            json!({}),
        );
        let features = |record: &str| {
            let block = scan(&plan, Mode::Learn, record.as_bytes());
            (
                block.ids,
                block.refusals.first().map(|refusal| refusal.reason),
            )
        };
        let both = vec![id(""), id("Rome")];
        assert_eq!(
            features(r#"{"y":1,"user":{"age":3,"home":{"city":"Rome"}}}"#),
            (both, None)
        );
        assert_eq!(features(r#"{"y":1,"age":3,"city":"Rome"}"#), (vec![], None));
        assert_eq!(
            features(r#"{"y":1,"user":{"age":3},"user":{"home":{"city":"Rome"}}}"#),
            (vec![id("Rome")], None)
        );
        assert_eq!(
            features(r#"{"y":1,"user":{"age":3},"user":null}"#),
            (vec![], None)
        );
        assert_eq!(
            features(r#"{"y":1,"user":3,"user":{"age":3}}"#),
            (vec![id("")], None)
        );
        assert_eq!(
            features(r#"{"y":1,"user":3}"#),
            (vec![], Some(Reason::WrongType))
        );
        assert_eq!(
            features(r#"{"y":1,"user":{"home":[]}}"#),
            (vec![], Some(Reason::WrongType))
        );
    }

    #[test]
    fn what_was_guessed_before_changes_nothing() {
        let plan = simple();
        let records = [
            r#"{"y":1,"a":"x","b":2}"#,
            r#"{"u":1,"y":1,"a":"x","b":2}"#,
            r#"{"b":2,"u":{"y":7},"a":"x","y":1}"#,
            r#"{"y" :1,"a": "x","b":2,"v":null}"#,
            r#"{"y":1,"a":"x","b":2,"y":1}"#,
            r#"{"a":"x","b":2,"\u0079":1}"#,
        ];
        let mut scanner = Scanner::new(Arc::clone(&plan), Mode::Learn);
        for first in records {
            for second in records {
                for record in [first, second, first] {
                    let mut block = Block::default();
                    scanner.scan_record(record.as_bytes(), 7, 0, &mut block);
                    assert_eq!(
                        block.ids,
                        [id("x"), id("")],
                        "{record} among {first} {second}"
                    );
                    assert_eq!(
                        (&block.values[..], block.examples[0].label),
                        (&[1.0, 2.0][..], 1.0)
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_survives_the_turn_of_the_event_number() {
        let mut scanner = Scanner::new(simple(), Mode::Learn);
        let mut block = Block::default();
        scanner.event = u32::MAX - 2;
        for record in [
            r#"{"y":1,"a":"x"}"#,
            r#"{"y":1}"#,
            r#"{"y":1}"#,
            r#"{"y":1}"#,
        ] {
            scanner.scan_record(record.as_bytes(), 0, 0, &mut block);
        }
        assert_eq!((block.ids.len(), block.examples.len()), (1, 4));
    }

    #[test]
    fn explaining_names_slots_and_values() {
        let slots = json!([
            ["n", "number", ["number", 1]],
            ["x", "category", ["cross", ["text", 2], ["const", "é"]]],
            ["w", "set", ["words", ["text", 2]]]
        ]);
        let plan = plan(json!([["y"], ["n"], ["t"]]), slots, json!({}));
        let mut scanner = Scanner::new(plan, Mode::Explain);
        let mut block = Block::default();
        scanner.scan_record(r#"{"n":2.50,"t":"Big Boat"}"#.as_bytes(), 0, 0, &mut block);
        assert_eq!(scanner.texts(), ["2.5", "Big Boat × é", "big", "boat"]);
        assert_eq!(block.slots, [0, 1, 2, 2]);
        assert!(block.examples[0].label.is_nan());
    }

    #[test]
    fn a_bomb_of_elements_is_refused() {
        let slots = json!([[
            "x",
            "set",
            ["cross", ["words", ["text", 1]], ["words", ["text", 2]]]
        ]]);
        let plan = plan(json!([["y"], ["a"], ["b"]]), slots, json!({}));
        let words = |count: usize| (0..count).map(|at| format!("w{at} ")).collect::<String>();
        let event = |count| {
            format!(
                "{{\"y\":1,\"a\":\"{}\",\"b\":\"{}\"}}",
                words(count),
                words(count)
            )
        };
        assert_eq!(
            scan(&plan, Mode::Learn, event(256).as_bytes()).ids.len(),
            65_536
        );
        assert_eq!(
            reasons(&scan(&plan, Mode::Learn, event(257).as_bytes())),
            [Reason::TooLarge]
        );
    }
}
