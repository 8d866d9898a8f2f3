//! Restating: what is derived of a span is of its whole trace, and a late span, or the sender of its work, may come when the others
//! were merged long ago. Whenever a trace settles again, its merged rows are compared with what is derived of them now; a
//! file of which rows say something else is *behind*, and written again with these rows as they are now, in their slices.
//!
//! Writing a large file again for a few rows is dear, so that a pass restates no more than a part of what it merges, the smallest files
//! first. Files that go up a level are restated on the way; a large file of a day that is over once nothing else is written into it.
//! A trace is remembered until nothing of it is behind, over restarts too (see `pending.rs`).

use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::compute::kernels::cmp::distinct;
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::slice::SLUG_OVERFLOW;
use plimsoll_schemas::table::{SPAN_DERIVED_COLUMNS, Table};
use plimsoll_schemas::{Tenant, TraceId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Inner;
use super::merge::QUIET;
use super::settle::TRACES_PER_PASS;
use crate::derive::derive;
use crate::error::StoreError;
use crate::lake::{first_rows, now, read_traces};
use crate::nulls::filter;
use crate::rows::SpanRows;
use crate::snapshot::DataFile;

/// Of the rows that a pass merges, how many it restates: one in so many.
const MERGED_PER_RESTATED: u64 = 4;
/// Rows that a pass restates anyway: half a megabyte.
const ROWS_ALWAYS: u64 = 16_384;

type Key = (Tenant, TraceId);

/// What is to be compared, and what is behind.
#[derive(Debug, Default)]
pub struct Restating {
    /// Traces that are to be looked at, each with the number of the asking.
    asked: FxHashMap<Key, u64>,
    asks: u64,
    /// By path, files some of whose rows say what is derived no more, and of which traces these are.
    behind: FxHashMap<String, FxHashSet<Key>>,
}

impl Restating {
    pub fn ask(&mut self, traces: impl IntoIterator<Item = Key>) {
        for trace in traces {
            self.asks += 1;
            self.asked.insert(trace, self.asks);
        }
    }

    /// These files are no more: their traces are looked at again, wherever their rows are now.
    pub fn replaced<'f>(&mut self, paths: impl Iterator<Item = &'f str>) {
        for path in paths {
            if let Some(traces) = self.behind.remove(path) {
                self.ask(traces);
            }
        }
    }

    /// Every trace that is remembered, some more than once.
    pub fn traces(&self) -> impl Iterator<Item = (&Tenant, TraceId)> {
        let behind = self.behind.values().flatten();
        self.asked.keys().chain(behind).map(|(tenant, trace_id)| (tenant, *trace_id))
    }

    /// Traces that are asked for: spans of theirs may lie anywhere.
    pub fn asked(&self) -> FxHashSet<TraceId> {
        self.asked.keys().map(|(_, trace_id)| *trace_id).collect()
    }

    /// Traces of which these files are behind.
    pub fn behind(&self, files: &[Arc<DataFile>]) -> FxHashSet<TraceId> {
        let of = files.iter().filter_map(|file| self.behind.get(&file.path)).flatten();
        of.map(|(_, trace_id)| *trace_id).collect()
    }
}

/// One pass of restating.
#[derive(Debug)]
pub struct Pass {
    /// Rows that may still be restated.
    rows: u64,
    /// What was looked at and has rows yet that are not merged, by the number of its asking.
    waits: FxHashMap<Key, u64>,
}

impl Pass {
    /// After so many rows were merged.
    pub fn after(merged_rows: u64) -> Self {
        let rows = (merged_rows / MERGED_PER_RESTATED).max(ROWS_ALWAYS);
        Self { rows, waits: FxHashMap::default() }
    }
}

/// Where the rows of some traces lie.
struct Found {
    /// In files that were merged, each batch with its file.
    merged: Vec<RecordBatch>,
    files: Vec<Arc<DataFile>>,
    /// Elsewhere.
    others: Vec<RecordBatch>,
    /// Traces of those.
    wait: FxHashSet<TraceId>,
}

impl Inner {
    /// Looks at every trace that is asked for and is settled, and notes the files that are behind.
    pub(super) fn find_behind(&self, pass: &mut Pass) -> Result<(), StoreError> {
        loop {
            let some: Vec<(Key, u64)> = {
                let (state, restating) = (self.state.lock(), self.restating.lock());
                let is_due = |(key, ask): &(&Key, &u64)| {
                    pass.waits.get(*key) != Some(*ask) && !state.tail.traces.is_unsettled(&key.0, key.1)
                };
                let due = restating.asked.iter().filter(is_due).take(TRACES_PER_PASS);
                due.map(|(key, ask)| (key.clone(), *ask)).collect()
            };
            if some.is_empty() {
                return Ok(());
            }
            let found = self.rows_of(&some.iter().map(|((_, id), _)| *id).collect())?;
            let behind = self.other_than_derived(&found)?;
            let mut restating = self.restating.lock();
            for (path, traces) in behind {
                restating.behind.entry(path).or_default().extend(traces);
            }
            for (key, ask) in some {
                if found.wait.contains(&key.1) {
                    pass.waits.insert(key, ask);
                } else if restating.asked.get(&key) == Some(&ask) {
                    restating.asked.remove(&key);
                }
            }
        }
    }

