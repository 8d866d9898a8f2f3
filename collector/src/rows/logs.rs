//! `ExportLogsServiceRequest` → rows of `log_records`; evaluation events are rows of `verdicts` too.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringBuilder, TimestampMicrosecondArray};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{SpanId, TraceId, UnixNanos, verdict};
use plimsoll_store::{DecodeError, Decoded, KeywordBuilder, RecordMeta};

use super::columns::Remainder;
use super::evaluations::{self, Target};
use super::fields::{Message, not_kept};
use super::notes::Notes;
use super::spans::{TOO_MANY, TOO_MUCH, UNKNOWN_SERVICE};
use super::value::{Any, key_value, text};
use super::verdicts::Verdicts;
use crate::limits::{ATTRIBUTES_MAX, SPANS_MAX};
use crate::wire::{Reader, WireError};

pub fn decode(meta: &RecordMeta, payload: &[u8]) -> Result<Decoded, DecodeError> {
    super::plainly::<ExportLogsServiceRequest>("logs", payload, |payload| {
        let mut rows = Rows { ingest: meta.ingest, ..Rows::default() };
        rows.request(payload)?;
        Ok(rows.finish(meta))
    })
}

type Entry<'a> = (Cow<'a, str>, Any<'a>);

#[derive(Default)]
struct Rows<'a> {
    notes: Notes,
    ingest: UnixNanos,
    time: Vec<i64>,
    observed: Vec<Option<i64>>,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    severity_number: Vec<Option<i32>>,
    severity_text: KeywordBuilder<'a>,
    event_name: KeywordBuilder<'a>,
    body: StringBuilder,
    body_type: KeywordBuilder<'a>,
    service: KeywordBuilder<'a>,
    scope: KeywordBuilder<'a>,
    scope_version: KeywordBuilder<'a>,
    attributes: Remainder,
    resource_attributes: Remainder,
    scope_attributes: Remainder,
    flags: Vec<Option<i32>>,
    dropped: Vec<Option<i32>>,
    verdicts: Verdicts,
}

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

    fn record(
        &mut self,
        record: &Record<'a>,
        resource: &Shared<'a>,
        scope: &Shared<'a>,
    ) -> Result<(), WireError> {
        if self.time.len() >= SPANS_MAX {
            self.notes.reject("log record rejected: too many in one request");
            return Ok(());
        }
        let (trace_id, span_id) = (TraceId::from_wire(record.trace_id), SpanId::from_wire(record.span_id));
        if (trace_id.is_none() && !record.trace_id.is_empty())
            || (span_id.is_none() && !record.span_id.is_empty())
        {
            self.notes.warn("log record with an invalid trace or span id: taken for none");
        }
        let time = match (record.time, record.observed) {
            (0, 0) => self.ingest,
            (0, observed) => UnixNanos::from_wire(observed),
            (time, _) => UnixNanos::from_wire(time),
        };
        let named = record.attributes.iter().find(|(key, _)| key == "event.name");
        let event_name = match named {
            Some((_, Any::Str(name))) if record.event_name.is_empty() => name,
            _ => record.event_name,
        };
        let event_name = text(event_name, &mut self.notes);
        if event_name == verdict::EVENT_NAME {
            let target = Target { trace_id, span_id, scope: &scope.name, judged: time };
            match evaluations::of_event(&record.attributes, target) {
                Some(verdict) => self.verdicts.push(verdict),
                None => self
                    .notes
                    .warn("evaluation event without gen_ai.evaluation.name: kept as a log record only"),
            }
        }
        let row = self.time.len();
        self.time.push(time.0);
        self.observed.push((record.observed != 0).then(|| UnixNanos::from_wire(record.observed).0));
        self.trace_id.append_option(trace_id.map(|id| id.to_string()));
        self.span_id.append_option(span_id.map(|id| id.to_string()));
        self.severity_number.push(Some(record.severity_number).filter(|n| *n > 0));
        self.severity_text.push_some(text(record.severity_text, &mut self.notes));
        self.event_name.push_some(event_name);
        let body = record.body.map(|b| b.text(&mut self.notes)).transpose()?.flatten();
        self.body.append_option(body);
        self.body_type.push(match record.body {
            None | Some(Any::Str(_)) => None,
            Some(Any::Bool(_)) => Some(Cow::Borrowed("b")),
            Some(Any::Int(_)) => Some(Cow::Borrowed("i")),
            Some(Any::Double(_)) => Some(Cow::Borrowed("d")),
            Some(Any::Bytes(_)) => Some(Cow::Borrowed("y")),
            Some(Any::Empty) => Some(Cow::Borrowed("n")),
            Some(Any::Array(_) | Any::Map(_)) => Some(Cow::Borrowed("j")),
        });
        self.service.push(Some(resource.name.clone()));
        self.scope.push(Some(scope.name.clone()));
        self.scope_version.push_some(scope.version.clone());
        let mut lost = record.above_bound + resource.dropped + scope.dropped;
        for (key, value) in &record.attributes {
            match value.text(&mut self.notes)? {
                Some(value_text) => self.attributes.entry(key, &value_text, value.type_char()),
                None => lost += 1,
            }
        }
        self.attributes.end(row);
        for (shared, into) in [(resource, &mut self.resource_attributes), (scope, &mut self.scope_attributes)]
        {
            shared.attributes.iter().for_each(|(key, text, type_char)| into.entry(key, text, *type_char));
            into.end(row);
        }
        let dropped = record.dropped.saturating_add(lost);
        self.flags.push((record.flags != 0).then_some(record.flags as i32));
        self.dropped.push((dropped != 0).then(|| i32::try_from(dropped).unwrap_or(i32::MAX)));
        Ok(())
    }

    fn finish(mut self, meta: &RecordMeta) -> Result<Decoded, DecodeError> {
        let rows = self.time.len();
        let maps = [&self.attributes, &self.resource_attributes, &self.scope_attributes];
        if maps.iter().any(|m| m.overflowed) {
            self.notes.warn(TOO_MUCH);
        }
        let mut decoded =
            Decoded { rejected: self.notes.rejected, message: self.notes.message(), ..Decoded::default() };
        if rows == 0 {
            return Ok(decoded);
        }
        let mut tenant = KeywordBuilder::default();
        (0..rows).for_each(|_| tenant.push_str(meta.tenant.as_str()));
        let micros: Vec<i64> = self.time.iter().map(|n| UnixNanos(*n).micros()).collect();
        let mut columns: Vec<ArrayRef> = vec![
            tenant.finish(rows),
            Arc::new(Int64Array::from(self.time)),
            Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC")),
            Arc::new(Int64Array::from(self.observed)),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            Arc::new(Int32Array::from(self.severity_number)),
            self.severity_text.finish(rows),
            self.event_name.finish(rows),
            Arc::new(self.body.finish()),
            self.body_type.finish(rows),
            self.service.finish(rows),
            self.scope.finish(rows),
            self.scope_version.finish(rows),
        ];
        for remainder in [self.attributes, self.resource_attributes, self.scope_attributes] {
            let (map, types) = remainder.finish(rows);
            columns.extend([map, types.finish(rows)]);
        }
        columns.push(Arc::new(Int32Array::from(self.flags)));
        columns.push(Arc::new(Int32Array::from(self.dropped)));
        columns.push(Arc::new(Int64Array::from_value(meta.ingest.0, rows)));
        decoded.batches.push((Table::LogRecords, super::batch(Table::LogRecords, columns)?));
        if let Some(batch) = self.verdicts.finish(meta, "otlp_log")? {
            decoded.batches.push((Table::Verdicts, batch));
        }
        Ok(decoded)
    }
}
