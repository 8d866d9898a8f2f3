//! Writes data files. Blocking: call it where that is allowed.
//!
//! A file is durable when its writer has finished, but it is part of the table only once it is committed
//! (see [`super::LakeTable::commit`]); what a crash leaves in between is removed by vacuum.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::UInt32Array;
use arrow::datatypes::{Schema, SchemaRef};
use chrono::NaiveDate;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::file::writer::SerializedFileWriter;
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{TraceId, UnixNanos};
use uuid::Uuid;

use super::bloom::TraceBloom;
use super::chunk::Compressors;
use super::filters::Filters;
use super::gather::Gather;
use super::group::GroupWriter;
use super::object::Object;
use super::properties::{Effort, writer_properties};
use super::sidecar::Sidecar;
use super::stats::{self, FileStats};
use super::tokens::Tokens;
use super::upload::Upload;
use crate::error::StoreError;
use crate::home::Home;
use crate::snapshot::DataFile;

/// In which folder of its table a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Partition<'a> {
    /// Days since the epoch.
    pub day: i32,
    /// A slug (see `plimsoll_schemas::Slice::slug`), for tables that are partitioned by it.
    pub slice: Option<&'a str>,
}

impl Partition<'_> {
    /// Relative to the table's root, with a slash at its end.
    fn folder(&self) -> String {
        let day = day_text(self.day);
        match self.slice {
            Some(slice) => format!("day={day}/slice={slice}/"),
            None => format!("day={day}/"),
        }
    }
}

/// `2026-11-20`: a day as the log and the folders spell it.
pub(super) fn day_text(day: i32) -> String {
    NaiveDate::from_epoch_days(day).unwrap_or_default().to_string()
}

pub(super) fn parse_day(text: &str) -> Option<i32> {
    text.parse::<NaiveDate>().ok().map(|d| d.to_epoch_days())
}

/// The rows of one file, which belong to its partition, in the order of the table's `sort_columns`.
#[derive(Debug)]
pub struct Part<'a> {
    pub partition: Partition<'a>,
    /// Numbers of rows, see [`Gather`].
    pub rows: UInt32Array,
}

/// Writes the parts as a file each, column by column. Columns that are null throughout are left out: readers fill them in.
pub fn write_files(
    home: &Home,
    table: Table,
    rows: &Gather<'_>,
    parts: &[Part<'_>],
    effort: Effort,
) -> Result<Vec<DataFile>, StoreError> {
    let mut columns = Vec::new();
    let mut fields = Vec::new();
    for (index, field) in rows.schema.fields().iter().enumerate() {
        if !rows.is_null(index) {
            columns.push(index);
            fields.push(field.clone());
        }
    }
    let schema = Arc::new(Schema::new(fields));
    let mut files = Vec::with_capacity(parts.len());
    for part in parts {
        files.push(FileWriter::create(home, table, part.partition, schema.clone(), effort)?);
    }
    let mut groups = Vec::with_capacity(parts.len());
    for file in &mut files {
        groups.push(file.row_group()?);
    }
    let mut compressors =
        Compressors::new(effort.zstd_level()).map_err(StoreError::io(home.name(table.as_str())))?;
    for index in columns {
        let column = rows.column(index)?;
        for (group, part) in groups.iter_mut().zip(parts) {
            group.append(rows, index, &column, &part.rows, &mut compressors)?;
        }
    }
    let mut known = Vec::with_capacity(parts.len());
    for group in groups {
        known.push(group.close()?);
    }
    files.into_iter().zip(known).map(|(file, (ids, tokens))| file.finish(&ids, tokens)).collect()
}

/// A file that is being written.
struct FileWriter {
    home: Home,
    table: Table,
    day: i32,
    slice: Option<String>,
    /// Relative to the table's folder.
    path: String,
    schema: SchemaRef,
    effort: Effort,
    writer: SerializedFileWriter<Upload>,
}

impl FileWriter {
    fn create(
        home: &Home,
        table: Table,
        partition: Partition<'_>,
        schema: SchemaRef,
        effort: Effort,
    ) -> Result<Self, StoreError> {
        let path = format!("{}{}.parquet", partition.folder(), Uuid::new_v4());
        let upload = Upload::new(home, format!("{}/{path}", table.as_str()));
        let context = upload.context();
        let parquet =
            ArrowSchemaConverter::new().convert(&schema).map_err(StoreError::parquet(context.as_str()))?;
        let properties = writer_properties(table, effort, &schema, &parquet)?;
        let writer = SerializedFileWriter::new(upload, parquet.root_schema_ptr(), Arc::new(properties));
        Ok(Self {
            home: home.clone(),
            table,
            day: partition.day,
            slice: partition.slice.map(Into::into),
            writer: writer.map_err(StoreError::parquet(context))?,
            path,
            schema,
            effort,
        })
    }

    /// The file's only row group: the page index finds pages only within one.
    fn row_group(&mut self) -> Result<GroupWriter<'_>, StoreError> {
        let context = self.context();
        let writers = ArrowRowGroupWriterFactory::new(&self.writer, self.schema.clone());
        let writers = writers.create_column_writers(0).map_err(StoreError::parquet(context.as_str()))?;
        let properties = self.writer.properties().clone();
        let leaves = self.writer.schema_descr().columns().to_vec().into_iter();
        let group = self.writer.next_row_group().map_err(StoreError::parquet(context.as_str()))?;
        Ok(GroupWriter {
            table: self.table,
            group,
            writers: writers.into_iter(),
            leaves,
            properties,
            trace_ids: Vec::new(),
            tokens: (self.table == Table::Spans && self.effort == Effort::Thorough).then(Tokens::default),
            context,
        })
    }

    /// Makes the file and its sidecar durable. A file without rows is refused.
    fn finish(mut self, trace_ids: &[TraceId], tokens: Option<Tokens>) -> Result<DataFile, StoreError> {
        let context = self.context();
        let footer = self.writer.finish().map_err(StoreError::parquet(context.as_str()))?;
        let upload = self.writer.inner_mut();
        let size_bytes = upload.finish()?;
        let name = upload.name().to_owned();

        let delta_stats = stats::delta_json(self.table, &footer);
        let Some(stats) = FileStats::from_delta(self.table, &delta_stats).filter(|s| s.rows > 0) else {
            return Err(StoreError::BadFormat {
                path: context.into(),
                problem: "a file without rows".into(),
            });
        };
        let filters = match self.table {
            Table::Spans => {
                let tokens = tokens.map(Tokens::finish).transpose()?;
                let sidecar = Sidecar { traces: TraceBloom::of(trace_ids)?, tokens };
                self.home.wait(sidecar.write(&self.home, &name))?;
                let object = Object::new(&self.home, self.table, &self.path, size_bytes)?;
                Some(Filters::of(object, stats.time_range.1, Some(sidecar)))
            }
            _ => None,
        };
        Ok(DataFile {
            path: self.path,
            size_bytes,
            rows: stats.rows,
            modified: now(),
            day: self.day,
            slice: self.slice,
            time_range: stats.time_range,
            wal_seq_max: stats.wal_seq_max,
            supersedes: stats.supersedes,
            filters,
            delta_stats: Some(delta_stats.to_string()),
        })
    }

    fn context(&self) -> String {
        self.writer.inner().context()
    }
}

pub(crate) fn now() -> UnixNanos {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixNanos(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))
}
