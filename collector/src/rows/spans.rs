//! `ExportTraceServiceRequest` → rows of `spans`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::DataType;
use plimsoll_schemas::emitters::{About, Said};
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Attr, SpanId, SpanKind, StatusCode, TraceId, UnixNanos, Value};
use plimsoll_store::{DecodeError, Decoded, KeywordBuilder, RecordMeta, TextBuilder};
use rustc_hash::FxHashSet;

use super::columns::{Nulls, Promoted, Remainder};
use super::evaluations::{self, Listed, Target};
use super::fields::SpanFields;
use super::items::{Evaluation, Events, Links};
use super::keys::Keys;
use super::notes::Notes;
use super::value::{Any, key_value, text};
use super::verdicts::Verdicts;
use crate::limits::{ATTRIBUTES_MAX, SPANS_MAX};
use crate::wire::{Field, Reader, WireError};

pub const UNKNOWN_SERVICE: &str = "unknown_service";

pub fn decode(meta: &RecordMeta, payload: &[u8]) -> Result<Decoded, DecodeError> {
    let mut rows = Rows::new(payload.len());
    rows.request(payload).map_err(|e| DecodeError(format!("not an OTLP trace request: {e}")))?;
    rows.finish(meta)
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

struct Rows<'a> {
    notes: Notes,
    seen: FxHashSet<(TraceId, SpanId)>,
    keys: Vec<(TraceId, SpanId)>,
    trace_id: TextBuilder,
    span_id: TextBuilder,
    parent: TextBuilder,
    start: Vec<i64>,
    duration: Vec<i64>,
    name: KeywordBuilder<'a>,
    kind: KeywordBuilder<'a>,
    status_code: KeywordBuilder<'a>,
    status_message: KeywordBuilder<'a>,
    service: KeywordBuilder<'a>,
    scope: KeywordBuilder<'a>,
    scope_version: KeywordBuilder<'a>,
    trace_state: KeywordBuilder<'a>,
    flags: Vec<Option<i32>>,
    promoted: Promoted<'a>,
    known_keys: Keys<'a>,
    attributes: Remainder,
    /// What the emitter said in other words, and which columns came of it.
    said: Said<'a>,
    normalized: KeywordBuilder<'a>,
    resource_attributes: Remainder,
    scope_attributes: Remainder,
    resource_schema_url: KeywordBuilder<'a>,
    scope_schema_url: KeywordBuilder<'a>,
    events: Events,
    links: Links,
    dropped: [Vec<Option<i32>>; 3],
    verdicts: Verdicts,
}

impl<'a> Rows<'a> {
    fn new(bytes: usize) -> Self {
        // About as many spans as bytes suggest: a span takes some 400.
        let spans = bytes / 400 + 1;
        Self {
            notes: Notes::default(),
            seen: FxHashSet::with_capacity_and_hasher(spans, Default::default()),
            keys: Vec::with_capacity(spans),
            trace_id: TextBuilder::with_capacity(spans, TraceId::HEX_DIGITS),
            span_id: TextBuilder::with_capacity(spans, SpanId::HEX_DIGITS),
            parent: TextBuilder::with_capacity(spans, SpanId::HEX_DIGITS),
            start: Vec::with_capacity(spans),
            duration: Vec::with_capacity(spans),
            name: KeywordBuilder::with_capacity(spans),
            kind: KeywordBuilder::with_capacity(spans),
            status_code: KeywordBuilder::with_capacity(spans),
            status_message: KeywordBuilder::default(),
            service: KeywordBuilder::default(),
            scope: KeywordBuilder::default(),
            scope_version: KeywordBuilder::default(),
            trace_state: KeywordBuilder::default(),
            flags: Vec::with_capacity(spans),
            promoted: Promoted::with_capacity(spans),
            known_keys: Keys::default(),
            attributes: Remainder::default(),
            said: Said::default(),
            normalized: KeywordBuilder::with_capacity(spans),
            resource_attributes: Remainder::default(),
            scope_attributes: Remainder::default(),
            resource_schema_url: KeywordBuilder::default(),
            scope_schema_url: KeywordBuilder::default(),
            events: Events::default(),
            links: Links::default(),
            dropped: Default::default(),
            verdicts: Verdicts::default(),
        }
    }

