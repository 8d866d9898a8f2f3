//! Retention, by the one maintenance actor: rows that are older than they are kept leave the tables, and the oldest days go
//! where the files take more than they may. What no query can see any more is deleted by the next clean-up (see `merge.rs`).

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use plimsoll_schemas::retention::{Owner, Retention};
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Slice, SliceKey};

use super::Inner;
use super::merge::Ranges;
use crate::blocking::blocking;
use crate::error::StoreError;
use crate::jobs::{JobKind, JobUnit, Running};
use crate::lake::{Effort, Gather, Part, Partition, Writing, first_rows, read_columns};
use crate::rows::{Columns, Keyword};
use crate::snapshot::DataFile;

/// Files of a table of which something is to go.
struct Old {
    /// All of their rows.
    gone: Vec<Arc<DataFile>>,
    /// Perhaps some.
    mixed: Vec<Arc<DataFile>>,
}

/// What becomes of a file.
enum Fate {
    Stays,
    Goes,
    /// Some of its rows go.
    Shrinks(Vec<DataFile>),
}

impl Inner {
    /// Lets go of what is not to be kept on that day (since the epoch). Answers how many files went or shrank.
    pub(super) async fn retain(self: &Arc<Self>, today: i32) -> Result<usize, StoreError> {
        let _one_at_a_time = self.merging.lock().await;
        let mut changed = 0;
        for table in Table::ALL {
            let old = self.older(table, today);
            if old.gone.is_empty() && old.mixed.is_empty() {
                continue;
            }
            let total = (old.gone.len() + old.mixed.len()) as u64;
            let job = self.jobs.begin(JobKind::Retention, table.as_str(), JobUnit::Files, Some(total));
            let retained = self.retain_table(table, old, today, &job).await;
            job.end(&retained);
            changed += retained?;
        }
        changed += self.retain_bytes().await?;
        if changed > 0 {
            self.clean().await?;
        }
        Ok(changed)
    }

    /// The files that are older than some of their rows may be kept.
    fn older(&self, table: Table, today: i32) -> Old {
        let kept = self.options.retention.span(table);
        let older =
            |file: &DataFile, days: Option<u32>| days.is_some_and(|days| age(file, today) > i64::from(days));
        let files = self.state.lock().tables[table as usize].files.clone();
        let mut retained = self.retained.lock();
        // Of files that were looked at on an earlier day nothing is known.
        retained.retain(|(of, _), day| *of != table || *day == today);
        let is_known = |file: &DataFile| retained.contains_key(&(table, file.path.clone()));
        let (gone, rest): (Vec<_>, Vec<_>) = files.iter().cloned().partition(|file| older(file, kept.most));
        let mixed = rest.into_iter().filter(|file| older(file, kept.least) && !is_known(file)).collect();
        Old { gone, mixed }
    }

    async fn retain_table(
        self: &Arc<Self>,
        table: Table,
        old: Old,
        today: i32,
        job: &Running,
    ) -> Result<usize, StoreError> {
        let mut changed = old.gone.len();
        if !old.gone.is_empty() {
            // In one commit, which reads none of them.
            self.replace(table, old.gone, Vec::new(), true).await?;
            job.advance(changed as u64);
        }
        for file in old.mixed {
            let (inner, input) = (self.clone(), file.clone());
            let turn = self.turns.lock().await;
            let fate = blocking(move || inner.damaged.done_without(&input, inner.fate(table, &input, today)))
                .await?;
            drop(turn);
            job.advance(1);
            let rest = match fate.unwrap_or(Fate::Stays) {
                Fate::Stays => {
                    self.retained.lock().insert((table, file.path.clone()), today);
                    continue;
                }
                Fate::Goes => Vec::new(),
                Fate::Shrinks(rest) => rest,
            };
            self.replace(table, vec![file], rest, true).await?;
            changed += 1;
        }
        Ok(changed)
    }

