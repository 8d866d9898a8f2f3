//! Files in the words of the Delta log: our files as its actions, and its actions, whoever wrote them, as our files.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake_core::kernel::{Add, Remove};
use plimsoll_schemas::UnixNanos;
use plimsoll_schemas::table::Table;

use super::checksums::{TAG, Tail};
use super::filters::Filters;
use super::object::Object;
use super::stats::{self, FileStats};
use super::writer;
use crate::error::StoreError;
use crate::home::Home;
use crate::snapshot::DataFile;

const SLICE: &str = "slice";
const DAY: &str = "day";

pub fn add(file: &DataFile, data_change: bool) -> Add {
    Add {
        path: file.path.clone(),
        partition_values: partition_values(file),
        size: i64::try_from(file.size_bytes).unwrap_or(i64::MAX),
        modification_time: file.modified.0 / 1_000_000,
        data_change,
        stats: file.delta_stats.clone(),
        tags: file.object.tail().map(|tail| HashMap::from([(TAG.to_owned(), Some(tail.to_tag()))])),
        ..Add::default()
    }
}

pub fn remove(file: &DataFile, data_change: bool) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change,
        deletion_timestamp: Some(writer::now().0 / 1_000_000),
        extended_file_metadata: Some(true),
        partition_values: Some(partition_values(file)),
        size: Some(i64::try_from(file.size_bytes).unwrap_or(i64::MAX)),
        ..Remove::default()
    }
}

fn partition_values(file: &DataFile) -> HashMap<String, Option<String>> {
    let day = (DAY.to_owned(), Some(writer::day_text(file.day)));
    let slice = file.slice.as_ref().map(|slice| (SLICE.to_owned(), Some(slice.clone())));
    [day].into_iter().chain(slice).collect()
}

/// The day of a file, as the log spells it: in the order of time.
pub fn day(add: &Add) -> Option<&str> {
    add.partition_values.get(DAY)?.as_deref()
}

/// A file of the log. Reads its bloom sidecar where there is room for it, and its footer where the log's statistics lack what we need.
pub async fn data_file(home: &Home, table: Table, add: Add) -> Result<Arc<DataFile>, StoreError> {
    let tail = add.tags.as_ref().and_then(|tags| Tail::from_tag(tags.get(TAG)?.as_deref()?));
    let mut object = Object::new(home, table, &add.path, add.size.unsigned_abs(), tail)?;
    let name = object.name().to_owned();
    let bad = |problem: String| StoreError::BadFormat { path: home.name(&name), problem };
    if add.deletion_vector.is_some() {
        let problem = "another writer deleted rows of it by a deletion vector, which is not read here; \
                       have that writer rewrite the file (REORG TABLE … APPLY (PURGE))";
        return Err(bad(problem.into()));
    }
    let value = |column: &str| add.partition_values.get(column).cloned().flatten();
    let day = value(DAY).as_deref().and_then(writer::parse_day);
    let day = day.ok_or_else(|| bad(format!("the log gives it no day but {:?}", value(DAY))))?;
    let logged = add.stats.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let stats = match logged.and_then(|logged| FileStats::from_delta(table, &logged)) {
        Some(stats) => stats,
        None => {
            let context = object.context();
            let footer = object.footer_once().await.map_err(StoreError::parquet(context))?.arrow;
            FileStats::from_delta(table, &stats::delta_json(table, footer.metadata())).ok_or_else(|| {
                bad(format!("neither the log nor its footer has the range of {}", table.time_column()))
            })?
        }
    };
    let filters = match table {
        Table::Spans => Some(Filters::of(object.clone(), stats.time_range.1, None).read_where_room().await?),
        _ => None,
    };
    let slice = value(SLICE);
    Ok(Arc::new(DataFile {
        day,
        slice,
        size_bytes: add.size.unsigned_abs(),
        rows: stats.rows,
        modified: UnixNanos(add.modification_time.saturating_mul(1_000_000)),
        time_range: stats.time_range,
        wal_seq_max: stats.wal_seq_max,
        supersedes: stats.supersedes,
        filters,
        delta_stats: add.stats,
        path: add.path,
        object,
    }))
}
