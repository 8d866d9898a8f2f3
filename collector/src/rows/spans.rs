//! `ExportTraceServiceRequest` → rows of `spans`: what a request nests, down to the single span.

mod rows;
mod span;

use std::borrow::Cow;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use plimsoll_schemas::Attr;
use plimsoll_store::{DecodeError, Decoded, RecordMeta};

use super::fields::{Message, SpanFields, not_kept};
use super::value::{Any, key_value, text};
use crate::limits::ATTRIBUTES_MAX;
use crate::wire::{Reader, WireError};
use rows::Rows;

pub const UNKNOWN_SERVICE: &str = "unknown_service";

pub fn decode(meta: &RecordMeta, payload: &[u8]) -> Result<Decoded, DecodeError> {
    super::plainly::<ExportTraceServiceRequest>("trace", payload, |payload| {
        let mut rows = Rows::new(payload.len());
        rows.request(payload)?;
        Ok(rows.finish(meta))
    })
}

/// What the spans of one resource or scope share.
#[derive(Default)]
struct Shared<'a> {
    service: Cow<'a, str>,
    promoted: Vec<(Attr, Any<'a>)>,
    remainder: Vec<(Cow<'a, str>, Cow<'a, str>, char)>,
    name: Cow<'a, str>,
    version: Cow<'a, str>,
    schema_url: Cow<'a, str>,
}

impl<'a> Rows<'a> {
    fn request(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            if number == 1 {
                self.resource_spans(field.bytes()?)?;
            }
        }
        Ok(())
    }

    fn resource_spans(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut resource = Shared { service: Cow::Borrowed(UNKNOWN_SERVICE), ..Shared::default() };
        let mut scopes = Vec::new();
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => self.resource(field.bytes()?, &mut resource)?,
                2 => scopes.push(field.bytes()?),
                3 => resource.schema_url = text(field.bytes()?, &mut self.notes),
                _ => {}
            }
        }
        if resource.service == UNKNOWN_SERVICE {
            self.notes.warn("resource without service.name: shown as unknown_service");
        }
        let first = self.keys.len();
        for message in scopes {
            self.scope_spans(message, &resource)?;
        }
        // What they share is put into all their rows at once.
        let rows = first..self.keys.len();
        for (attr, value) in resource.promoted {
            self.promoted.fill(rows.clone(), attr, value, &mut self.notes);
        }
        self.service.fill(rows.clone(), resource.service);
        self.resource_schema_url.fill_some(rows, resource.schema_url);
        Ok(())
    }

    fn resource(&mut self, message: &'a [u8], resource: &mut Shared<'a>) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            if number != 1 {
                not_kept(Message::Resource, number, field)?;
                continue;
            }
            let (key, value) = key_value(field.bytes()?)?;
            let key = text(key, &mut self.notes);
            match (key.as_ref(), value) {
                ("service.name", Any::Str(name)) if !name.is_empty() => {
                    resource.service = text(name, &mut self.notes);
                }
                // Its column has room for one value; a key that comes again is kept beside the others.
                _ => match Attr::resource(&key)
                    .filter(|a| fits(*a, value) && resource.promoted.iter().all(|(b, _)| a != b))
                {
                    Some(attr) => resource.promoted.push((attr, value)),
                    None => self.shared_entry(key, value, resource)?,
                },
            }
        }
        Ok(())
    }

    fn shared_entry(
        &mut self,
        key: Cow<'a, str>,
        value: Any<'a>,
        shared: &mut Shared<'a>,
    ) -> Result<(), WireError> {
        if shared.remainder.len() >= ATTRIBUTES_MAX {
            self.notes.warn(TOO_MANY);
            return Ok(());
        }
        if let Some(value_text) = value.text(&mut self.notes)? {
            shared.remainder.push((key, value_text, value.type_char()));
        }
        Ok(())
    }

    fn scope_spans(&mut self, message: &'a [u8], resource: &Shared<'a>) -> Result<(), WireError> {
        let mut scope = Shared::default();
        let mut spans = Vec::new();
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => self.scope(field.bytes()?, &mut scope)?,
                2 => spans.push(field.bytes()?),
                3 => scope.schema_url = text(field.bytes()?, &mut self.notes),
                _ => {}
            }
        }
        let mut fields = SpanFields::default();
        let first = self.keys.len();
        for message in spans {
            fields.read(message)?;
            self.span(&fields, resource, &scope)?;
        }
        let rows = first..self.keys.len();
        self.scope.fill(rows.clone(), scope.name);
        self.scope_version.fill_some(rows.clone(), scope.version);
        self.scope_schema_url.fill_some(rows, scope.schema_url);
        Ok(())
    }

    fn scope(&mut self, message: &'a [u8], scope: &mut Shared<'a>) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => scope.name = text(field.bytes()?, &mut self.notes),
                2 => scope.version = text(field.bytes()?, &mut self.notes),
                3 => {
                    let (key, value) = key_value(field.bytes()?)?;
                    let key = text(key, &mut self.notes);
                    self.shared_entry(key, value, scope)?;
                }
                _ => not_kept(Message::Scope, number, field)?,
            }
        }
        Ok(())
    }
}

pub const TOO_MANY: &str = "attributes of a resource or scope above the limit: dropped";
pub const TOO_MUCH: &str = "request whose attributes take more than 512 MiB in rows: those above it dropped";

/// Whether the value has the type of the attribute's column.
fn fits(attr: Attr, value: Any<'_>) -> bool {
    use plimsoll_schemas::AttrType;
    matches!(
        (attr.info().kind, value),
        (AttrType::Keyword | AttrType::Text, Any::Str(_))
            | (AttrType::Int, Any::Int(_))
            | (AttrType::Double, Any::Double(_))
            | (AttrType::Bool, Any::Bool(_))
    )
}
