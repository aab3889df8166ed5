//! What an evaluation says of its examples besides figures of the whole: features, absent slots, segments.

use serde_json::{Map, Value, json};

use super::segments::Segments;
use super::{Judged, Judging};
use crate::block::Block;
use crate::codec::{Damaged, Reader, Writer};
use crate::options::Loss;
use crate::tally::Said;

#[derive(Clone, Debug, PartialEq)]
pub struct Details {
    features: u64,
    /// Of the features, those that had no row when their example was learned.
    unseen: u64,
    /// By slot: examples that had no feature of it.
    pub missing: Vec<u64>,
    segments: Option<Segments>,
}

impl Details {
    pub fn new(judging: &Judging) -> Details {
        Details {
            features: 0,
            unseen: 0,
            missing: vec![0; judging.slots.len()],
            segments: judging.segments.then(Segments::default),
        }
    }

    /// Count one example, but for what is absent; `said`: by the learner, and at decision time.
    #[inline(always)]
    pub fn add(&mut self, loss: Loss, block: &Block, judged: &Judged, said: (Said, Option<Said>)) {
        let at = judged.at as usize;
        self.features += block.features(at).len() as u64;
        self.unseen += u64::from(judged.unseen);
        if let Some(segments) = &mut self.segments {
            segments.add(loss, block.segments.get(at), said.0, said.1);
        }
    }

    /// Put everything into the evaluation's JSON and begin again; the names of segments stay.
    pub fn close(&mut self, judging: &Judging, value: &mut Value) {
        let missing = judging.slots.iter().zip(&self.missing);
        let missing = missing
            .filter(|(_, count)| **count > 0)
            .map(|(name, count)| (name.clone(), json!(count)));
        value["features"] = json!(self.features);
        value["unseen"] = json!(self.unseen);
        value["missing"] = Value::Object(missing.collect::<Map<_, _>>());
        value["segments"] = self.segments.as_mut().map_or(Value::Null, Segments::close);
        (self.features, self.unseen) = (0, 0);
        self.missing.fill(0);
    }

    pub fn write(&self, writer: &mut Writer) {
        writer.u64(self.features);
        writer.u64(self.unseen);
        writer.u32(self.missing.len() as u32);
        self.missing.iter().for_each(|&count| writer.u64(count));
        if let Some(segments) = &self.segments {
            segments.write(writer);
        }
    }

    pub fn read(reader: &mut Reader, judging: &Judging) -> Result<Details, Damaged> {
        let mut details = Details {
            features: reader.u64()?,
            unseen: reader.u64()?,
            ..Details::new(judging)
        };
        let slots = reader.u32()? as usize;
        if slots != details.missing.len() {
            let here = details.missing.len();
            return Err(Damaged(format!(
                "learner state: {slots} slots, this plan has {here}"
            )));
        }
        for count in &mut details.missing {
            *count = reader.u64()?;
        }
        if let Some(segments) = &mut details.segments {
            *segments = Segments::read(reader)?;
        }
        Ok(details)
    }
}
