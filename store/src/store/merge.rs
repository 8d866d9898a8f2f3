//! Merging, by the one maintenance actor: spans whose traces settled leave `_recent` for their slice, with their
//! derived columns; files that these changed for are restated (see `restate.rs`); and small files of one partition become one.
//!
//! A merge replaces files by others with the same rows (but for those that no view shows any more), in one commit: a query sees the
//! one or the other.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use plimsoll_schemas::TraceId;
use plimsoll_schemas::slice::{SLICES_PER_DAY_MAX, SLUG_OVERFLOW, SLUG_RECENT};
use plimsoll_schemas::table::Table;
use rustc_hash::FxHashSet;

use super::Inner;
use super::levels::{ROWS_PER_MERGE, Sized, to_join};
use super::restate::{Pass, filtered};
use super::superseded;
use crate::blocking::blocking;
use crate::derive::derive;
use crate::error::StoreError;
use crate::home::Home;
use crate::jobs::{JobKind, JobUnit, Running};
use crate::lake::{
    Commit, Effort, Gather, MAINTENANCE, Part, Partition, first_rows, now, read_file, read_traces,
    write_files,
};
use crate::rows::{Columns, SpanRows};
use crate::snapshot::{DataFile, FileChange};
use crate::tail::Chunk;

/// A day that is past is over once nothing came for so long: late spans come for hours, and imports are of the past.
pub(super) const QUIET: Duration = Duration::from_secs(3_600);
/// How long readers that nobody here knows of may still open files that a merge replaced.
const GRACE: Duration = Duration::from_secs(600);
/// How far from a merge's spans others of their traces are looked for, but for traces that are known to reach further.
pub(super) const NEAR_NS: i64 = 3_600_000_000_000;
impl Inner {
    /// Merges everything that is due. Answers how many merges were committed.
    pub(super) async fn merge(self: &Arc<Self>) -> Result<usize, StoreError> {
        let _one_at_a_time = self.merging.lock().await;
        let (mut merges, mut rows) = (0, 0);
        while let Some(inputs) = self.next_recent() {
            rows += inputs.iter().map(|file| file.rows).sum::<u64>();
            self.merge_one(Table::Spans, inputs, Self::split_by_slice).await?;
            merges += 1;
        }
        merges += self.restate(rows).await?;
        for table in Table::ALL {
            while let Some(inputs) = self.next_small(table) {
                self.merge_one(table, inputs, Self::join).await?;
                merges += 1;
            }
        }
        if merges > 0 {
            self.clean().await?;
        }
        Ok(merges)
    }

    /// Restates what is behind, after so many rows were merged. Answers how many files that were.
    async fn restate(self: &Arc<Self>, merged_rows: u64) -> Result<usize, StoreError> {
        let mut pass = Pass::after(merged_rows);
        let mut files = 0;
        loop {
            let inner = self.clone();
            pass = blocking(move || inner.find_behind(&mut pass).map(|()| pass)).await?;
            let Some(file) = self.next_behind(&mut pass) else { return Ok(files) };
            self.merge_one(Table::Spans, vec![file], Self::join).await?;
            files += 1;
        }
    }

