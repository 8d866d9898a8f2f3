//! `ExportLogsServiceRequest` → rows of `log_records`: what a request nests, down to the single record. Evaluation events are rows
//! of `verdicts` too.

mod rows;

use std::borrow::Cow;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use plimsoll_store::{DecodeError, Decoded, RecordMeta};

use super::fields::{Message, not_kept};
use super::spans::{TOO_MANY, UNKNOWN_SERVICE};
use super::value::{Any, key_value, text};
use crate::limits::ATTRIBUTES_MAX;
use crate::wire::{Reader, WireError};
use rows::Rows;

pub fn decode(meta: &RecordMeta, payload: &[u8]) -> Result<Decoded, DecodeError> {
    super::plainly::<ExportLogsServiceRequest>("logs", payload, |payload| {
        let mut rows = Rows { ingest: meta.ingest, ..Rows::default() };
        rows.request(payload)?;
        Ok(rows.finish(meta))
    })
}

type Entry<'a> = (Cow<'a, str>, Any<'a>);

/// What the records of one resource or scope share.
#[derive(Default)]
struct Shared<'a> {
    name: Cow<'a, str>,
    version: Cow<'a, str>,
    /// With each value as text and the character of its type.
    attributes: Vec<(Cow<'a, str>, Cow<'a, str>, char)>,
    /// Attributes that cannot be kept.
    dropped: u32,
}

#[derive(Default)]
struct Record<'a> {
    time: u64,
    observed: u64,
    severity_number: i32,
    severity_text: &'a [u8],
    body: Option<Any<'a>>,
    attributes: Vec<Entry<'a>>,
    dropped: u32,
    /// Attributes that are not in the list.
    above_bound: u32,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a [u8],
}

impl<'a> Rows<'a> {
    fn request(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            if number == 1 {
                self.resource_logs(field.bytes()?)?;
            }
        }
        Ok(())
    }

    fn resource_logs(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut resource = Shared { name: Cow::Borrowed(UNKNOWN_SERVICE), ..Shared::default() };
        let mut scopes = Vec::new();
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => {
                    let mut reader = Reader::new(field.bytes()?);
                    while let Some((number, field)) = reader.next_field()? {
                        if number != 1 {
                            not_kept(Message::Resource, number, field)?;
                            continue;
                        }
                        let (key, value) = self.entry(field.bytes()?)?;
                        match (key.as_ref(), value) {
                            ("service.name", Any::Str(name)) if !name.is_empty() => {
                                resource.name = text(name, &mut self.notes);
                            }
                            _ => self.shared_entry((key, value), &mut resource)?,
                        }
                    }
                }
                2 => scopes.push(field.bytes()?),
                3 => drop(field.bytes()?),
                _ => {}
            }
        }
        scopes.into_iter().try_for_each(|scope| self.scope_logs(scope, &resource))
    }

    fn entry(&mut self, message: &'a [u8]) -> Result<Entry<'a>, WireError> {
        let (key, value) = key_value(message)?;
        Ok((text(key, &mut self.notes), value))
    }

    fn shared_entry(&mut self, entry: Entry<'a>, shared: &mut Shared<'a>) -> Result<(), WireError> {
        let (key, value) = entry;
        if shared.attributes.len() >= ATTRIBUTES_MAX {
            self.notes.warn(TOO_MANY);
            return Ok(());
        }
        match value.text(&mut self.notes)? {
            Some(value_text) => shared.attributes.push((key, value_text, value.type_char())),
            None => shared.dropped += 1,
        }
        Ok(())
    }

    fn scope_logs(&mut self, message: &'a [u8], resource: &Shared<'a>) -> Result<(), WireError> {
        let mut scope = Shared::default();
        let mut records = Vec::new();
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => {
                    let mut reader = Reader::new(field.bytes()?);
                    while let Some((number, field)) = reader.next_field()? {
                        match number {
                            1 => scope.name = text(field.bytes()?, &mut self.notes),
                            2 => scope.version = text(field.bytes()?, &mut self.notes),
                            3 => {
                                let entry = self.entry(field.bytes()?)?;
                                self.shared_entry(entry, &mut scope)?;
                            }
                            _ => not_kept(Message::Scope, number, field)?,
                        }
                    }
                }
                2 => records.push(field.bytes()?),
                3 => drop(field.bytes()?),
                _ => {}
            }
        }
        for message in records {
            let record = self.read(message)?;
            self.record(&record, resource, &scope)?;
        }
        Ok(())
    }

    fn read(&mut self, message: &'a [u8]) -> Result<Record<'a>, WireError> {
        let mut record = Record::default();
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => record.time = field.fixed64()?,
                2 => record.severity_number = field.varint()? as i32,
                3 => record.severity_text = field.bytes()?,
                5 if record.body.is_some() => return Err(WireError::Twice),
                5 => record.body = Some(Any::read(field.bytes()?)?),
                6 => {
                    let entry = self.entry(field.bytes()?)?;
                    if record.attributes.len() < ATTRIBUTES_MAX {
                        record.attributes.push(entry);
                    } else {
                        record.above_bound += 1;
                    }
                }
                7 => record.dropped = field.varint()? as u32,
                8 => record.flags = field.fixed32()?,
                9 => record.trace_id = field.bytes()?,
                10 => record.span_id = field.bytes()?,
                11 => record.observed = field.fixed64()?,
                12 => record.event_name = field.bytes()?,
                _ => {}
            }
        }
        Ok(record)
    }
}
