//! The figures of an evaluation by segment: the first ones that were learned have a name, the rest are taken together.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::codec::{Damaged, Reader, Writer};
use crate::options::Loss;
use crate::tally::{Said, Tally};

/// Segments of a variant that have a name.
pub const NAMED: usize = 32;
/// Bins of 1/2 log-odds.
pub const BINS: usize = 64;

/// In the order in which they were first learned, since the variant began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    all: Vec<String>,
    /// Of each: most names are told apart without a look at their letters.
    hashes: Vec<u64>,
}

impl Names {
    /// Where the figures of a segment belong: `NAMED` are the rest, and examples of none.
    pub fn place_of(&mut self, name: Option<&str>) -> usize {
        let Some(name) = name else { return NAMED };
        let hash = xxh3_64(name.as_bytes());
        let mut known = self.hashes.iter().zip(&self.all);
        match known.position(|(known, all)| *known == hash && all == name) {
            Some(place) => place,
            None if self.all.len() < NAMED => self.push(name.into()),
            None => NAMED,
        }
    }

    fn push(&mut self, name: String) -> usize {
        self.hashes.push(xxh3_64(name.as_bytes()));
        self.all.push(name);
        self.all.len() - 1
    }

    /// None for the rest.
    pub fn get(&self, place: usize) -> Option<&str> {
        self.all.get(place).map(String::as_str)
    }

    pub fn all(&self) -> &[String] {
        &self.all
    }
}

/// What was said of a segment's examples, and what was served where events bring that back.
#[derive(Clone, Debug, Default, PartialEq)]
struct Segment {
    said: Tally<BINS>,
    served: Tally<BINS>,
}

/// The segments of the open evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segments {
    names: Names,
    /// By name; one more is of the examples of other segments and of none. Only as many as are needed.
    open: Vec<Option<Segment>>,
}

impl Segments {
    pub fn add(&mut self, loss: Loss, name: Option<&str>, said: Said, served: Option<Said>) {
        let at = self.names.place_of(name);
        if self.open.len() <= at {
            self.open.resize(at + 1, None);
        }
        let segment = self.open[at].get_or_insert_default();
        segment.said.add(loss, said);
        if let Some(served) = served {
            segment.served.add(loss, served);
        }
    }

    /// The segments that had examples; all begin again.
    pub fn close(&mut self) -> Value {
        let open = std::mem::take(&mut self.open);
        let named = open.iter().enumerate();
        let said = named.filter_map(|(at, segment)| {
            let Segment { said, served } = segment.as_ref()?;
            let mut value = said.sums_to_json();
            value["segment"] = json!(self.names.get(at));
            value["served"] = if served.examples > 0 {
                served.sums_to_json()
            } else {
                Value::Null
            };
            Some(value)
        });
        Value::Array(said.collect())
    }

    pub fn write(&self, writer: &mut Writer) {
        writer.u32(self.names.all().len() as u32);
        self.names.all().iter().for_each(|name| writer.text(name));
        writer.u32(self.open.len() as u32);
        for segment in &self.open {
            writer.u32(u32::from(segment.is_some()));
            if let Some(Segment { said, served }) = segment {
                said.write(writer);
                served.write(writer);
            }
        }
    }

    pub fn read(reader: &mut Reader) -> Result<Segments, Damaged> {
        let mut names = Names::default();
        for _ in 0..reader.u32()? {
            names.push(reader.text()?.to_string());
        }
        let open = reader.u32()? as usize;
        if names.all.len() > NAMED || open > NAMED + 1 {
            return Err(Damaged(format!(
                "learner state: {} segments, {open} with figures",
                names.all.len()
            )));
        }
        let open = (0..open).map(|_| read_segment(reader));
        Ok(Segments {
            open: open.collect::<Result<_, _>>()?,
            names,
        })
    }
}

fn read_segment(reader: &mut Reader) -> Result<Option<Segment>, Damaged> {
    if reader.u32()? == 0 {
        return Ok(None);
    }
    Ok(Some(Segment {
        said: Tally::read(reader)?,
        served: Tally::read(reader)?,
    }))
}
