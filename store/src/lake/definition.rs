//! What a table is, in Delta's words: its schema, protocol and properties; made once, and widened by later versions of us.

use std::path::Path;

use arrow::datatypes::{DataType as ArrowType, Field, Schema};
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{
    Action, CommitInfo, DataType, Metadata, MetadataExt, Protocol, StructField, StructType, new_metadata,
};
use plimsoll_schemas::table::Table;
use serde_json::json;

use super::log::delta;
use super::stats;
use crate::error::StoreError;

/// Long enough for a reader that plans now and reads later; each entry costs every listing of the log.
const LOG_RETENTION: &str = "interval 6 hours";
const DELETED_FILE_RETENTION: &str = "interval 1 hours";

/// The actions that make the table.
pub fn creation(table: Table) -> Result<Vec<Action>, StoreError> {
    let failed = |e: DeltaTableError| delta(table)(e);
    let skipping = stats::columns(table).collect::<Vec<_>>().join(",");
    let properties = [
        ("delta.logRetentionDuration", LOG_RETENTION),
        ("delta.deletedFileRetentionDuration", DELETED_FILE_RETENTION),
        ("delta.dataSkippingStatsColumns", &skipping),
    ];
    let metadata = new_metadata(&schema(table)?, table.partition_columns(), properties)
        .and_then(|m| m.with_name(table.as_str().to_owned()))
        .map_err(|e| failed(e.into()))?;
    Ok(vec![commit_info("CREATE TABLE"), Action::Protocol(protocol(table)?), Action::Metadata(metadata)])
}

/// Who did what: for people.
fn commit_info(operation: &str) -> Action {
    Action::CommitInfo(CommitInfo {
        timestamp: Some(chrono::Utc::now().timestamp_millis()),
        operation: Some(operation.into()),
        engine_info: Some(concat!("plimsoll/", env!("CARGO_PKG_VERSION")).into()),
        ..CommitInfo::default()
    })
}

/// The oldest protocol: everyone reads it, and nothing here needs a newer one.
fn protocol(table: Table) -> Result<Protocol, StoreError> {
    serde_json::from_value(json!({ "minReaderVersion": 1, "minWriterVersion": 2 }))
        .map_err(|e| delta(table)(DeltaTableError::Generic(e.to_string())))
}

/// What SQL sees of the table, in Delta's types.
fn schema(table: Table) -> Result<StructType, StoreError> {
    let fields: Vec<_> = table.sql_schema().fields().iter().map(|f| plain(f)).collect();
    (&Schema::new(fields))
        .try_into_kernel()
        .map_err(StoreError::arrow(format!("schema of {} in Delta's types", table.as_str())))
}

/// Delta has no dictionaries: they are the text that they stand for.
fn plain(field: &Field) -> Field {
    match field.data_type() {
        ArrowType::Dictionary(_, value) => field.clone().with_data_type((**value).clone()),
        _ => field.clone(),
    }
}

/// The actions that add the columns that an older version of us did not know; `None` if all are there.
pub fn widened(
    table: Table,
    root: &Path,
    present: &StructType,
    metadata: &Metadata,
) -> Result<Option<Vec<Action>>, StoreError> {
    let bad = |problem: String| StoreError::BadFormat { path: root.into(), problem };
    let mut fields: Vec<StructField> = present.fields().cloned().collect();
    for ours in schema(table)?.fields() {
        match present.field(ours.name()) {
            Some(theirs) if same_type(theirs.data_type(), ours.data_type()) => {}
            Some(theirs) => {
                return Err(bad(format!(
                    "column {} is {} there and {} here; move the folder away to start with an empty table",
                    ours.name(),
                    theirs.data_type(),
                    ours.data_type()
                )));
            }
            // The rows that are there have none.
            None => fields.push(StructField::nullable(ours.name(), ours.data_type().clone())),
        }
    }
    if fields.len() == present.fields().len() {
        return Ok(None);
    }
    let schema = StructType::try_new(fields).map_err(|e| bad(e.to_string()))?;
    let metadata = metadata.clone().with_schema(&schema).map_err(|e| delta(table)(e.into()))?;
    Ok(Some(vec![commit_info("ADD COLUMNS"), Action::Metadata(metadata)]))
}

/// Types as readers see them: nullability inside maps and lists may differ between writers.
fn same_type(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::Primitive(a), DataType::Primitive(b)) => a == b,
        (DataType::Array(a), DataType::Array(b)) => same_type(a.element_type(), b.element_type()),
        (DataType::Map(a), DataType::Map(b)) => {
            same_type(a.key_type(), b.key_type()) && same_type(a.value_type(), b.value_type())
        }
        (DataType::Struct(a), DataType::Struct(b)) => {
            b.fields().all(|b| a.field(b.name()).is_some_and(|a| same_type(a.data_type(), b.data_type())))
        }
        _ => false,
    }
}
