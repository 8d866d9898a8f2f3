//! What hangs below a span in lists: its events and links.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListArray, StringArray, StringBuilder, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Fields};
use plimsoll_schemas::table::{event_fields, link_fields, list_item};
use plimsoll_schemas::{SpanId, TraceId, UnixNanos, verdict};
use plimsoll_store::{TextBuilder, null_column};

use super::columns::Remainder;
use super::notes::Notes;
use super::value::{Any, key_value, text};
use crate::limits::{ATTRIBUTES_MAX, EVENTS_MAX, LINKS_MAX};
use crate::wire::{Reader, WireError};

/// Puts the attributes of an event or link into its map; answers how many were dropped.
fn item_attributes<'a>(
    entries: &[&'a [u8]],
    into: &mut Remainder,
    notes: &mut Notes,
) -> Result<u32, WireError> {
    let mut dropped = 0;
    for (i, entry) in entries.iter().enumerate() {
        let (key, value): (&'a [u8], Any<'a>) = key_value(entry)?;
        if i >= ATTRIBUTES_MAX {
            notes.warn("attributes of an event or link above the limit: dropped");
            dropped += 1;
            continue;
        }
        match value.text(notes)? {
            Some(value_text) => into.entry(&text(key, notes), &value_text, value.type_char()),
            None => dropped += 1,
        }
    }
    into.end();
    Ok(dropped)
}

fn count(n: u32) -> Option<i32> {
    (n > 0).then(|| i32::try_from(n).unwrap_or(i32::MAX))
}

/// Where the items of each row end.
struct Lists {
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

impl Default for Lists {
    fn default() -> Self {
        Self { offsets: vec![0], valid: Vec::new() }
    }
}

impl Lists {
    fn end(&mut self, items: usize) {
        let items = i32::try_from(items).unwrap_or(i32::MAX);
        self.valid.push(self.offsets.last() != Some(&items));
        self.offsets.push(items);
    }

    fn finish(self, fields: Fields, columns: impl FnOnce() -> Vec<ArrayRef>) -> ArrayRef {
        let item = list_item(fields.clone());
        if !self.valid.contains(&true) {
            return null_column(&DataType::List(item), self.valid.len());
        }
        let items = StructArray::new(fields, columns(), None);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        Arc::new(ListArray::new(item, offsets, Arc::new(items), Some(NullBuffer::from(self.valid))))
    }
}

/// An event that carries a verdict.
pub struct Evaluation<'a> {
    pub time: UnixNanos,
    /// Its attributes, as they came.
    pub entries: Vec<&'a [u8]>,
}

#[derive(Default)]
pub struct Events {
    lists: Lists,
    time: Vec<i64>,
    name: StringBuilder,
    attributes: Remainder,
    dropped: Vec<Option<i32>>,
}

impl Events {
    /// Answers how many were dropped. Evaluations go into `evaluations` too.
    pub fn push<'a>(
        &mut self,
        events: &[&'a [u8]],
        notes: &mut Notes,
        evaluations: &mut Vec<Evaluation<'a>>,
    ) -> Result<u32, WireError> {
        for message in events.iter().take(EVENTS_MAX) {
            let (mut time, mut name, mut dropped, mut attributes) = (0, &[][..], 0, Vec::new());
            let mut reader = Reader::new(message);
            while let Some((number, field)) = reader.next_field()? {
                match number {
                    1 => time = field.fixed64()?,
                    2 => name = field.bytes()?,
                    3 => attributes.push(field.bytes()?),
                    4 => dropped = field.varint()? as u32,
                    _ => {}
                }
            }
            let time = UnixNanos::from_wire(time);
            if name == verdict::EVENT_NAME.as_bytes() {
                evaluations.push(Evaluation { time, entries: attributes.clone() });
            }
            self.time.push(time.0);
            self.name.append_value(text(name, notes));
            dropped = dropped.saturating_add(item_attributes(&attributes, &mut self.attributes, notes)?);
            self.dropped.push(count(dropped));
        }
        self.lists.end(self.time.len());
        Ok(events.len().saturating_sub(EVENTS_MAX) as u32)
    }

    pub fn finish(mut self) -> ArrayRef {
        self.lists.finish(event_fields(), || {
            let (attributes, types) = self.attributes.finish();
            vec![
                Arc::new(Int64Array::from(self.time)),
                Arc::new(self.name.finish()),
                attributes,
                Arc::new(types.finish_text()),
                Arc::new(Int32Array::from(self.dropped)),
            ]
        })
    }
}

#[derive(Default)]
pub struct Links {
    lists: Lists,
    trace_id: TextBuilder,
    span_id: TextBuilder,
    trace_state: Vec<Option<String>>,
    attributes: Remainder,
    flags: Vec<Option<i32>>,
    dropped: Vec<Option<i32>>,
}

impl Links {
    pub fn push(&mut self, links: &[&[u8]], notes: &mut Notes) -> Result<u32, WireError> {
        let mut lost = links.len().saturating_sub(LINKS_MAX) as u32;
        for message in links.iter().take(LINKS_MAX) {
            let (mut trace, mut span, mut state, mut dropped, mut flags) = (&[][..], &[][..], &[][..], 0, 0);
            let mut attributes = Vec::new();
            let mut reader = Reader::new(message);
            while let Some((number, field)) = reader.next_field()? {
                match number {
                    1 => trace = field.bytes()?,
                    2 => span = field.bytes()?,
                    3 => state = field.bytes()?,
                    4 => attributes.push(field.bytes()?),
                    5 => dropped = field.varint()? as u32,
                    6 => flags = field.fixed32()?,
                    _ => {}
                }
            }
            let (Some(trace), Some(span)) = (TraceId::from_wire(trace), SpanId::from_wire(span)) else {
                notes.warn("link without valid ids: dropped");
                lost += 1;
                continue;
            };
            self.trace_id.push(&trace.hex());
            self.span_id.push(&span.hex());
            self.trace_state.push((!state.is_empty()).then(|| text(state, notes).into_owned()));
            dropped = dropped.saturating_add(item_attributes(&attributes, &mut self.attributes, notes)?);
            self.flags.push((flags != 0).then_some(flags as i32));
            self.dropped.push(count(dropped));
        }
        self.lists.end(self.flags.len());
        Ok(lost)
    }

    pub fn finish(self) -> ArrayRef {
        self.lists.finish(link_fields(), || {
            let (attributes, types) = self.attributes.finish();
            vec![
                self.trace_id.finish(),
                self.span_id.finish(),
                Arc::new(StringArray::from(self.trace_state)),
                attributes,
                Arc::new(types.finish_text()),
                Arc::new(Int32Array::from(self.flags)),
                Arc::new(Int32Array::from(self.dropped)),
            ]
        })
    }
}
