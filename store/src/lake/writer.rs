//! Writes data files. Blocking: call it where that is allowed.
//!
//! A file is durable when its writer has finished, but it is part of the table only once it is committed
//! (see [`super::LakeTable::commit`]); what a crash leaves in between is removed by vacuum.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::UInt32Array;
use arrow::datatypes::SchemaRef;
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
    let columns = (0..rows.schema.fields().len()).filter(|index| !rows.is_null(*index)).collect();
    let mut files = Writing::begin(home, table, columns, effort)?;
    files.append(rows, parts)?;
    files.finish()
}

/// Files of one table that are being written, one for each partition, a row group of each at a time.
pub struct Writing {
    home: Home,
    table: Table,
    /// Of the table's file schema, those that the files have.
    columns: Vec<usize>,
    schema: SchemaRef,
    effort: Effort,
    compressors: Compressors,
    files: Vec<FileWriter>,
}

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writing").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Writing {
    /// `columns` are those that some row may have a value in.
    pub fn begin(home: &Home, table: Table, columns: Vec<usize>, effort: Effort) -> Result<Self, StoreError> {
        let all = table.file_schema();
        let schema = Arc::new(all.project(&columns).map_err(StoreError::arrow("columns of files"))?);
        let compressors = Compressors::new(effort.zstd_level());
        let compressors = compressors.map_err(StoreError::io(home.name(table.as_str())))?;
        Ok(Self { home: home.clone(), table, columns, schema, effort, compressors, files: Vec::new() })
    }

    /// Appends a row group to the file of each part, which is sorted after those before.
    pub fn append(&mut self, rows: &Gather<'_>, parts: &[Part<'_>]) -> Result<(), StoreError> {
        let mut part_of = vec![None; self.files.len()];
        for (index, part) in parts.iter().enumerate() {
            let at = match self.files.iter().position(|file| file.is_of(part.partition)) {
                Some(at) => at,
                None => {
                    self.files.push(FileWriter::create(self, part.partition)?);
                    part_of.push(None);
                    self.files.len() - 1
                }
            };
            part_of[at] = Some(index);
        }
        let mut groups = Vec::with_capacity(parts.len());
        for (file, part) in self.files.iter_mut().zip(part_of) {
            if let Some(part) = part {
                groups.push((file.row_group()?, &parts[part]));
            }
        }
        for index in &self.columns {
            let column = rows.column(*index)?;
            for (group, part) in &mut groups {
                group.append(rows, *index, &column, &part.rows, &mut self.compressors)?;
            }
        }
        groups.into_iter().try_for_each(|(group, _)| group.close())
    }

    /// Makes them and their sidecars durable, in the order in which their first rows came.
    pub fn finish(self) -> Result<Vec<DataFile>, StoreError> {
        self.files.into_iter().map(FileWriter::finish).collect()
    }
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
    writer: SerializedFileWriter<Upload>,
    groups: usize,
    /// What its filters are made of.
    trace_ids: Vec<TraceId>,
    tokens: Option<Tokens>,
}

impl FileWriter {
    fn create(of: &Writing, partition: Partition<'_>) -> Result<Self, StoreError> {
        let path = format!("{}{}.parquet", partition.folder(), Uuid::new_v4());
        let upload = Upload::new(&of.home, format!("{}/{path}", of.table.as_str()));
        let context = upload.context();
        let parquet =
            ArrowSchemaConverter::new().convert(&of.schema).map_err(StoreError::parquet(context.as_str()))?;
        let properties = writer_properties(of.table, of.effort, &of.schema, &parquet)?;
        let writer = SerializedFileWriter::new(upload, parquet.root_schema_ptr(), Arc::new(properties));
        Ok(Self {
            home: of.home.clone(),
            table: of.table,
            day: partition.day,
            slice: partition.slice.map(Into::into),
            writer: writer.map_err(StoreError::parquet(context))?,
            path,
            schema: of.schema.clone(),
            groups: 0,
            trace_ids: Vec::new(),
            tokens: (of.table == Table::Spans && of.effort == Effort::Thorough).then(Tokens::default),
        })
    }

    fn is_of(&self, partition: Partition<'_>) -> bool {
        self.day == partition.day && self.slice.as_deref() == partition.slice
    }

    fn row_group(&mut self) -> Result<GroupWriter<'_>, StoreError> {
        let context = self.context();
        let writers = ArrowRowGroupWriterFactory::new(&self.writer, self.schema.clone());
        let writers =
            writers.create_column_writers(self.groups).map_err(StoreError::parquet(context.as_str()))?;
        self.groups += 1;
        let properties = self.writer.properties().clone();
        let leaves = self.writer.schema_descr().columns().to_vec().into_iter();
        let group = self.writer.next_row_group().map_err(StoreError::parquet(context.as_str()))?;
        Ok(GroupWriter {
            table: self.table,
            group,
            writers: writers.into_iter(),
            leaves,
            properties,
            trace_ids: &mut self.trace_ids,
            tokens: self.tokens.as_mut(),
            context,
        })
    }

    /// Makes the file and its sidecar durable. A file without rows is refused.
    fn finish(mut self) -> Result<DataFile, StoreError> {
        let context = self.context();
        self.writer.flush().map_err(|e| StoreError::parquet(context.as_str())(e.into()))?;
        let sums = self.writer.inner_mut().end_data();
        self.writer.append_key_value_metadata(sums);
        let footer = self.writer.finish().map_err(StoreError::parquet(context.as_str()))?;
        let upload = self.writer.inner_mut();
        let (size_bytes, tail) = upload.finish()?;
        let name = upload.name().to_owned();

        let delta_stats = stats::delta_json(self.table, &footer);
        let Some(stats) = FileStats::from_delta(self.table, &delta_stats).filter(|s| s.rows > 0) else {
            return Err(StoreError::BadFormat {
                path: context.into(),
                problem: "a file without rows".into(),
            });
        };
        let object = Object::new(&self.home, self.table, &self.path, size_bytes, Some(tail))?;
        let filters = match self.table {
            Table::Spans => {
                let tokens = self.tokens.map(Tokens::finish).transpose()?;
                let sidecar = Sidecar { traces: TraceBloom::of(&self.trace_ids)?.into(), tokens };
                self.home.wait(sidecar.write(&self.home, &name))?;
                Some(Filters::of(object.clone(), stats.time_range.1, Some(sidecar)))
            }
            _ => None,
        };
        Ok(DataFile {
            path: self.path,
            object,
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
