//! Merging of spans: from `_recent` into their slices, and within a slice. It runs through its files by ranges of traces, of which
//! each is a row group of what it writes.
//!
//! Derived columns are as settling left them (see `derived.rs`). Where that is not known, or a trace settled again since (see
//! `restate.rs`), they are derived here.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use plimsoll_schemas::TraceId;
use plimsoll_schemas::slice::{SLICES_PER_DAY_MAX, SLUG_OVERFLOW, SLUG_RECENT, Slice};
use plimsoll_schemas::table::{SPAN_DERIVED_COLUMNS, Table};
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::restate::filtered;
use super::ranges::Ranges;
use super::{Inner, Merging};
use crate::derive::derive;
use crate::error::StoreError;
use crate::lake::{Effort, Gather, Part, Partition, Writing, first_rows, read_traces};
use crate::rows::{Columns, SpanRows};
use crate::snapshot::DataFile;
use crate::tail::Chunk;

/// How far from a merge's spans others of their traces are looked for, but for traces that are known to reach further.
pub const NEAR_NS: i64 = 3_600_000_000_000;

/// What a merge of spans knows from its beginning to its end.
struct Spans<'m> {
    merging: &'m Merging<'m>,
    /// Where spans lie that it does not take.
    files: Vec<Arc<DataFile>>,
    chunks: Vec<Arc<Chunk>>,
    /// Traces that settled again: their rows are derived once more, with spans that lie anywhere.
    again: FxHashSet<TraceId>,
    /// The files' one partition; `None` where rows go to the slices that they say.
    own: Option<&'m str>,
    /// Slices that the day has.
    slices: FxHashSet<String>,
}

/// Slugs with the numbers of rows.
type BySlug = FxHashMap<String, Vec<u32>>;
/// The same of partitions, in the order of their names.
type Partitions = Vec<(String, Vec<u32>)>;

impl Inner {
    /// Files of one day → one file per slice, sorted.
    pub(super) fn merge_spans(&self, merging: &Merging<'_>) -> Result<Vec<DataFile>, StoreError> {
        let inputs = merging.inputs;
        let own = inputs[0].slice.as_deref().filter(|slice| *slice != SLUG_RECENT);
        let again = {
            let restating = self.restating.lock();
            if own.is_some() { restating.behind(inputs) } else { restating.asked() }
        };
        let (files, chunks) = {
            let state = self.state.lock();
            let spans = &state.tables[Table::Spans as usize];
            let others = spans.files.iter().filter(|f| !inputs.iter().any(|i| i.path == f.path));
            (others.cloned().collect::<Vec<_>>(), state.tail.chunks(Table::Spans).to_vec())
        };
        let day = inputs[0].day;
        let slices = files.iter().filter(|f| f.day == day).filter_map(|f| f.slice.clone());
        let slices = slices.filter(|s| s != SLUG_RECENT).collect();
        let mut spans = Spans { merging, files, chunks, again, own, slices };

        let mut ranges = Ranges::open(Table::Spans, inputs, |path| self.derived.of(path))?;
        let schema = Table::Spans.file_schema();
        let is_there = |name: &str| SPAN_DERIVED_COLUMNS.contains(&name) || ranges.have(name);
        let columns = (0..schema.fields().len()).filter(|at| is_there(schema.field(*at).name())).collect();
        let mut files = Writing::begin(&self.home, Table::Spans, columns, Effort::Thorough)?;
        let mut done = 0;
        while let Some(batches) = ranges.next()? {
            let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
            let (batches, mut partitions) = self.derive_range(&mut spans, batches)?;
            let order = order(&batches)?;
            let mut parts = Vec::with_capacity(partitions.len());
            for (slug, rows) in &mut partitions {
                // Stable, and it finds the runs that are sorted: those of one file are.
                rows.sort_by_key(|row| order[*row as usize]);
                let partition = Partition { day, slice: Some(slug) };
                parts.push(Part { partition, rows: std::mem::take(rows).into() });
            }
            files.append(&Gather::of(schema.clone(), &batches), &parts)?;
            done += rows as u64;
            merging.job.is_at(done);
        }
        files.finish()
    }

    /// Some whole traces, with their derived columns, and to which partitions their rows go.
    fn derive_range(
        &self,
        spans: &mut Spans<'_>,
        mut batches: Vec<RecordBatch>,
    ) -> Result<(Vec<RecordBatch>, Partitions), StoreError> {
        let rows = batches.iter().map(|b| SpanRows::new(b, &self.options.rules));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let open = match spans.own {
            Some(_) => spans.again.clone(),
            None => spans.open(&batches, &rows)?,
        };
        let mut by_slug = BySlug::default();
        let mut theirs = Vec::new();
        for ((batch, rows), first) in batches.iter().zip(&rows).zip(first_rows(&batches)) {
            let is_theirs = |row| !open.is_empty() && rows.trace_id(row).is_some_and(|id| open.contains(&id));
            let mask: Vec<bool> = (0..rows.len()).map(is_theirs).collect();
            let kept = (0..rows.len()).filter(|row| !mask[*row]);
            match spans.own {
                Some(own) => {
                    by_slug.entry(own.to_owned()).or_default().extend(kept.map(|row| first + row as u32));
                }
                None => by_slice(batch, first, kept, &mut by_slug)?,
            }
            if mask.contains(&true) {
                theirs.push(filtered(batch, mask)?);
            }
        }
        drop(rows);
        if !theirs.is_empty() {
            let context = self.others_of(spans, &open)?;
            let senders = self.senders_of(&theirs)?;
            let derivation = derive(&theirs, &context, &senders, &self.options.rules)?;
            let before: u32 = batches.iter().map(|b| b.num_rows() as u32).sum();
            batches.extend(derivation.batches);
            for (slug, rows) in derivation.partitions {
                by_slug.entry(slug).or_default().extend(rows.into_iter().map(|row| before + row));
            }
        }
        Ok((batches, spans.partitions(by_slug)))
    }