    /// Reads whose rows a file holds, and writes those that stay where not all of them do.
    fn fate(&self, table: Table, file: &Arc<DataFile>, today: i32) -> Result<Fate, StoreError> {
        let kept_rows =
            |batch: &RecordBatch| kept_rows(&self.options.retention, table, batch, age(file, today));
        let whose: Vec<&str> = SliceKey::ALL.iter().map(|key| key.as_str()).chain(["tenant"]).collect();
        let mut kept = 0;
        for batch in read_columns(table, file, &whose)? {
            kept += kept_rows(&batch?)?.into_iter().filter(|is_kept| *is_kept).count() as u64;
        }
        if kept == 0 {
            return Ok(Fate::Goes);
        }
        if kept == file.rows {
            return Ok(Fate::Stays);
        }
        let mut ranges = Ranges::open(table, std::slice::from_ref(file), |_| None)?;
        let mut files = Writing::begin(&self.home, table, ranges.columns(), Effort::Thorough)?;
        let partition = Partition { day: file.day, slice: file.slice.as_deref() };
        while let Some(batches) = ranges.next()? {
            let mut rows = Vec::new();
            for (batch, first) in batches.iter().zip(first_rows(&batches)) {
                let is_kept = kept_rows(batch)?;
                rows.extend((first..).zip(is_kept).filter_map(|(row, is_kept)| is_kept.then_some(row)));
            }
            if !rows.is_empty() {
                let part = Part { partition, rows: rows.into() };
                files.append(&Gather::of(table.file_schema(), &batches), &[part])?;
            }
        }
        files.finish().map(Fate::Shrinks)
    }

    /// The oldest days go until the files fit; of the newest, the files whose rows are the oldest.
    async fn retain_bytes(&self) -> Result<usize, StoreError> {
        let Some(most) = self.options.retention.max_bytes else { return Ok(0) };
        let mut files: Vec<(Table, Arc<DataFile>)> = {
            let state = self.state.lock();
            let of = |table: Table| {
                state.tables[table as usize].files.iter().map(move |file| (table, file.clone()))
            };
            Table::ALL.into_iter().flat_map(of).collect()
        };
        let mut bytes: u64 = files.iter().map(|(_, file)| file.size_bytes).sum();
        // A rollup is small, and what it was computed of goes.
        files.retain(|(table, _)| !table.is_rollup());
        let newest = files.iter().map(|(_, file)| file.day).max();
        files.sort_by_key(|(_, file)| {
            let within = if Some(file.day) == newest { file.time_range.1.0 } else { 0 };
            (file.day, within)
        });
        let mut gone: Vec<Vec<Arc<DataFile>>> = vec![Vec::new(); Table::ALL.len()];
        let mut going = None;
        for (table, file) in files {
            let is_begun = going == Some(file.day) && Some(file.day) != newest;
            if bytes <= most && !is_begun {
                break;
            }
            bytes -= file.size_bytes;
            going = Some(file.day);
            gone[table as usize].push(file);
        }
        let changed = gone.iter().map(Vec::len).sum();
        if changed > 0 {
            tracing::warn!(
                files = changed,
                max_bytes = most,
                "the oldest days leave: the files took more than they may"
            );
        }
        for (table, files) in Table::ALL.into_iter().zip(gone) {
            if !files.is_empty() {
                self.replace(table, files, Vec::new(), true).await?;
            }
        }
        Ok(changed)
    }
}

/// Days since the file's.
fn age(file: &DataFile, today: i32) -> i64 {
    i64::from(today) - i64::from(file.day)
}

/// Which rows of a day that long ago are kept.
fn kept_rows(
    retention: &Retention,
    table: Table,
    batch: &RecordBatch,
    age_days: i64,
) -> Result<Vec<bool>, StoreError> {
    let columns = Columns::of(batch);
    let tenants = columns.keyword("tenant")?;
    let is_sliced = batch.schema().index_of(SliceKey::ALL[0].as_str()).is_ok();
    let slices: Vec<(SliceKey, Keyword<'_>)> = SliceKey::ALL
        .into_iter()
        .filter(|_| is_sliced)
        .map(|key| Ok((key, columns.keyword(key.as_str())?)))
        .collect::<Result<_, StoreError>>()?;
    // Neighbours are mostly of one owner.
    let mut previous: Option<(Owner<'_>, bool)> = None;
    let mut is_kept = |row: usize| {
        let mut slice = Slice::default();
        slices.iter().for_each(|(key, column)| slice.set(*key, column.get(row)));
        let owner = Owner { tenant: tenants.get(row).unwrap_or_default(), slice };
        match previous {
            Some((same, kept)) if same == owner => kept,
            _ => {
                let kept = retention.days(table, owner).is_none_or(|days| age_days <= i64::from(days));
                previous = Some((owner, kept));
                kept
            }
        }
    };
    Ok((0..batch.num_rows()).map(&mut is_kept).collect())
}
