//! One span → one row.

use std::borrow::Cow;

use plimsoll_schemas::emitters::{About, Key};
use plimsoll_schemas::{Attr, SpanId, SpanKind, StatusCode, TraceId, UnixNanos, Value};

use super::Shared;
use super::rows::Rows;
use crate::limits::{ATTRIBUTES_MAX, SPANS_MAX};
use crate::rows::columns::Promoted;
use crate::rows::evaluations::{self, Listed, Target};
use crate::rows::fields::SpanFields;
use crate::rows::items::Evaluation;
use crate::rows::notes::Notes;
use crate::rows::value::{Any, key_value, text};
use crate::wire::WireError;

impl<'a> Rows<'a> {
    pub(super) fn span(
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
        for (column, bytes) in
            [(&mut self.status_message, span.status_message), (&mut self.trace_state, span.trace_state)]
        {
            if !bytes.is_empty() {
                column.put(row, bytes, || text(bytes, &mut self.notes));
            }
        }
        if span.flags != 0 {
            self.flags.put(row, span.flags as i32);
        }
        for (remainder, shared) in
            [(&mut self.resource_attributes, resource), (&mut self.scope_attributes, scope)]
        {
            for (key, value, type_char) in &shared.remainder {
                remainder.entry(key, value, *type_char);
            }
            remainder.end(row);
        }
        let [mut dropped, mut dropped_events, mut dropped_links] = span.dropped;
        let mut listed = Listed::default();
        dropped = dropped.saturating_add(self.span_attributes(span, row, name_number, &mut listed)?);
        let name = match self.name.borrowed(name_number) {
            Some(name) if name.as_bytes() == span.name => name,
            _ => std::str::from_utf8(span.name).unwrap_or_default(),
        };
        let scope_name = match &scope.name {
            Cow::Borrowed(name) => name,
            Cow::Owned(_) => "",
        };
        self.normalize(row, About { scope: scope_name, name });
        self.attributes.end(row);
        let mut evaluations = Vec::new();
        let lost = self.events.put(row, &span.events, &mut self.notes, &mut evaluations)?;
        dropped_events = dropped_events.saturating_add(lost);
        let target =
            Target { trace_id: Some(trace_id), span_id: Some(span_id), scope: &scope.name, judged: end };
        if !listed.is_empty() {
            for verdict in listed.verdicts(target, || session_of(span)) {
                self.verdicts.push(verdict);
            }
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
        if !span.links.is_empty() {
            dropped_links =
                dropped_links.saturating_add(self.links.put(row, &span.links, &mut self.notes)?);
        }
        for (column, n) in self.dropped.iter_mut().zip([dropped, dropped_events, dropped_links]) {
            if n > 0 {
                column.put(row, i32::try_from(n).unwrap_or(i32::MAX));
            }
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
            let name = self.known_keys.get(name_number, i, key);
            if let Some(known) = name.key {
                if known.column == Some(Attr::GenAiOperationName) {
                    let word = said(value, known, &self.promoted)
                        .filter(|v| matches!(v, Value::Str(word) if !word.is_empty()));
                    // Its column waits for what the span as a whole amounts to; a second one is kept as it is.
                    if word.is_some() && !std::mem::replace(&mut has_operation, true) {
                        self.said.note(known, false, || word);
                        continue;
                    }
                } else {
                    let put = |attr| self.promoted.put(row, attr, value, &mut self.notes);
                    let is_kept = known.column.is_some_and(put);
                    self.said.note(known, is_kept, || said(value, known, &self.promoted));
                    if is_kept {
                        continue;
                    }
                }
            }
            let key = name.text.map_or_else(|| text(key, &mut self.notes), Cow::Borrowed);
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
            [] => {}
            [attr] => {
                let name = attr.info().name;
                self.normalized.put(row, name.as_bytes(), || name.into());
            }
            several => {
                let names: Vec<&str> = several.iter().map(|attr| attr.info().name).collect();
                let names = names.join(",");
                self.normalized.put(row, names.as_bytes(), || names.clone().into());
            }
        }
        said.clear();
        self.said = said;
    }
}

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
fn said<'a>(value: Any<'a>, key: &Key, promoted: &Promoted<'a>) -> Option<Value<'a>> {
    Some(match value {
        // What its column has is known to be text.
        Any::Str(bytes) => Value::Str(match key.column.and_then(|attr| promoted.last(attr)) {
            Some(text) if text.as_bytes() == bytes => text,
            _ => std::str::from_utf8(bytes).ok()?,
        }),
        Any::Int(n) => Value::Int(n),
        Any::Double(x) => Value::Double(x),
        Any::Bool(b) => Value::Bool(b),
        _ => return None,
    })
}