    /// Spans of these traces that lie elsewhere: they take part in the analysis.
    fn others_of(&self, spans: &Spans<'_>, ids: &FxHashSet<TraceId>) -> Result<Vec<RecordBatch>, StoreError> {
        let inputs = spans.merging.inputs;
        let first = inputs.iter().map(|f| f.time_range.0.0).min().unwrap_or(0).saturating_sub(NEAR_NS);
        let last = inputs.iter().map(|f| f.time_range.1.0).max().unwrap_or(0).saturating_add(NEAR_NS);
        let mut found = Vec::new();
        for chunk in &spans.chunks {
            let mask: Vec<bool> = chunk.keys.iter().map(|id| ids.contains(id)).collect();
            if mask.contains(&true) {
                found.push(filtered(&chunk.batch, mask)?);
            }
        }
        for file in &spans.files {
            let is_near = file.time_range.1.0 >= first && file.time_range.0.0 <= last;
            let held = file.held(ids.iter().filter(|id| is_near || spans.again.contains(id)));
            let here = self.damaged.done_without(file, held)?.unwrap_or_default();
            if !here.is_empty() {
                let read = self.damaged.done_without(file, read_traces(file, &here, None))?;
                found.extend(read.into_iter().flatten());
            }
        }
        Ok(found)
    }
}

impl Spans<'_> {
    /// The traces among these rows that are to be derived.
    fn open(&self, batches: &[RecordBatch], rows: &[SpanRows<'_>]) -> Result<FxHashSet<TraceId>, StoreError> {
        let mut open = FxHashSet::default();
        for (batch, rows) in batches.iter().zip(rows) {
            let outcome = Columns::of(batch).keyword("outcome")?;
            for row in 0..rows.len() {
                if (outcome.get(row).is_none() || !self.again.is_empty())
                    && let Some(id) = rows.trace_id(row)
                    && (outcome.get(row).is_none() || self.again.contains(&id))
                {
                    open.insert(id);
                }
            }
        }
        Ok(open)
    }

    /// To which partitions rows go: to their slices, of which a day has only so many.
    fn partitions(&mut self, by_slug: BySlug) -> Partitions {
        let mut by_slug: Vec<_> = by_slug.into_iter().filter(|(_, rows)| !rows.is_empty()).collect();
        by_slug.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut partitions = Partitions::with_capacity(by_slug.len());
        for (slug, rows) in by_slug {
            let is_known = self.own == Some(slug.as_str()) || self.slices.contains(&slug);
            let fits = is_known || self.slices.len() < SLICES_PER_DAY_MAX;
            // What lies in the overflow stays there, until it is derived again.
            let slug = if fits { slug } else { SLUG_OVERFLOW.to_owned() };
            self.slices.insert(slug.clone());
            match partitions.iter_mut().find(|(s, _)| *s == slug) {
                Some((_, all)) => all.extend(rows),
                None => partitions.push((slug, rows)),
            }
        }
        partitions
    }
}

/// Adds rows of a batch to the slices that they say.
fn by_slice(
    batch: &RecordBatch,
    first: u32,
    rows: impl Iterator<Item = usize>,
    by_slug: &mut BySlug,
) -> Result<(), StoreError> {
    let columns = Columns::of(batch);
    let (tenant, class) = (columns.keyword("tenant")?, columns.keyword("workload_class")?);
    let (model, hardware) = (columns.keyword("model")?, columns.keyword("hardware")?);
    // Few slices, and traces lie side by side.
    let mut slugs: FxHashMap<(&str, Slice<'_>), usize> = FxHashMap::default();
    let mut of_slug = Partitions::new();
    let mut last: Option<((&str, Slice<'_>), usize)> = None;
    for row in rows {
        let slice =
            Slice { workload_class: class.get(row), model: model.get(row), hardware: hardware.get(row) };
        let key = (tenant.get(row).unwrap_or_default(), slice);
        let at = match last.filter(|(of, _)| *of == key) {
            Some((_, at)) => at,
            None => *slugs.entry(key).or_insert_with(|| {
                of_slug.push((key.1.slug(key.0), Vec::new()));
                of_slug.len() - 1
            }),
        };
        last = Some((key, at));
        of_slug[at].1.push(first + row as u32);
    }
    for (slug, rows) in of_slug {
        by_slug.entry(slug).or_default().extend(rows);
    }
    Ok(())
}

/// Where each row's place in the files is: by trace, and by its start within it.
fn order(batches: &[RecordBatch]) -> Result<Vec<(u128, i64)>, StoreError> {
    let mut keys: Vec<(u128, i64)> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches {
        let columns = Columns::of(batch);
        let (ids, starts) = (columns.text("trace_id")?, columns.int("start_unix_nano")?);
        let (mut last, mut trace) = ("", 0);
        for (row, start) in starts.values().iter().enumerate() {
            if ids.value(row) != last {
                last = ids.value(row);
                trace = last.parse::<TraceId>().map_or(0, |id| u128::from_be_bytes(*id.bytes()));
            }
            keys.push((trace, *start));
        }
    }
    Ok(keys)
}
