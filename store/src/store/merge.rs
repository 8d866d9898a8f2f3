//! Merging, by the one maintenance actor: spans whose traces settled leave `_recent` for their slice, with their
//! derived columns; and small files of one partition become one.
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
use super::superseded;
use crate::blocking::blocking;
use crate::derive::derive;
use crate::error::StoreError;
use crate::home::Home;
use crate::jobs::{JobKind, JobUnit};
use crate::lake::{
    Commit, Effort, Gather, MAINTENANCE, Part, Partition, now, read_file, read_traces, write_files,
};
use crate::rows::{Columns, SpanRows};
use crate::snapshot::{DataFile, FileChange};

/// A day that is past is over once nothing came for so long: late spans come for hours, and imports are of the past.
const QUIET: Duration = Duration::from_secs(3_600);
/// How long readers that nobody here knows of may still open files that a merge replaced.
const GRACE: Duration = Duration::from_secs(600);
impl Inner {
    /// Merges everything that is due. Answers how many merges were committed.
    pub(super) async fn merge(self: &Arc<Self>) -> Result<usize, StoreError> {
        let _one_at_a_time = self.merging.lock().await;
        let mut merges = 0;
        while let Some(inputs) = self.next_recent() {
            self.merge_one(Table::Spans, inputs, Self::split_by_slice).await?;
            merges += 1;
        }
        for table in Table::ALL {
            while let Some(inputs) = self.next_small(table) {
                let join = move |inner: &Self, inputs: &[Arc<DataFile>]| inner.join(table, inputs);
                self.merge_one(table, inputs, join).await?;
                merges += 1;
            }
        }
        if merges > 0 {
            self.clean().await?;
        }
        Ok(merges)
    }

    async fn merge_one(
        self: &Arc<Self>,
        table: Table,
        inputs: Vec<Arc<DataFile>>,
        merge: impl FnOnce(&Self, &[Arc<DataFile>]) -> Result<Vec<DataFile>, StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let rows = inputs.iter().map(|file| file.rows).sum::<u64>();
        let job = self.jobs.begin(JobKind::Merge, table.as_str(), JobUnit::Rows, Some(rows));
        let inner = self.clone();
        let (inputs, adds) = blocking(move || {
            let adds = merge(&inner, &inputs);
            Ok((inputs, adds))
        })
        .await?;
        let merged = match adds {
            Ok(adds) => {
                let kept = adds.iter().map(|file| file.rows).sum::<u64>();
                let replaced = self.replace(table, inputs, adds, kept < rows).await;
                job.advance(rows);
                replaced
            }
            Err(error) => Err(error),
        };
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
        self.replaced.lock().extend(removes.iter().map(|f| (table, f.path.clone(), Arc::downgrade(f))));
        self.state.lock().change_files(vec![FileChange { table, version, added, removed: removes }]);
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
    fn split_by_slice(&self, inputs: &[Arc<DataFile>]) -> Result<Vec<DataFile>, StoreError> {
        let others = self.spans_besides(inputs);
        let batches = read_all(&self.home, Table::Spans, inputs)?;
        let context = self.context(&batches, inputs, &others)?;
        let senders = self.senders_of(&batches)?;
        let derivation = derive(&batches, &context, &senders, &self.options.rules)?;
        let day = inputs[0].day;
        let mut slices: FxHashSet<&str> = others
            .iter()
            .filter(|f| f.day == day)
            .filter_map(|f| f.slice.as_deref())
            .filter(|s| *s != SLUG_RECENT)
            .collect();
        let mut partitions: Vec<(&str, Vec<u32>)> = Vec::new();
        for (slug, rows) in &derivation.partitions {
            let fits = slices.contains(slug.as_str()) || slices.len() < SLICES_PER_DAY_MAX;
            let slug = if fits { slug.as_str() } else { SLUG_OVERFLOW };
            slices.insert(slug);
            match partitions.iter_mut().find(|(s, _)| *s == slug) {
                Some((_, all)) => all.extend(rows),
                None => partitions.push((slug, rows.clone())),
            }
        }
        if let Some((_, rows)) = partitions.iter_mut().find(|(s, _)| *s == SLUG_OVERFLOW) {
            sort(Table::Spans, &derivation.batches, rows)?;
        }
        let parts = partitions
            .into_iter()
            .map(|(slug, rows)| Part { partition: Partition { day, slice: Some(slug) }, rows: rows.into() });
        let rows = Gather::of(Table::Spans.file_schema(), &derivation.batches);
        write_files(&self.home, Table::Spans, &rows, &parts.collect::<Vec<_>>(), Effort::Thorough)
    }

    /// Spans of the same traces that lie in other files: they take part in the analysis.
    fn context(
        &self,
        batches: &[RecordBatch],
        inputs: &[Arc<DataFile>],
        others: &[Arc<DataFile>],
    ) -> Result<Vec<RecordBatch>, StoreError> {
        const HOUR_NS: i64 = 3_600_000_000_000;
        let first = inputs.iter().map(|f| f.time_range.0.0).min().unwrap_or(0).saturating_sub(HOUR_NS);
        let last = inputs.iter().map(|f| f.time_range.1.0).max().unwrap_or(0).saturating_add(HOUR_NS);
        let near: Vec<_> =
            others.iter().filter(|f| f.time_range.1.0 >= first && f.time_range.0.0 <= last).collect();
        if near.is_empty() {
            return Ok(Vec::new());
        }
        let mut ids: FxHashSet<TraceId> = FxHashSet::default();
        for batch in batches {
            let rows = SpanRows::new(batch, &self.options.rules)?;
            ids.extend((0..rows.len()).filter_map(|row| rows.trace_id(row)));
        }
        let mut context = Vec::new();
        for file in near {
            let here: Vec<TraceId> = ids.iter().filter(|id| file.may_hold(id)).copied().collect();
            if !here.is_empty() {
                context.extend(read_traces(&self.home, file, &here, None, &self.footers)?);
            }
        }
        Ok(context)
    }

    fn spans_besides(&self, inputs: &[Arc<DataFile>]) -> Vec<Arc<DataFile>> {
        let state = self.state.lock();
        let spans = &state.tables[Table::Spans as usize];
        let others = spans.files.iter().filter(|f| !inputs.iter().any(|i| i.path == f.path));
        others.cloned().collect()
    }

    /// Files of one partition → one file, sorted, without the rows that others of them supersede.
    fn join(&self, table: Table, inputs: &[Arc<DataFile>]) -> Result<Vec<DataFile>, StoreError> {
        let batches = read_all(&self.home, table, inputs)?;
        let mut rows: Vec<u32> = (0..batches.iter().map(|b| b.num_rows() as u32).sum()).collect();
        let rolled_up_through = self.rolled_up_through.load(Ordering::Acquire);
        superseded::leave_out(table, rolled_up_through, &batches, &mut rows)?;
        sort(table, &batches, &mut rows)?;
        let partition = Partition { day: inputs[0].day, slice: inputs[0].slice.as_deref() };
        let part = Part { partition, rows: rows.into() };
        write_files(&self.home, table, &Gather::of(table.file_schema(), &batches), &[part], Effort::Thorough)
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

/// A file that a merge replaced: it stays on disk while a snapshot names it.
pub(super) type Replaced = (Table, String, Weak<DataFile>);

fn read_all(home: &Home, table: Table, files: &[Arc<DataFile>]) -> Result<Vec<RecordBatch>, StoreError> {
    let mut batches = Vec::new();
    for file in files {
        for batch in read_file(home, table, file)? {
            batches.push(batch?);
        }
    }
    Ok(batches)
}

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