    async fn merge_one(
        self: &Arc<Self>,
        table: Table,
        inputs: Vec<Arc<DataFile>>,
        merge: impl FnOnce(&Self, &Merging<'_>) -> Result<Vec<DataFile>, StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let rows = inputs.iter().map(|file| file.rows).sum::<u64>();
        let job = self.jobs.begin(JobKind::Merge, table.as_str(), JobUnit::Rows, Some(rows));
        let inner = self.clone();
        let (inputs, job, adds) = blocking(move || {
            let adds = merge(&inner, &Merging { table, inputs: &inputs, rows, job: &job });
            Ok((inputs, job, adds))
        })
        .await?;
        let merged = match adds {
            Ok(adds) => {
                let kept = adds.iter().map(|file| file.rows).sum::<u64>();
                // What is restated stays the same number of rows.
                let is_other = kept < rows || !self.restating.lock().behind(&inputs).is_empty();
                self.replace(table, inputs, adds, is_other).await
            }
            Err(error) => Err(error),
        };
        if merged.is_ok() {
            job.is_at(rows);
        }
        job.end(&merged);
        self.counters.merges.add(u64::from(merged.is_ok()));
        merged
    }

    /// `data_change`: whether the rows are other ones afterwards.
    pub(super) async fn replace(
        &self,
        table: Table,
        removes: Vec<Arc<DataFile>>,
        adds: Vec<DataFile>,
        data_change: bool,
    ) -> Result<(), StoreError> {
        let mut lake = self.lake[table as usize].lock().await;
        let transaction = lake.transaction_version(MAINTENANCE).await?.unwrap_or(0) + 1;
        let commit = Commit {
            adds,
            removes: removes.clone(),
            transaction: Some((MAINTENANCE.to_owned(), transaction)),
            data_change,
        };
        let (version, added) = self.note(lake.commit(commit).await)?;
        drop(lake);
        self.counters.wrote(table, &added);
        self.replaced.lock().extend(removes.iter().map(|f| (table, f.path.clone(), Arc::downgrade(f))));
        let gone: Vec<String> = removes.iter().map(|file| file.path.clone()).collect();
        self.state.lock().change_files(vec![FileChange { table, version, added, removed: removes }]);
        self.restating.lock().replaced(gone.iter().map(String::as_str));
        Ok(())
    }

    /// The oldest day's `_recent` files whose traces have all settled.
    fn next_recent(&self) -> Option<Vec<Arc<DataFile>>> {
        let state = self.state.lock();
        let floor = state.tail.traces.unsettled_floor().unwrap_or(u64::MAX);
        let files = &state.tables[Table::Spans as usize].files;
        let mut ready: Vec<_> =
            files.iter().filter(|f| f.is_recent() && f.wal_seq_max < floor).cloned().collect();
        drop(state);
        ready.sort_by_key(|f| (f.day, f.wal_seq_max));
        let day = ready.first()?.day;
        let mut rows = 0;
        ready.retain(|f| {
            let fits = f.day == day && (rows == 0 || rows + f.rows <= ROWS_PER_MERGE);
            rows += if fits { f.rows } else { 0 };
            fits
        });
        Some(ready)
    }

    /// The small files of a partition that has too many of them.
    fn next_small(&self, table: Table) -> Option<Vec<Arc<DataFile>>> {
        let now = now();
        let state = self.state.lock();
        let mut partitions: BTreeMap<(i32, Option<&str>), Vec<&Arc<DataFile>>> = BTreeMap::new();
        for file in state.tables[table as usize].files.iter().filter(|f| !f.is_recent()) {
            partitions.entry((file.day, file.slice.as_deref())).or_default().push(file);
        }
        partitions.into_iter().find_map(|((day, _), files)| {
            let sizes: Vec<Sized> =
                files.iter().map(|file| Sized { bytes: file.size_bytes, rows: file.rows }).collect();
            let newest = files.iter().map(|file| file.modified).max();
            let is_quiet = newest.is_some_and(|newest| now.0 - newest.0 > QUIET.as_nanos() as i64);
            let join = to_join(&sizes, day < now.day() && is_quiet);
            (!join.is_empty()).then(|| join.into_iter().map(|at| files[at].clone()).collect())
        })
    }

    /// Files of `_recent` → one file per slice.
    fn split_by_slice(&self, merging: &Merging<'_>) -> Result<Vec<DataFile>, StoreError> {
        let places = self.places_besides(merging.inputs);
        let batches = merging.read(&self.home)?;
        let asked = self.restating.lock().asked();
        let first =
            merging.inputs.iter().map(|f| f.time_range.0.0).min().unwrap_or(0).saturating_sub(NEAR_NS);
        let last = merging.inputs.iter().map(|f| f.time_range.1.0).max().unwrap_or(0).saturating_add(NEAR_NS);
        let is_near = |file: &DataFile| file.time_range.1.0 >= first && file.time_range.0.0 <= last;
        let mut ids: FxHashSet<TraceId> = FxHashSet::default();
        for batch in &batches {
            let rows = SpanRows::new(batch, &self.options.rules)?;
            ids.extend((0..rows.len()).filter_map(|row| rows.trace_id(row)));
        }
        let context = self.spans_in(&places, &ids, |file, id| is_near(file) || asked.contains(id))?;
        let senders = self.senders_of(&batches)?;
        let derivation = derive(&batches, &context, &senders, &self.options.rules)?;
        let partitions = places.partitions(merging.inputs[0].day, derivation.partitions);
        self.write_partitions(merging, &derivation.batches, partitions, SLUG_OVERFLOW)
    }

    /// Files of one partition → one file, sorted, without the rows that others of them supersede; and spans that say what is derived
    /// of them no more, as they are now, in their slices.
    fn join(&self, merging: &Merging<'_>) -> Result<Vec<DataFile>, StoreError> {
        let (table, inputs) = (merging.table, merging.inputs);
        let again = self.restating.lock().behind(inputs);
        let batches = merging.read(&self.home)?;
        let mut rows: Vec<u32> = (0..batches.iter().map(|b| b.num_rows() as u32).sum()).collect();
        if table == Table::Spans && !again.is_empty() {
            return self.join_restated(merging, batches, &again);
        }
        let rolled_up_through = self.rolled_up_through.load(Ordering::Acquire);
        superseded::leave_out(table, rolled_up_through, &batches, &mut rows)?;
        sort(table, &batches, &mut rows)?;
        let partition = Partition { day: inputs[0].day, slice: inputs[0].slice.as_deref() };
        let part = Part { partition, rows: rows.into() };
        let written = |share| merging.written(share);
        let rows = Gather::of(table.file_schema(), &batches).telling(&written);
        write_files(&self.home, table, &rows, &[part], Effort::Thorough)
    }

    fn join_restated(
        &self,
        merging: &Merging<'_>,
        mut batches: Vec<RecordBatch>,
        again: &FxHashSet<TraceId>,
    ) -> Result<Vec<DataFile>, StoreError> {
        let (mut kept, mut theirs) = (Vec::new(), Vec::new());
        for (batch, first) in batches.iter().zip(first_rows(&batches)) {
            let rows = SpanRows::new(batch, &self.options.rules)?;
            let is_theirs = |row| rows.trace_id(row).is_some_and(|id| again.contains(&id));
            let mask: Vec<bool> = (0..rows.len()).map(is_theirs).collect();
            kept.extend((first..).zip(&mask).filter_map(|(row, theirs)| (!theirs).then_some(row)));
            if mask.contains(&true) {
                theirs.push(filtered(batch, mask)?);
            }
        }
        let places = self.places_besides(merging.inputs);
        let context = self.spans_in(&places, again, |_, _| true)?;
        let senders = self.senders_of(&theirs)?;
        let derivation = derive(&theirs, &context, &senders, &self.options.rules)?;
        let before: u32 = batches.iter().map(|b| b.num_rows() as u32).sum();
        batches.extend(derivation.batches);
        let own = merging.inputs[0].slice.as_deref().unwrap_or_default();
        let mut partitions = vec![(own.to_owned(), kept)];
        for (slug, rows) in places.partitions(merging.inputs[0].day, derivation.partitions) {
            let rows = rows.into_iter().map(|row| before + row);
            match partitions.iter_mut().find(|(s, _)| *s == slug) {
                Some((_, all)) => all.extend(rows),
                None => partitions.push((slug, rows.collect())),
            }
        }
        partitions.retain(|(_, rows)| !rows.is_empty());
        self.write_partitions(merging, &batches, partitions, own)
    }

    /// `mixed` is the partition whose rows are not in order yet, beside the one for what is too many.
    fn write_partitions(
        &self,
        merging: &Merging<'_>,
        batches: &[RecordBatch],
        mut partitions: Vec<(String, Vec<u32>)>,
        mixed: &str,
    ) -> Result<Vec<DataFile>, StoreError> {
        for (_, rows) in
            partitions.iter_mut().filter(|(slug, _)| [mixed, SLUG_OVERFLOW].contains(&slug.as_str()))
        {
            sort(Table::Spans, batches, rows)?;
        }
        let day = merging.inputs[0].day;
        let parts: Vec<_> = partitions
            .iter()
            .map(|(slug, rows)| Part {
                partition: Partition { day, slice: Some(slug) },
                rows: rows.clone().into(),
            })
            .collect();
        let written = |share| merging.written(share);
        let rows = Gather::of(Table::Spans.file_schema(), batches).telling(&written);
        write_files(&self.home, Table::Spans, &rows, &parts, Effort::Thorough)
    }

    /// Spans of these traces that lie in such places: they take part in the analysis.
    fn spans_in(
        &self,
        places: &Besides,
        ids: &FxHashSet<TraceId>,
        is_asked: impl Fn(&DataFile, &TraceId) -> bool,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let mut found = Vec::new();
        for chunk in &places.chunks {
            let mask: Vec<bool> = chunk.keys.iter().map(|id| ids.contains(id)).collect();
            if mask.contains(&true) {
                found.push(filtered(&chunk.batch, mask)?);
            }
        }
        for file in &places.files {
            let here = file.held(ids.iter().filter(|id| is_asked(file, id)))?;
            if !here.is_empty() {
                found.extend(read_traces(&self.home, file, &here, None, &self.footers)?);
            }
        }
        Ok(found)
    }

    fn places_besides(&self, inputs: &[Arc<DataFile>]) -> Besides {
        let state = self.state.lock();
        let spans = &state.tables[Table::Spans as usize];
        let others = spans.files.iter().filter(|f| !inputs.iter().any(|i| i.path == f.path));
        Besides { files: others.cloned().collect(), chunks: state.tail.chunks(Table::Spans).to_vec() }
    }

    /// Shortens the Delta logs and deletes replaced files that neither a query here nor a reader elsewhere may still open.
    pub(super) async fn clean(&self) -> Result<(), StoreError> {
        self.replaced.lock().retain(|(_, _, file)| file.strong_count() > 0);
        for table in Table::ALL {
            let in_use: FxHashSet<String> = {
                let replaced = self.replaced.lock();
                replaced.iter().filter(|(t, _, _)| *t == table).map(|(_, path, _)| path.clone()).collect()
            };
            let mut lake = self.lake[table as usize].lock().await;
            lake.maintain().await?;
            lake.vacuum(GRACE, |path| in_use.contains(path)).await?;
        }
        Ok(())
    }
}

/// What one merge works on.
struct Merging<'m> {
    table: Table,
    /// At least one, of one day.
    inputs: &'m [Arc<DataFile>],
    rows: u64,
    job: &'m Running,
}