    /// The next file that is to be restated in this pass.
    pub(super) fn next_behind(&self, pass: &mut Pass) -> Option<Arc<DataFile>> {
        let now = now();
        let (state, restating) = (self.state.lock(), self.restating.lock());
        let files = &state.tables[Table::Spans as usize].files;
        let mut behind: Vec<_> = files
            .iter()
            .filter(|file| restating.behind.contains_key(&file.path) && !self.damaged.has(file))
            .collect();
        behind.sort_by_key(|file| file.rows);
        let is_quiet =
            |file: &DataFile| file.day < now.day() && now.0 - file.modified.0 > QUIET.as_nanos() as i64;
        let next = behind.into_iter().find(|file| file.rows <= pass.rows || is_quiet(file))?;
        pass.rows = pass.rows.saturating_sub(next.rows);
        Some(next.clone())
    }

    fn rows_of(&self, ids: &FxHashSet<TraceId>) -> Result<Found, StoreError> {
        let (files, chunks) = {
            let state = self.state.lock();
            let spans = &state.tables[Table::Spans as usize];
            (spans.files.clone(), state.tail.chunks(Table::Spans).to_vec())
        };
        let mut found =
            Found { merged: Vec::new(), files: Vec::new(), others: Vec::new(), wait: FxHashSet::default() };
        for chunk in chunks {
            let mask: Vec<bool> = chunk.keys.iter().map(|id| ids.contains(id)).collect();
            if mask.contains(&true) {
                found.wait.extend(chunk.keys.iter().filter(|id| ids.contains(id)));
                found.others.push(filtered(&chunk.batch, mask)?);
            }
        }
        for file in files.iter() {
            let here = self.damaged.done_without(file, file.held(ids.iter()))?.unwrap_or_default();
            if here.is_empty() {
                continue;
            }
            for batch in self.damaged.done_without(file, read_traces(file, &here, None))?.unwrap_or_default()
            {
                if file.is_recent() {
                    let rows = SpanRows::new(&batch, &self.options.rules)?;
                    found.wait.extend((0..rows.len()).filter_map(|row| rows.trace_id(row)));
                    found.others.push(batch);
                } else {
                    found.merged.push(batch);
                    found.files.push(file.clone());
                }
            }
        }
        Ok(found)
    }

    /// The files of which rows say something else than what is derived of them, and the traces of those rows.
    fn other_than_derived(&self, found: &Found) -> Result<FxHashMap<String, FxHashSet<Key>>, StoreError> {
        let mut behind: FxHashMap<String, FxHashSet<Key>> = FxHashMap::default();
        if found.merged.is_empty() {
            return Ok(behind);
        }
        let senders = self.senders_of(&found.merged)?;
        let derivation = derive(&found.merged, &found.others, &senders, &self.options.rules)?;
        let first = first_rows(&found.merged);
        // Where no slug is, the span lies in another file too, and counts there.
        let mut slugs: Vec<Option<&str>> = vec![None; found.merged.iter().map(RecordBatch::num_rows).sum()];
        for (slug, rows) in &derivation.partitions {
            rows.iter().for_each(|row| slugs[*row as usize] = Some(slug));
        }
        for (i, (old, new)) in found.merged.iter().zip(&derivation.batches).enumerate() {
            let differs = differs(old, new)?;
            let rows = SpanRows::new(old, &self.options.rules)?;
            let file = &found.files[i];
            for row in 0..rows.len() {
                let Some(slug) = slugs[first[i] as usize + row] else { continue };
                let is_elsewhere = ![Some(slug), Some(SLUG_OVERFLOW)].contains(&file.slice.as_deref());
                if (differs[row] || is_elsewhere)
                    && let (Ok(tenant), Some(id)) = (Tenant::new(rows.tenant(row)), rows.trace_id(row))
                {
                    behind.entry(file.path.clone()).or_default().insert((tenant, id));
                }
            }
        }
        Ok(behind)
    }
}

/// Of each row, whether any derived column has another value.
fn differs(old: &RecordBatch, new: &RecordBatch) -> Result<Vec<bool>, StoreError> {
    let mut differs = vec![false; old.num_rows()];
    for name in SPAN_DERIVED_COLUMNS {
        let columns = old.column_by_name(name).zip(new.column_by_name(name));
        let Some((old, new)) =
            columns.filter(|(old, new)| old.null_count().min(new.null_count()) < old.len())
        else {
            continue;
        };
        let other = distinct(old, new).map_err(StoreError::arrow(format!("column {name}")))?;
        differs.iter_mut().zip(other.values()).for_each(|(differs, other)| *differs |= other);
    }
    Ok(differs)
}

/// The rows of a batch that a mask has.
pub(super) fn filtered(batch: &RecordBatch, mask: Vec<bool>) -> Result<RecordBatch, StoreError> {
    filter(batch, &BooleanArray::from(mask)).map_err(StoreError::arrow("spans of some traces"))
}
