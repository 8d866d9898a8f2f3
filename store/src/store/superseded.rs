//! Rows of derived tables that a newer revision hides: a merge leaves them out. Of the same trace, or the same stretch of a
//! rollup, the newest revision is shown whole (see the views of `query`), and so the older ones are of no use to anyone: but to
//! rollups, which have to know where the runs of a trace used to be that settled again. They say up to which revision they do.

use arrow::record_batch::RecordBatch;
use plimsoll_schemas::table::Table;
use rustc_hash::FxHashMap;

use crate::error::StoreError;
use crate::lake::first_rows;
use crate::rows::Columns;

/// Whose revisions a row's is one of.
#[derive(PartialEq, Eq, Hash)]
enum Of<'a> {
    Trace(&'a str),
    /// A stretch of a rollup that begins then, by an objective.
    Stretch(i64, &'a str),
}

/// Takes the numbers of rows (through all batches) away that others of them supersede.
pub fn leave_out(
    table: Table,
    rolled_up_through: u64,
    batches: &[RecordBatch],
    rows: &mut Vec<u32>,
) -> Result<(), StoreError> {
    if !table.is_derived() {
        return Ok(());
    }
    let known =
        if table.is_rollup() { i64::MAX } else { i64::try_from(rolled_up_through).unwrap_or(i64::MAX) };
    let mut newest: FxHashMap<(&str, Of<'_>), i64> = FxHashMap::default();
    let mut every: Vec<i64> = Vec::with_capacity(rows.len());
    let of = batches.iter().map(|batch| Revisions::of(table, batch)).collect::<Result<Vec<_>, _>>()?;
    for (revisions, batch) in of.iter().zip(batches) {
        for row in 0..batch.num_rows() {
            let revision = revisions.revision.value(row);
            every.push(revision);
            if revision > known {
                continue;
            }
            let newest = newest.entry(revisions.key(row)).or_insert(revision);
            *newest = revision.max(*newest);
        }
    }
    let mut is_kept = Vec::with_capacity(every.len());
    for ((revisions, batch), first) in of.iter().zip(batches).zip(first_rows(batches)) {
        is_kept.extend((0..batch.num_rows()).map(|row| {
            let revision = every[first as usize + row];
            newest.get(&revisions.key(row)).is_none_or(|newest| revision >= *newest)
        }));
    }
    rows.retain(|row| is_kept[*row as usize]);
    Ok(())
}

/// The columns of a batch that say it.
struct Revisions<'a> {
    tenant: crate::rows::Keyword<'a>,
    trace_id: Option<&'a arrow::array::StringArray>,
    stretch: Option<(&'a arrow::array::Int64Array, crate::rows::Keyword<'a>)>,
    revision: &'a arrow::array::Int64Array,
}

impl<'a> Revisions<'a> {
    fn of(table: Table, batch: &'a RecordBatch) -> Result<Self, StoreError> {
        let columns = Columns::of(batch);
        let is_rollup = table.is_rollup();
        Ok(Self {
            tenant: columns.keyword("tenant")?,
            trace_id: (!is_rollup).then(|| columns.text("trace_id")).transpose()?,
            stretch: is_rollup
                .then(|| {
                    Ok::<_, StoreError>((columns.int(table.time_column())?, columns.keyword("objective")?))
                })
                .transpose()?,
            revision: columns.int("revision")?,
        })
    }

    fn key(&self, row: usize) -> (&'a str, Of<'a>) {
        let of = match (&self.trace_id, &self.stretch) {
            (Some(ids), _) => Of::Trace(ids.value(row)),
            (None, Some((start, objective))) => {
                Of::Stretch(start.value(row), objective.get(row).unwrap_or_default())
            }
            (None, None) => Of::Trace(""),
        };
        (self.tenant.get(row).unwrap_or_default(), of)
    }
}