impl Merging<'_> {
    fn read(&self, home: &Home) -> Result<Vec<RecordBatch>, StoreError> {
        let (mut batches, mut read) = (Vec::new(), 0);
        for file in self.inputs {
            for batch in read_file(home, self.table, file)? {
                batches.push(batch?);
                read += batches.last().map_or(0, RecordBatch::num_rows);
                // Half of the work is to write them.
                self.job.is_at(read as u64 / 2);
            }
        }
        Ok(batches)
    }

    /// A share of what was read is written.
    fn written(&self, share: f64) {
        self.job.is_at((self.rows as f64 * (1.0 + share) / 2.0) as u64);
    }
}

/// Where spans lie that a merge does not take.
struct Besides {
    files: Vec<Arc<DataFile>>,
    chunks: Vec<Arc<Chunk>>,
}

impl Besides {
    /// To which partitions rows go: to their slices, of which a day has only so many.
    fn partitions(&self, day: i32, by_slug: Vec<(String, Vec<u32>)>) -> Vec<(String, Vec<u32>)> {
        let slices = self.files.iter().filter(|f| f.day == day).filter_map(|f| f.slice.clone());
        let mut slices: FxHashSet<String> = slices.filter(|s| s != SLUG_RECENT).collect();
        let mut partitions: Vec<(String, Vec<u32>)> = Vec::new();
        for (slug, rows) in by_slug {
            let fits = slices.contains(&slug) || slices.len() < SLICES_PER_DAY_MAX;
            let slug = if fits { slug } else { SLUG_OVERFLOW.to_owned() };
            slices.insert(slug.clone());
            match partitions.iter_mut().find(|(s, _)| *s == slug) {
                Some((_, all)) => all.extend(rows),
                None => partitions.push((slug, rows)),
            }
        }
        partitions
    }
}

/// A file that a merge replaced: it stays on disk while a snapshot names it.
pub(super) type Replaced = (Table, String, Weak<DataFile>);

/// Brings rows into the order of the table's files.
fn sort(table: Table, batches: &[RecordBatch], rows: &mut [u32]) -> Result<(), StoreError> {
    let mut times = Vec::with_capacity(rows.len());
    for batch in batches {
        times.extend_from_slice(Columns::of(batch).int(table.time_column())?.values());
    }
    if table == Table::Spans {
        let ids = batches.iter().map(|b| Columns::of(b).text("trace_id")).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<&str> = ids.into_iter().flatten().map(Option::unwrap_or_default).collect();
        rows.sort_by_key(|row| (ids[*row as usize], times[*row as usize]));
    } else {
        rows.sort_by_key(|row| times[*row as usize]);
    }
    Ok(())
}
