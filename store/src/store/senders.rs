//! Senders of other traces: a consumer may begin a trace of its own, with a link to whoever sent its work. When that was is
//! looked up here, since the analysis sees one trace at a time. A consumer whose sender is not here yet is settled again once the sender is.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Rules, Span, SpanId, TraceId, UnixNanos};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Inner;
use crate::error::StoreError;
use crate::file_list::FileList;
use crate::lake::read_traces;
use crate::rows::SpanRows;
use crate::tail::Chunk;

/// A span of a tenant's.
type Key = (String, TraceId, SpanId);

/// What consumers among some rows know of their senders.
#[derive(Debug, Default)]
pub struct Senders {
    /// When those that are here handed their work over.
    sent: FxHashMap<Key, UnixNanos>,
    /// Traces of those that are not, and by which trace each is asked for.
    absent: Vec<(String, TraceId, TraceId)>,
}

/// Consumers' traces that settled before their senders came. Not kept over a restart, and the eldest are forgotten first: many a
/// link's other end is never sent here.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    by_sender: FxHashMap<(String, TraceId), Vec<TraceId>>,
    order: VecDeque<(String, TraceId)>,
}

/// A few megabytes.
const AWAITED_MAX: usize = 1 << 16;
/// A fan-out of one sender.
const CONSUMERS_MAX: usize = 1 << 10;

impl Awaited {
    pub fn add(&mut self, senders: &Senders) {
        for (tenant, sender, consumer) in &senders.absent {
            let key = (tenant.clone(), *sender);
            let consumers = self.by_sender.entry(key).or_insert_with_key(|key| {
                self.order.push_back(key.clone());
                Vec::new()
            });
            if consumers.len() < CONSUMERS_MAX && !consumers.contains(consumer) {
                consumers.push(*consumer);
            }
        }
        while self.order.len() > AWAITED_MAX {
            self.order.pop_front().map(|eldest| self.by_sender.remove(&eldest));
        }
    }

    /// The traces that asked for a trace that is here now.
    pub fn take(&mut self, tenant: &str, sender: TraceId) -> Vec<TraceId> {
        if self.by_sender.is_empty() {
            return Vec::new();
        }
        // Its place in the order stays, and is passed over when its turn comes.
        self.by_sender.remove(&(tenant.to_owned(), sender)).unwrap_or_default()
    }
}

impl Senders {
    /// Says so on the links of a trace's spans.
    pub fn tell(&self, tenant: &str, spans: &mut [Span<'_>]) {
        if self.sent.is_empty() {
            return;
        }
        for link in spans.iter_mut().flat_map(|span| &mut span.links) {
            link.sent = self.sent.get(&(tenant.to_owned(), link.trace_id, link.span_id)).copied();
        }
    }

    fn note(&mut self, wanted: &FxHashSet<Key>, rows: &SpanRows<'_>, row: usize) {
        let (Some(trace_id), Some(span_id)) = (rows.trace_id(row), rows.span_id(row)) else { return };
        let key = (rows.tenant(row).to_owned(), trace_id, span_id);
        if wanted.contains(&key)
            && let Some(span) = rows.span(row).filter(Span::sends)
        {
            self.sent.insert(key, span.end());
        }
    }
}

/// Where spans lie.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub chunks: &'a [Arc<Chunk>],
    pub files: &'a FileList,
}

impl Inner {
    /// The senders that consumers among these rows link to.
    pub(super) fn senders<'r>(
        &self,
        rows: impl Iterator<Item = (&'r SpanRows<'r>, usize)>,
        places: Places<'_>,
    ) -> Result<Senders, StoreError> {
        let mut links: Vec<(Key, TraceId)> = Vec::new();
        for (rows, row) in rows {
            let linked = rows.linked(row);
            if linked.is_empty() {
                continue;
            }
            let (tenant, Some(own)) = (rows.tenant(row), rows.trace_id(row)) else { continue };
            let linked = linked.into_iter();
            links.extend(linked.map(|(trace, span)| ((tenant.to_owned(), trace, span), own)));
        }
        let mut senders = Senders::default();
        if links.is_empty() {
            return Ok(senders);
        }
        let wanted: FxHashSet<Key> = links.iter().map(|(key, _)| key.clone()).collect();
        let traces: FxHashSet<TraceId> = wanted.iter().map(|(_, trace, _)| *trace).collect();
        let rules = &self.options.rules;
        for chunk in places.chunks {
            let found = chunk.keys.iter().enumerate().filter(|(_, id)| traces.contains(id));
            let found: Vec<usize> = found.map(|(row, _)| row).collect();
            if !found.is_empty() {
                let rows = SpanRows::new(&chunk.batch, rules)?;
                found.into_iter().for_each(|row| senders.note(&wanted, &rows, row));
            }
        }
        self.senders_in_files(&wanted, rules, places, &mut senders)?;
        links.retain(|(key, _)| !senders.sent.contains_key(key));
        senders.absent = links.into_iter().map(|((tenant, sender, _), own)| (tenant, sender, own)).collect();
        Ok(senders)
    }

    fn senders_in_files(
        &self,
        wanted: &FxHashSet<Key>,
        rules: &Rules,
        places: Places<'_>,
        senders: &mut Senders,
    ) -> Result<(), StoreError> {
        let missing = wanted.iter().filter(|key| !senders.sent.contains_key(*key));
        let missing: FxHashSet<TraceId> = missing.map(|(_, trace, _)| *trace).collect();
        let missing: Vec<TraceId> = missing.into_iter().collect();
        for file in places.files.that_may_hold(&missing) {
            let ids = self.damaged.done_without(file, file.held(missing.iter()))?.unwrap_or_default();
            if ids.is_empty() {
                continue;
            }
            for batch in self.damaged.done_without(file, read_traces(file, &ids, None))?.unwrap_or_default() {
                let rows = SpanRows::new(&batch, rules)?;
                (0..rows.len()).for_each(|row| senders.note(wanted, &rows, row));
            }
        }
        Ok(())
    }

    /// For the spans of a trace that was looked up.
    pub(super) fn senders_of(&self, batches: &[RecordBatch]) -> Result<Senders, StoreError> {
        let (chunks, files) = {
            let state = self.state.lock();
            let spans = &state.tables[Table::Spans as usize];
            (state.tail.chunks(Table::Spans).to_vec(), spans.files.clone())
        };
        let rules = &self.options.rules;
        let rows = batches.iter().map(|b| SpanRows::new(b, rules)).collect::<Result<Vec<_>, _>>()?;
        let all = rows.iter().flat_map(|rows| (0..rows.len()).map(move |row| (rows, row)));
        self.senders(all, Places { chunks: &chunks, files: &files })
    }
}
