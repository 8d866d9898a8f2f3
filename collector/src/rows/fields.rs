//! One span as it stands in the request: where its fields lie, and nothing of what they mean. And what a request may say that
//! has no place in a row.

use crate::wire::{Field, Reader, WireError};

/// Field 9, of bytes.
const ATTRIBUTE_TAG: u8 = 9 << 3 | 2;

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
            match number {
                1 => self.trace_id = field.bytes()?,
                2 => self.span_id = field.bytes()?,
                3 => self.trace_state = field.bytes()?,
                4 => self.parent = field.bytes()?,
                5 => self.name = field.bytes()?,
                6 => self.kind = field.varint()? as i32,
                7 => self.start = field.fixed64()?,
                8 => self.end = field.fixed64()?,
                9 => {
                    self.attributes.push(field.bytes()?);
                    while let Some(attribute) = reader.next_short(ATTRIBUTE_TAG) {
                        self.attributes.push(attribute);
                    }
                }
                10 => self.dropped[0] = field.varint()? as u32,
                11 => self.events.push(field.bytes()?),
                12 => self.dropped[1] = field.varint()? as u32,
                13 => self.links.push(field.bytes()?),
                14 => self.dropped[2] = field.varint()? as u32,
                15 => self.status(field.bytes()?)?,
                16 => self.flags = field.fixed32()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn status(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                2 => self.status_message = field.bytes()?,
                3 => self.status_code = field.varint()? as i32,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Messages that have fields which are not kept.
#[derive(Debug, Clone, Copy)]
pub enum Message {
    Resource,
    Scope,
}

/// A field that is not kept has to be what the protocol says all the same, as every reader with generated code demands.
pub fn not_kept(of: Message, number: u32, field: Field<'_>) -> Result<(), WireError> {
    match (of, number) {
        // How many attributes were dropped.
        (Message::Resource, 2) | (Message::Scope, 4) => field.varint().map(drop),
        // A reference to an entity: a schema, a type and keys of attributes, all of them text.
        (Message::Resource, 3) => {
            let mut reader = Reader::new(field.bytes()?);
            while let Some((number, field)) = reader.next_field()? {
                if let 1..=4 = number {
                    field.bytes()?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
