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

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, new_null_array};
    use arrow::compute::cast;
    use arrow::datatypes::DataType;
    use proptest::prelude::*;

    use super::*;
    use crate::home::Home;
    use crate::lake::{Effort, Gather, Part, Partition, write_files};

    /// Tenant, trace or stretch, objective, revision, and whether it may supersede others.
    type Row = (u8, u8, u8, i64, bool);

    fn batch(table: Table, rows: &[Row]) -> RecordBatch {
        let schema = table.file_schema();
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            let int = |of: &dyn Fn(&Row) -> i64| -> ArrayRef {
                Arc::new(rows.iter().map(|r| Some(of(r))).collect::<Int64Array>())
            };
            let text = |of: &dyn Fn(&Row) -> String| -> ArrayRef {
                Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
            };
            let array = match field.name().as_str() {
                "tenant" => text(&|row| row.0.to_string()),
                "trace_id" => text(&|row| format!("{:032x}", u128::from(row.1) + 1)),
                "objective" => text(&|row| row.2.to_string()),
                "revision" => int(&|row| row.3),
                name if Some(name) == table.superseding_column() => {
                    Arc::new(rows.iter().map(|row| Some(row.4)).collect::<BooleanArray>())
                }
                name if name == table.time_column() => int(&|row| i64::from(row.1)),
                _ if field.is_nullable() => new_null_array(field.data_type(), rows.len()),
                _ if *field.data_type() == DataType::Binary => text(&|_| "0".into()),
                _ => int(&|_| 0),
            };
            cast(&array, field.data_type()).expect("the column's type")
        });
        RecordBatch::try_new(schema.clone(), columns.collect()).expect("the table's schema")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_row_stays_unless_a_newer_one_is_known_that_may_supersede_it(
            files in proptest::collection::vec(
                proptest::collection::vec((0..2_u8, 0..4_u8, 0..2_u8, 1..9_i64, any::<bool>()), 1..12),
                1..4,
            ),
            known in 0..10_i64,
            table in prop::sample::select(vec![Table::Traces, Table::StageRuns, Table::StageMinutes, Table::Verdicts]),
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            let home = runtime.block_on(async { Home::open(&folder.path().into()).expect("a folder") });
            let batches: Vec<RecordBatch> = files.iter().map(|rows| batch(table, rows)).collect();
            let mut written = Vec::new();
            for batch in batches.chunks(1) {
                let rows = (0..batch[0].num_rows() as u32).collect();
                let part = Part { partition: Partition { day: 20_000, slice: None }, rows };
                let all = Gather::of(table.file_schema(), batch);
                written.extend(write_files(&home, table, &all, &[part], Effort::Quick).expect("written"));
            }
            let written: Vec<_> = written.into_iter().map(Arc::new).collect();
            let kept = Superseded::of(table, known as u64, &written).expect("reads").kept(&batches).expect("rows");

            let rows: Vec<Row> = files.concat();
            let hides = |newer: &Row, row: &Row| {
                let is_same = newer.0 == row.0 && newer.1 == row.1 && (!table.is_rollup() || newer.2 == row.2);
                let is_known = table.is_rollup() || newer.3 <= known;
                let may = table.superseding_column().is_none() || newer.4;
                table.is_derived() && is_same && is_known && may && newer.3 > row.3
            };
            let expected = (0..rows.len()).filter(|at| !rows.iter().any(|newer| hides(newer, &rows[*at])));
            prop_assert_eq!(kept, expected.map(|at| at as u32).collect::<Vec<_>>());
        }
    }
}
