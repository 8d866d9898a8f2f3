//! What hangs below a span in lists: its events and links.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListArray, StringArray, StringBuilder, StructArray};
use arrow::datatypes::{DataType, Fields};
use plimsoll_schemas::table::{event_fields, link_fields, list_item};
use plimsoll_schemas::{SpanId, TraceId, UnixNanos, verdict};
use plimsoll_store::{TextBuilder, null_column};

use super::columns::Remainder;
use super::lists::Lists;
use super::notes::Notes;
use super::value::{Any, key_value, text};
use crate::limits::{ATTRIBUTES_MAX, EVENTS_MAX, LINKS_MAX};
use crate::wire::{Reader, WireError};

/// Puts the attributes of an event or link into its map; answers how many were dropped.
fn item_attributes<'a>(
    entries: &[&'a [u8]],
    into: &mut Remainder,
    row: usize,
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
    into.end(row);
    Ok(dropped)
}

fn count(n: u32) -> Option<i32> {
    (n > 0).then(|| i32::try_from(n).unwrap_or(i32::MAX))
}

/// A column of so many rows, each a list of items with these fields.
fn column(rows: usize, lists: Lists, fields: Fields, columns: Vec<ArrayRef>) -> ArrayRef {
    let items = StructArray::new(fields.clone(), columns, None);
    let (offsets, valid) = lists.finish(rows);
    Arc::new(ListArray::new(list_item(fields), offsets, Arc::new(items), Some(valid)))
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
    pub fn put<'a>(
        &mut self,
        row: usize,
        events: &[&'a [u8]],
        notes: &mut Notes,
        evaluations: &mut Vec<Evaluation<'a>>,
    ) -> Result<u32, WireError> {
        for message in events.iter().take(EVENTS_MAX) {
            let (mut time, mut name, mut dropped, mut attributes) = (0, &[][..], 0_u32, Vec::new());
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
            let item = self.time.len();
            self.time.push(time.0);
            self.name.append_value(text(name, notes));
            let lost = item_attributes(&attributes, &mut self.attributes, item, notes)?;
            self.dropped.push(count(dropped.saturating_add(lost)));
        }
        self.lists.end(row, self.time.len());
        Ok(events.len().saturating_sub(EVENTS_MAX) as u32)
    }

    pub fn finish(mut self, rows: usize) -> ArrayRef {
        let items = self.time.len();
        if items == 0 {
            return null_column(&DataType::List(list_item(event_fields())), rows);
        }
        let (attributes, types) = self.attributes.finish(items);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(self.time)),
            Arc::new(self.name.finish()),
            attributes,
            Arc::new(types.finish_text(items)),
            Arc::new(Int32Array::from(self.dropped)),
        ];
        column(rows, self.lists, event_fields(), columns)
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
    pub fn put(&mut self, row: usize, links: &[&[u8]], notes: &mut Notes) -> Result<u32, WireError> {
        let mut lost = links.len().saturating_sub(LINKS_MAX) as u32;
        for message in links.iter().take(LINKS_MAX) {
            let (mut trace, mut span, mut state, mut dropped, mut flags) =
                (&[][..], &[][..], &[][..], 0_u32, 0);
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
            let item = self.flags.len();
            self.trace_id.push(&trace.hex());
            self.span_id.push(&span.hex());
            self.trace_state.push((!state.is_empty()).then(|| text(state, notes).into_owned()));
            let lost_of_it = item_attributes(&attributes, &mut self.attributes, item, notes)?;
            self.flags.push((flags != 0).then_some(flags as i32));
            self.dropped.push(count(dropped.saturating_add(lost_of_it)));
        }
        self.lists.end(row, self.flags.len());
        Ok(lost)
    }

    pub fn finish(self, rows: usize) -> ArrayRef {
        let items = self.flags.len();
        if items == 0 {
            return null_column(&DataType::List(list_item(link_fields())), rows);
        }
        let (attributes, types) = self.attributes.finish(items);
        let columns: Vec<ArrayRef> = vec![
            self.trace_id.finish(),
            self.span_id.finish(),
            Arc::new(StringArray::from(self.trace_state)),
            attributes,
            Arc::new(types.finish_text(items)),
            Arc::new(Int32Array::from(self.flags)),
            Arc::new(Int32Array::from(self.dropped)),
        ];
        column(rows, self.lists, link_fields(), columns)
    }
}
