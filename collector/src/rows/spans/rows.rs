//! The columns of `spans` under construction.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Int32Type};
use plimsoll_schemas::emitters::Said;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{SpanId, TraceId, UnixNanos};
use plimsoll_store::{DecodeError, Decoded, KeywordBuilder, Numbers, RecordMeta, TextBuilder};
use rustc_hash::FxHashSet;

use super::TOO_MUCH;
use crate::rows::columns::{Nulls, Promoted, Remainder};
use crate::rows::items::{Events, Links};
use crate::rows::keys::Keys;
use crate::rows::notes::Notes;
use crate::rows::verdicts::Verdicts;

pub struct Rows<'a> {
    pub notes: Notes,
    pub seen: FxHashSet<(TraceId, SpanId)>,
    pub keys: Vec<(TraceId, SpanId)>,
    pub trace_id: TextBuilder,
    pub span_id: TextBuilder,
    pub parent: TextBuilder,
    pub start: Vec<i64>,
    pub duration: Vec<i64>,
    pub name: KeywordBuilder<'a>,
    pub kind: KeywordBuilder<'a>,
    pub status_code: KeywordBuilder<'a>,
    pub status_message: KeywordBuilder<'a>,
    pub service: KeywordBuilder<'a>,
    pub scope: KeywordBuilder<'a>,
    pub scope_version: KeywordBuilder<'a>,
    pub trace_state: KeywordBuilder<'a>,
    pub flags: Numbers<Int32Type>,
    pub promoted: Promoted<'a>,
    pub known_keys: Keys<'a>,
    pub attributes: Remainder,
    /// What the emitter said in other words, and which columns came of it.
    pub said: Said<'a>,
    pub normalized: KeywordBuilder<'a>,
    pub resource_attributes: Remainder,
    pub scope_attributes: Remainder,
    pub resource_schema_url: KeywordBuilder<'a>,
    pub scope_schema_url: KeywordBuilder<'a>,
    pub events: Events,
    pub links: Links,
    pub dropped: [Numbers<Int32Type>; 3],
    pub verdicts: Verdicts,
}

impl<'a> Rows<'a> {
    pub fn new(bytes: usize) -> Self {
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
            flags: Numbers::with_capacity(spans),
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
            dropped: [const { Numbers::with_capacity(0) }; 3],
            verdicts: Verdicts::default(),
        }
    }

    pub fn finish(mut self, meta: &RecordMeta) -> Result<Decoded, DecodeError> {
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
            self.flags.finish(rows, |array| array),
        ];
        // The derived columns, which settling fills in.
        columns.extend((0..5).map(|_| nulls.of(&keyword)));
        columns.extend([nulls.of(&DataType::Int64), nulls.of(&keyword), nulls.of(&DataType::Int32)]);
        columns.extend(self.promoted.finish(rows, &mut nulls));
        let mut normalized = Some(self.normalized.finish(rows));
        for remainder in [self.attributes, self.resource_attributes, self.scope_attributes] {
            let (map, types) = remainder.finish(rows);
            columns.extend([map, types.finish(rows)]);
            columns.extend(normalized.take());
        }
        columns.extend([self.resource_schema_url.finish(rows), self.scope_schema_url.finish(rows)]);
        columns.extend([self.events.finish(rows), self.links.finish(rows)]);
        columns.extend(self.dropped.map(|n| n.finish(rows, |array| array)));
        columns.push(Arc::new(Int64Array::from_value(meta.ingest.0, rows)));
        decoded.batches.push((Table::Spans, crate::rows::batch(Table::Spans, columns)?));
        decoded.span_keys = self.keys;
        if let Some(batch) = self.verdicts.finish(meta, "otlp_span")? {
            decoded.batches.push((Table::Verdicts, batch));
        }
        Ok(decoded)
    }
}
