//! The columns of `log_records` under construction.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringBuilder, TimestampMicrosecondArray};
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{SpanId, TraceId, UnixNanos, verdict};
use plimsoll_store::{DecodeError, Decoded, KeywordBuilder, RecordMeta};

use super::{Record, Shared};
use crate::limits::SPANS_MAX;
use crate::rows::columns::Remainder;
use crate::rows::evaluations::{self, Target};
use crate::rows::notes::Notes;
use crate::rows::spans::TOO_MUCH;
use crate::rows::value::{Any, text};
use crate::rows::verdicts::Verdicts;
use crate::wire::WireError;

#[derive(Default)]
pub struct Rows<'a> {
    pub notes: Notes,
    pub ingest: UnixNanos,
    pub time: Vec<i64>,
    pub observed: Vec<Option<i64>>,
    pub trace_id: StringBuilder,
    pub span_id: StringBuilder,
    pub severity_number: Vec<Option<i32>>,
    pub severity_text: KeywordBuilder<'a>,
    pub event_name: KeywordBuilder<'a>,
    pub body: StringBuilder,
    pub body_type: KeywordBuilder<'a>,
    pub service: KeywordBuilder<'a>,
    pub scope: KeywordBuilder<'a>,
    pub scope_version: KeywordBuilder<'a>,
    pub attributes: Remainder,
    pub resource_attributes: Remainder,
    pub scope_attributes: Remainder,
    pub flags: Vec<Option<i32>>,
    pub dropped: Vec<Option<i32>>,
    pub verdicts: Verdicts,
}

impl<'a> Rows<'a> {
    /// One log record, as one row.
    pub(super) fn record(
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

    pub fn finish(mut self, meta: &RecordMeta) -> Result<Decoded, DecodeError> {
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
        decoded.batches.push((Table::LogRecords, crate::rows::batch(Table::LogRecords, columns)?));
        if let Some(batch) = self.verdicts.finish(meta, "otlp_log")? {
            decoded.batches.push((Table::Verdicts, batch));
        }
        Ok(decoded)
    }
}
