//! Rows of derived tables that a newer revision hides: a merge leaves them out. Of the same trace, or the same stretch of a
//! rollup, the newest revision is shown whole (see the views of `query`), and so the older ones are of no use to anyone: but to
//! rollups, which have to know where the runs of a trace used to be that settled again. They say up to which revision they do.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::TraceId;
use plimsoll_schemas::table::Table;
use rustc_hash::FxHashMap;

use crate::error::StoreError;
use crate::lake::{first_rows, read_columns};
use crate::rows::{Columns, Keyword};
use crate::snapshot::DataFile;

/// Whose revisions a row's is one of: the number of its tenant, and its trace, or its stretch's begin and the number of its objective.
type Of = (u32, u128);

/// The newest revisions that a merge's rows have, of what may supersede others of them.
#[derive(Debug)]
pub struct Superseded {
    table: Table,
    /// Tenants and objectives, each with its number.
    names: FxHashMap<String, u32>,
    newest: FxHashMap<Of, i64>,
}

impl Superseded {
    /// Reads the columns that say it, of the files where any row may supersede another.
    pub fn of(table: Table, rolled_up_through: u64, files: &[Arc<DataFile>]) -> Result<Self, StoreError> {
        let mut found = Self { table, names: FxHashMap::default(), newest: FxHashMap::default() };
        if !table.is_derived() {
            return Ok(found);
        }
        let known =
            if table.is_rollup() { i64::MAX } else { i64::try_from(rolled_up_through).unwrap_or(i64::MAX) };
        let flag = table.superseding_column();
        let whose = if table.is_rollup() { [table.time_column(), "objective"] } else { ["trace_id", ""] };
        let columns: Vec<&str> = ["tenant", "revision"].into_iter().chain(whose).chain(flag).collect();
        for file in files.iter().filter(|file| file.supersedes || flag.is_none()) {
            for batch in read_columns(table, file, &columns)? {
                found.note(known, &batch?)?;
            }
        }
        Ok(found)
    }

    fn note(&mut self, known: i64, batch: &RecordBatch) -> Result<(), StoreError> {
        let revisions = Revisions::of(self.table, batch)?;
        for row in 0..batch.num_rows() {
            let revision = revisions.revision.value(row);
            if revision > known || !revisions.may_supersede(row) {
                continue;
            }
            let names = &mut self.names;
            let mut number = |name: &str| match names.get(name) {
                Some(number) => Some(*number),
                None => {
                    let number = names.len() as u32;
                    names.insert(name.to_owned(), number);
                    Some(number)
                }
            };
            if let Some(of) = revisions.whose(row, &mut number) {
                let newest = self.newest.entry(of).or_insert(revision);
                *newest = revision.max(*newest);
            }
        }
        Ok(())
    }

    /// The numbers of the rows (through all batches) that no others supersede.
    pub fn kept(&self, batches: &[RecordBatch]) -> Result<Vec<u32>, StoreError> {
        let mut kept = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for (batch, first) in batches.iter().zip(first_rows(batches)) {
            let rows = first..first + batch.num_rows() as u32;
            if self.newest.is_empty() {
                kept.extend(rows);
                continue;
            }
            let revisions = Revisions::of(self.table, batch)?;
            let mut number = |name: &str| self.names.get(name).copied();
            kept.extend(rows.filter(|row| {
                let row = (row - first) as usize;
                let newest = revisions.whose(row, &mut number).and_then(|of| self.newest.get(&of));
                newest.is_none_or(|newest| revisions.revision.value(row) >= *newest)
            }));
        }
        Ok(kept)
    }
}

/// The columns of a batch that say it.
struct Revisions<'a> {
    tenant: Keyword<'a>,
    whose: Whose<'a>,
    revision: &'a Int64Array,
    /// Where the table has no such column any row may.
    supersedes: Option<&'a BooleanArray>,
}

enum Whose<'a> {
    Trace(&'a StringArray),
    Stretch(&'a Int64Array, Keyword<'a>),
}

impl<'a> Revisions<'a> {
    fn of(table: Table, batch: &'a RecordBatch) -> Result<Self, StoreError> {
        let columns = Columns::of(batch);
        let whose = match table.is_rollup() {
            true => Whose::Stretch(columns.int(table.time_column())?, columns.keyword("objective")?),
            false => Whose::Trace(columns.text("trace_id")?),
        };
        let flag = table.superseding_column().and_then(|name| batch.column_by_name(name)?.as_boolean_opt());
        Ok(Self {
            tenant: columns.keyword("tenant")?,
            whose,
            revision: columns.int("revision")?,
            supersedes: flag,
        })
    }

    /// Files of older versions of us do not say.
    fn may_supersede(&self, row: usize) -> bool {
        self.supersedes.is_none_or(|flag| flag.is_null(row) || flag.value(row))
    }

    /// `None` where a name has no number, and where an id is none: other writers' rows stay.
    fn whose(&self, row: usize, number: &mut impl FnMut(&str) -> Option<u32>) -> Option<Of> {
        let of = match &self.whose {
            Whose::Trace(ids) => u128::from_be_bytes(*ids.value(row).parse::<TraceId>().ok()?.bytes()),
            Whose::Stretch(begin, objective) => {
                u128::from(begin.value(row).cast_unsigned()) << 32
                    | u128::from(number(objective.get(row).unwrap_or_default())?)
            }
        };
        Some((number(self.tenant.get(row).unwrap_or_default())?, of))
    }
}