    fn request(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            if let (1, Field::Bytes(resource_spans)) = (number, field) {
                self.resource_spans(resource_spans)?;
            }
        }
        Ok(())
    }

    fn resource_spans(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut resource = Shared { service: Cow::Borrowed(UNKNOWN_SERVICE), ..Shared::default() };
        let mut scopes = Vec::new();
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match (number, field) {
                (1, Field::Bytes(message)) => self.resource(message, &mut resource)?,
                (2, Field::Bytes(scope_spans)) => scopes.push(scope_spans),
                (3, Field::Bytes(url)) => resource.schema_url = text(url, &mut self.notes),
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
            let (1, Field::Bytes(entry)) = (number, field) else { continue };
            let (key, value) = key_value(entry)?;
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
            match (number, field) {
                (1, Field::Bytes(message)) => self.scope(message, &mut scope)?,
                (2, Field::Bytes(span)) => spans.push(span),
                (3, Field::Bytes(url)) => scope.schema_url = text(url, &mut self.notes),
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
            match (number, field) {
                (1, Field::Bytes(name)) => scope.name = text(name, &mut self.notes),
                (2, Field::Bytes(version)) => scope.version = text(version, &mut self.notes),
                (3, Field::Bytes(entry)) => {
                    let (key, value) = key_value(entry)?;
                    let key = text(key, &mut self.notes);
                    self.shared_entry(key, value, scope)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn span(
        &mut self,
        span: &SpanFields<'a>,
        resource: &Shared<'a>,
        scope: &Shared<'a>,
    ) -> Result<(), WireError> {
        let Some(trace_id) = TraceId::from_wire(span.trace_id) else {
            self.notes.reject("span rejected: its trace id is not 16 bytes, or all zero");
            return Ok(());
        };
        let Some(span_id) = SpanId::from_wire(span.span_id) else {
            self.notes.reject("span rejected: its span id is not 8 bytes, or all zero");
            return Ok(());
        };
        if self.keys.len() >= SPANS_MAX {
            self.notes.reject("span rejected: too many in one request");
            return Ok(());
        }
        if !self.seen.insert((trace_id, span_id)) {
            self.notes.warn("span that is in the request twice: kept once");
            return Ok(());
        }
        let row = self.keys.len();
        self.keys.push((trace_id, span_id));
        self.trace_id.push(&trace_id.hex());
        self.span_id.push(&span_id.hex());
        match SpanId::from_wire(span.parent) {
            Some(parent) => self.parent.push(&parent.hex()),
            None => {
                if !span.parent.is_empty() && span.parent != [0; 8] {
                    self.notes.warn("parent span id that is not 8 bytes: taken for none");
                }
                self.parent.push_null();
            }
        }
        let (start, end) = (UnixNanos::from_wire(span.start), UnixNanos::from_wire(span.end));
        if end < start {
            self.notes.warn("span that ends before it starts: kept as sent");
        }
        self.start.push(start.0);
        self.duration.push((end - start).0);
        let name_number = self.name.put(row, span.name, || text(span.name, &mut self.notes));
        self.kind.push_str(SpanKind::from_wire(span.kind).as_str());
        self.status_code.push_str(StatusCode::from_wire(span.status_code).as_str());
        self.status_message.push_some(text(span.status_message, &mut self.notes));
        self.trace_state.push_some(text(span.trace_state, &mut self.notes));
        self.flags.push((span.flags != 0).then_some(span.flags as i32));
        for (remainder, shared) in
            [(&mut self.resource_attributes, resource), (&mut self.scope_attributes, scope)]
        {
            for (key, value, type_char) in &shared.remainder {
                remainder.entry(key, value, *type_char);
            }
            remainder.end();
        }
        let [mut dropped, mut dropped_events, mut dropped_links] = span.dropped;
        let mut listed = Listed::default();
        dropped += self.span_attributes(span, row, name_number, &mut listed)?;
        let name = std::str::from_utf8(span.name).unwrap_or_default();
        let scope_name = match &scope.name {
            Cow::Borrowed(name) => name,
            Cow::Owned(_) => "",
        };
        self.normalize(row, About { scope: scope_name, name });
        self.attributes.end();
        let mut evaluations = Vec::new();
        dropped_events += self.events.push(&span.events, &mut self.notes, &mut evaluations)?;
        let target =
            Target { trace_id: Some(trace_id), span_id: Some(span_id), scope: &scope.name, judged: end };
        for verdict in listed.verdicts(target, || session_of(span)) {
            self.verdicts.push(verdict);
        }
        for Evaluation { time, entries } in evaluations {
            let mut attributes = Vec::with_capacity(entries.len());
            for entry in entries {
                let (key, value) = key_value(entry)?;
                attributes.push((text(key, &mut self.notes), value));
            }
            let judged = if time.0 > 0 { time } else { end };
            match evaluations::of_event(&attributes, Target { judged, ..target }) {
                Some(verdict) => self.verdicts.push(verdict),
                None => {
                    self.notes.warn("evaluation event without gen_ai.evaluation.name: kept as an event only")
                }
            }
        }
        dropped_links += self.links.push(&span.links, &mut self.notes)?;
        for (column, n) in self.dropped.iter_mut().zip([dropped, dropped_events, dropped_links]) {
            column.push((n > 0).then(|| i32::try_from(n).unwrap_or(i32::MAX)));
        }
        Ok(())
    }

    /// Answers how many could not be kept.
    fn span_attributes(
        &mut self,
        span: &SpanFields<'a>,
        row: usize,
        name_number: usize,
        listed: &mut Listed<'a>,
    ) -> Result<u32, WireError> {
        let mut dropped = 0;
        let mut has_operation = false;
        for (i, entry) in span.attributes.iter().enumerate() {
            let (key, value) = key_value(entry)?;
            if i >= ATTRIBUTES_MAX {
                dropped += 1;
                continue;
            }
            if let Some(known) = self.known_keys.get(name_number, i, key) {
                if known.column == Some(Attr::GenAiOperationName) {
                    let word = said(value).filter(|v| matches!(v, Value::Str(word) if !word.is_empty()));
                    // Its column waits for what the span as a whole amounts to; a second one is kept as it is.
                    if word.is_some() && !std::mem::replace(&mut has_operation, true) {
                        self.said.note(known, false, || word);
                        continue;
                    }
                } else {
                    let put = |attr| self.promoted.put(row, attr, value, &mut self.notes);
                    let is_kept = known.column.is_some_and(put);
                    self.said.note(known, is_kept, || said(value));
                    if is_kept {
                        continue;
                    }
                }
            }
            let key = text(key, &mut self.notes);
            listed.note(&key, value);
            match value.text(&mut self.notes)? {
                Some(value_text) => self.attributes.entry(&key, &value_text, value.type_char()),
                None => {
                    dropped += 1;
                }
            }
        }
        Ok(dropped)
    }

    /// Puts what the span says in other words than the conventions' into the conventions' columns.
    fn normalize(&mut self, row: usize, about: About<'a>) {
        let mut said = std::mem::take(&mut self.said);
        let (promoted, notes) = (&mut self.promoted, &mut self.notes);
        let aside = said.resolve(about, |attr, value| {
            let value = match value {
                Value::Str(text) => Any::Str(text.as_bytes()),
                Value::Int(n) => Any::Int(n),
                Value::Double(x) => Any::Double(x),
                Value::Bool(b) => Any::Bool(b),
            };
            promoted.put(row, attr, value, notes)
        });
        if let Some(operation) = aside {
            self.attributes.entry(Attr::GenAiOperationName.info().name, operation, 's');
        }
        match said.added() {
            [] => self.normalized.push(None),
            [attr] => self.normalized.push_str(attr.info().name),
            several => {
                let names: Vec<&str> = several.iter().map(|attr| attr.info().name).collect();
                self.normalized.push_copy(&names.join(","));
            }
        }
        said.clear();
        self.said = said;
    }

    fn finish(mut self, meta: &RecordMeta) -> Result<Decoded, DecodeError> {
        let rows = self.keys.len();
        let maps = [&self.attributes, &self.resource_attributes, &self.scope_attributes];
        if maps.iter().any(|m| m.overflowed) {
            self.notes.warn(TOO_MUCH);
        }
        let mut decoded =
            Decoded { rejected: self.notes.rejected, message: self.notes.message(), ..Decoded::default() };
        if rows == 0 {
            return Ok(decoded);
        }
        let mut nulls = Nulls::new(rows);
        let keyword = plimsoll_schemas::table::keyword();
        let mut tenant = KeywordBuilder::default();
        tenant.fill(0..rows, meta.tenant.as_str().into());
        let start = Int64Array::from(self.start);
        let micros: Vec<i64> = start.values().iter().map(|n| UnixNanos(*n).micros()).collect();
        let mut columns: Vec<ArrayRef> = vec![
            tenant.finish(rows),
            self.trace_id.finish(),
            self.span_id.finish(),
            self.parent.finish(),
            Arc::new(start),
            Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC")),
            Arc::new(Int64Array::from(self.duration)),
            self.name.finish(rows),
            self.kind.finish(rows),
            self.status_code.finish(rows),
            self.status_message.finish(rows),
            self.service.finish(rows),
            self.scope.finish(rows),
            self.scope_version.finish(rows),
            self.trace_state.finish(rows),
            Arc::new(Int32Array::from(self.flags)),
        ];
        // The derived columns, which settling fills in.
        columns.extend((0..5).map(|_| nulls.of(&keyword)));
        columns.extend([nulls.of(&DataType::Int64), nulls.of(&keyword), nulls.of(&DataType::Int32)]);
        columns.extend(self.promoted.finish(rows, &mut nulls));
        let mut normalized = Some(self.normalized.finish(rows));
        for remainder in [self.attributes, self.resource_attributes, self.scope_attributes] {
            let (map, types) = remainder.finish();
            columns.extend([map, types.finish(rows)]);
            columns.extend(normalized.take());
        }
        columns.extend([self.resource_schema_url.finish(rows), self.scope_schema_url.finish(rows)]);
        columns.extend([self.events.finish(), self.links.finish()]);
        columns.extend(self.dropped.map(|n| Arc::new(Int32Array::from(n)) as ArrayRef));
        columns.push(Arc::new(Int64Array::from_value(meta.ingest.0, rows)));
        decoded.batches.push((Table::Spans, super::batch(Table::Spans, columns)?));
        decoded.span_keys = self.keys;
        if let Some(batch) = self.verdicts.finish(meta, "otlp_span")? {
            decoded.batches.push((Table::Verdicts, batch));
        }
        Ok(decoded)
    }
}

pub const TOO_MANY: &str = "attributes of a resource or scope above the limit: dropped";
pub const TOO_MUCH: &str = "request whose attributes take more than 512 MiB in rows: those above it dropped";

/// The session that a span names.
fn session_of(span: &SpanFields<'_>) -> Option<String> {
    let entries = span.attributes.iter().filter_map(|entry| key_value(entry).ok());
    let sessions = entries.filter(|(key, _)| matches!(*key, b"session.id" | b"gen_ai.conversation.id"));
    sessions.into_iter().find_map(|(_, value)| match value {
        Any::Str(id) if !id.is_empty() => Some(text(id, &mut Notes::default()).into_owned()),
        _ => None,
    })
}

/// A value from which something may be read; lists and maps are read by nobody.
fn said(value: Any<'_>) -> Option<Value<'_>> {
    Some(match value {
        Any::Str(text) => Value::Str(std::str::from_utf8(text).ok()?),
        Any::Int(n) => Value::Int(n),
        Any::Double(x) => Value::Double(x),
        Any::Bool(b) => Value::Bool(b),
        _ => return None,
    })
}

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
