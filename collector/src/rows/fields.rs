//! One span as it stands in the request: where its fields lie, and nothing of what they mean.

use crate::wire::{Field, Reader, WireError};

/// One span's fields, before it is known whether it is kept.
#[derive(Default)]
pub struct SpanFields<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub parent: &'a [u8],
    pub trace_state: &'a [u8],
    pub name: &'a [u8],
    pub kind: i32,
    pub start: u64,
    pub end: u64,
    pub status_code: i32,
    pub status_message: &'a [u8],
    pub flags: u32,
    pub dropped: [u32; 3],
    pub attributes: Vec<&'a [u8]>,
    pub events: Vec<&'a [u8]>,
    pub links: Vec<&'a [u8]>,
}

impl<'a> SpanFields<'a> {
    pub fn read(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let (mut attributes, mut events, mut links) = (
            std::mem::take(&mut self.attributes),
            std::mem::take(&mut self.events),
            std::mem::take(&mut self.links),
        );
        attributes.clear();
        events.clear();
        links.clear();
        *self = Self { attributes, events, links, ..Self::default() };
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match (number, field) {
                (1, Field::Bytes(id)) => self.trace_id = id,
                (2, Field::Bytes(id)) => self.span_id = id,
                (3, Field::Bytes(state)) => self.trace_state = state,
                (4, Field::Bytes(id)) => self.parent = id,
                (5, Field::Bytes(name)) => self.name = name,
                (6, Field::Varint(kind)) => self.kind = kind as i32,
                (7, Field::Fixed64(start)) => self.start = start,
                (8, Field::Fixed64(end)) => self.end = end,
                (9, Field::Bytes(attribute)) => self.attributes.push(attribute),
                (10, Field::Varint(n)) => self.dropped[0] = n as u32,
                (11, Field::Bytes(event)) => self.events.push(event),
                (12, Field::Varint(n)) => self.dropped[1] = n as u32,
                (13, Field::Bytes(link)) => self.links.push(link),
                (14, Field::Varint(n)) => self.dropped[2] = n as u32,
                (15, Field::Bytes(status)) => self.status(status)?,
                (16, Field::Fixed32(flags)) => self.flags = flags,
                _ => {}
            }
        }
        Ok(())
    }

    fn status(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match (number, field) {
                (2, Field::Bytes(message)) => self.status_message = message,
                (3, Field::Varint(code)) => self.status_code = code as i32,
                _ => {}
            }
        }
        Ok(())
    }
}
