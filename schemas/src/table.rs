//! The tables: their names, columns and partitioning, in Arrow's terms.
//!
//! A table's Arrow schema here is what tail and files hold. Delta has no nanosecond timestamp, so
//! `*_unix_nano` (BIGINT) is the truth and `*_time` (TIMESTAMP, µs, UTC) is for people and for pruning by other readers.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use crate::attr::{Attr, AttrType};

/// A table of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One row per span.
    Spans,
    /// One row per OTLP log record.
    LogRecords,
    /// One row per verdict, append-only; the latest per target, metric and evaluator counts.
    Verdicts,
    /// One row per settled trace.
    Traces,
    /// One row per (trace, stage, run): the fact table of goodput and queueing.
    StageRuns,
    /// One row per attempt in a group of two or more.
    Attempts,
    /// One row per (trace, edge, window): calls and attempts, so that amplification needs no scan of spans.
    Edges,
    /// One row per thing that should not have been done.
    Violations,
    /// One row per minute, slice, stage and objective: counts and histograms.
    StageMinutes,
    /// The same by the hour, so that an answer over weeks reads few rows.
    StageHours,
}

impl Table {
    pub const ALL: [Self; 10] = [
        Self::Spans,
        Self::LogRecords,
        Self::Verdicts,
        Self::Traces,
        Self::StageRuns,
        Self::Attempts,
        Self::Edges,
        Self::Violations,
        Self::StageMinutes,
        Self::StageHours,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::LogRecords => "log_records",
            Self::Verdicts => "verdicts",
            Self::Traces => "traces",
            Self::StageRuns => "stage_runs",
            Self::Attempts => "attempts",
            Self::Edges => "edges",
            Self::Violations => "violations",
            Self::StageMinutes => "stage_minutes",
            Self::StageHours => "stage_hours",
        }
    }

    /// Computed by settling, so that it can always be derived again; rows carry a `revision`,
    /// and a newer one of the same trace supersedes the older.
    pub const fn is_of_traces(self) -> bool {
        matches!(self, Self::Traces | Self::StageRuns | Self::Attempts | Self::Edges | Self::Violations)
    }

    /// Computed from the settled runs of a stretch of time; a newer `revision` of the same stretch and objective
    /// supersedes the older.
    pub const fn is_rollup(self) -> bool {
        matches!(self, Self::StageMinutes | Self::StageHours)
    }

    /// Not fed by the log: a crash loses nothing that could not be computed again.
    pub const fn is_derived(self) -> bool {
        self.is_of_traces() || self.is_rollup()
    }

    /// The folders below the table, outermost first. They are columns too, but not in the files.
    pub const fn partition_columns(self) -> &'static [&'static str] {
        match self {
            Self::Spans => &["day", "slice"],
            _ => &["day"],
        }
    }

    /// The column whose UTC day is the `day` partition.
    pub const fn time_column(self) -> &'static str {
        match self {
            Self::LogRecords => "time_unix_nano",
            Self::Verdicts => "judged_unix_nano",
            Self::Edges => "window_unix_nano",
            _ => "start_unix_nano",
        }
    }

    /// By what the rows of a file are sorted.
    pub const fn sort_columns(self) -> &'static [&'static str] {
        match self {
            Self::Spans => &["trace_id", "start_unix_nano"],
            Self::LogRecords => &["time_unix_nano"],
            Self::Verdicts => &["judged_unix_nano"],
            Self::Edges => &["window_unix_nano"],
            _ => &["start_unix_nano"],
        }
    }

    /// The columns of the data files, without the partition columns.
    pub fn file_schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<[SchemaRef; 10]> =
            LazyLock::new(|| Table::ALL.map(|t| Arc::new(t.build_schema())));
        SCHEMAS[self as usize].clone()
    }

    /// What SQL sees: the columns of the files, then the partition columns.
    pub fn sql_schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<[SchemaRef; 10]> = LazyLock::new(|| {
            Table::ALL.map(|t| {
                let mut fields = t.file_schema().fields().to_vec();
                fields.extend(t.partition_fields());
                Arc::new(Schema::new(fields))
            })
        });
        SCHEMAS[self as usize].clone()
    }

    /// `day` is a date, `slice` a keyword.
    pub fn partition_fields(self) -> Vec<Arc<Field>> {
        self.partition_columns()
            .iter()
            .map(|name| {
                let data_type = if *name == "day" { DataType::Date32 } else { keyword() };
                Arc::new(Field::new(*name, data_type, false))
            })
            .collect()
    }

    fn build_schema(self) -> Schema {
        Schema::new(match self {
            Self::Spans => spans(),
            Self::LogRecords => log_records(),
            Self::Verdicts => verdicts(),
            Self::Traces => traces(),
            Self::StageRuns => stage_runs(),
            Self::Attempts => attempts(),
            Self::Edges => edges(),
            Self::Violations => violations(),
            Self::StageMinutes | Self::StageHours => stage_cells(),
        })
    }
}

/// The columns of `spans` that settling fills in; null until a span's trace was merged into its slice.
pub const SPAN_DERIVED_COLUMNS: &[&str] =
    &["stage", "workload_class", "model", "hardware", "outcome", "queue_ns", "queue_source", "attempt"];

/// Text of few distinct values.
pub fn keyword() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// A point in time for people.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Attributes that have no column of their own: key → text. The types that are not text stand in the
/// `*_types` column beside it.
pub fn attribute_map() -> DataType {
    let entry = Fields::from(vec![text("key", false), text("value", true)]);
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
}

/// One struct of `spans.events`.
pub fn event_fields() -> Fields {
    Fields::from(vec![
        int("time_unix_nano", false),
        text("name", false),
        map("attributes"),
        text("attribute_types", true),
        Field::new("dropped_attributes_count", DataType::Int32, true),
    ])
}

/// One struct of `spans.links`.
pub fn link_fields() -> Fields {
    Fields::from(vec![
        text("trace_id", false),
        text("span_id", false),
        text("trace_state", true),
        map("attributes"),
        text("attribute_types", true),
        Field::new("flags", DataType::Int32, true),
        Field::new("dropped_attributes_count", DataType::Int32, true),
    ])
}

/// The element of the list columns `events` and `links`.
pub fn list_item(fields: Fields) -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(fields), false))
}

/// The column type of a promoted attribute.
pub fn attribute_type(kind: AttrType) -> DataType {
    match kind {
        AttrType::Keyword => keyword(),
        AttrType::Text => DataType::Utf8,
        AttrType::Int => DataType::Int64,
        AttrType::Double => DataType::Float64,
        AttrType::Bool => DataType::Boolean,
    }
}

fn word(name: &str, nullable: bool) -> Field {
    Field::new(name, keyword(), nullable)
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

fn int(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Int64, nullable)
}

fn small(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Int32, nullable)
}

fn map(name: &str) -> Field {
    Field::new(name, attribute_map(), true)
}

fn time(name: &str) -> Field {
    Field::new(name, timestamp(), false)
}

fn strings(name: &str) -> Field {
    Field::new(name, DataType::List(Arc::new(text("element", false))), true)
}

fn slice_columns() -> [Field; 3] {
    [word("workload_class", true), word("model", true), word("hardware", true)]
}

fn spans() -> Vec<Field> {
    let mut fields = vec![
        word("tenant", false),
        text("trace_id", false),
        text("span_id", false),
        text("parent_span_id", true),
        int("start_unix_nano", false),
        time("start_time"),
        // Negative when the span ends before it starts: kept as sent.
        int("duration_ns", false),
        word("name", false),
        word("kind", false),
        word("status_code", false),
        word("status_message", true),
        word("service_name", false),
        word("scope_name", false),
        word("scope_version", true),
        word("trace_state", true),
        small("flags", true),
        word("stage", true),
        word("workload_class", true),
        word("model", true),
        word("hardware", true),
        word("outcome", true),
        int("queue_ns", true),
        word("queue_source", true),
        small("attempt", true),
    ];
    fields.extend(Attr::ALL.iter().map(|a| Field::new(a.info().column, attribute_type(a.info().kind), true)));
    fields.extend([
        map("attributes"),
        word("attribute_types", true),
        // Which of the attribute columns were filled from other words of the emitter's (see `emitters`), by name, with commas.
        word("normalized_attributes", true),
        map("resource_attributes"),
        word("resource_attribute_types", true),
        map("scope_attributes"),
        word("scope_attribute_types", true),
        word("resource_schema_url", true),
        word("scope_schema_url", true),
        Field::new("events", DataType::List(list_item(event_fields())), true),
        Field::new("links", DataType::List(list_item(link_fields())), true),
        small("dropped_attributes_count", true),
        small("dropped_events_count", true),
        small("dropped_links_count", true),
        int("ingest_unix_nano", false),
        int("wal_seq", false),
    ]);
    fields
}

fn log_records() -> Vec<Field> {
    vec![
        word("tenant", false),
        int("time_unix_nano", false),
        time("time"),
        int("observed_unix_nano", true),
        text("trace_id", true),
        text("span_id", true),
        small("severity_number", true),
        word("severity_text", true),
        word("event_name", true),
        // Text as it is; any other value as JSON, and then body_type says which.
        text("body", true),
        word("body_type", true),
        word("service_name", false),
        word("scope_name", false),
        word("scope_version", true),
        map("attributes"),
        word("attribute_types", true),
        map("resource_attributes"),
        word("resource_attribute_types", true),
        map("scope_attributes"),
        word("scope_attribute_types", true),
        small("flags", true),
        small("dropped_attributes_count", true),
        int("ingest_unix_nano", false),
        int("wal_seq", false),
    ]
}

fn verdicts() -> Vec<Field> {
    vec![
        word("tenant", false),
        text("trace_id", true),
        text("span_id", true),
        text("response_id", true),
        text("session_id", true),
        word("metric", false),
        word("label", true),
        Field::new("score", DataType::Float64, true),
        Field::new("pass", DataType::Boolean, true),
        word("evaluator", true),
        word("evaluator_version", true),
        text("explanation", true),
        int("judged_unix_nano", false),
        time("judged_at"),
        // `otlp_log`, `otlp_span` or `api`.
        word("source", false),
        int("ingest_unix_nano", false),
        int("wal_seq", false),
    ]
}

fn envelope_columns() -> impl Iterator<Item = Field> {
    use crate::EnvelopeKey;
    EnvelopeKey::ALL.into_iter().map(|key| match key {
        EnvelopeKey::Concurrency => int(key.as_str(), true),
        _ => word(key.as_str(), true),
    })
}

/// The time of a run or trace by class; on the critical path never `blocked`.
fn class_columns(prefix: &str, blocked: bool) -> Vec<Field> {
    crate::TimeClass::ALL
        .into_iter()
        .filter(|c| blocked || *c != crate::TimeClass::Blocked)
        .map(|c| int(&format!("{prefix}{}_ns", c.as_str()), c == crate::TimeClass::Queue))
        .collect()
}

fn traces() -> Vec<Field> {
    let mut fields = vec![
        word("tenant", false),
        text("trace_id", false),
        text("root_span_id", false),
        word("root_service", false),
        word("root_name", false),
        int("start_unix_nano", false),
        time("start_time"),
        int("duration_ns", false),
        word("outcome", false),
        small("span_count", false),
        small("error_count", false),
    ];
    fields.extend(slice_columns());
    fields.extend(envelope_columns());
    // Parts of the critical path: they sum to duration_ns.
    fields.extend(class_columns("path_", false));
    fields.extend([
        small("logical_calls", false),
        small("attempts", false),
        small("retries", false),
        int("wasted_ns", false),
        int("input_tokens", true),
        int("output_tokens", true),
        Field::new("cost_usd", DataType::Float64, true),
        text("session_id", true),
        // What both sides of an experiment were given.
        text("task_id", true),
        // Space-separated words, see `analysis::TraceFlags`.
        word("flags", true),
        // When it had to be done, where it says so.
        int("deadline_unix_nano", true),
        // How many traces this one stands for, where its sampler says so.
        Field::new("adjusted_count", DataType::Float64, true),
        int("revision", false),
        // True where an earlier revision of this trace may exist in the derived tables.
        Field::new("resettled", DataType::Boolean, false),
    ]);
    fields
}

fn stage_runs() -> Vec<Field> {
    let mut fields = vec![
        word("tenant", false),
        text("trace_id", false),
        word("stage", false),
        text("root_span_id", false),
        // The other spans of the run, so that a verdict on any of them finds it.
        strings("span_ids"),
        strings("response_ids"),
        word("service", false),
        word("name", false),
        Field::new("is_request", DataType::Boolean, false),
        int("start_unix_nano", false),
        time("start_time"),
        int("duration_ns", false),
        word("outcome", false),
        word("queue_source", true),
    ];
    fields.extend(class_columns("", true));
    fields.extend([
        // Nanoseconds of the trace's critical path that lie in this run.
        int("path_ns", false),
        small("attempts", false),
        small("span_count", false),
        small("error_count", false),
    ]);
    fields.extend(slice_columns());
    fields.extend(envelope_columns());
    fields.extend([
        int("input_tokens", true),
        int("output_tokens", true),
        Field::new("cost_usd", DataType::Float64, true),
        text("session_id", true),
        // The stages through which it was called, from the request's own: `agent > execute > gateway`.
        word("context", true),
        int("revision", false),
    ]);
    // The part of the trace's critical path that lies in this run: over the runs of a trace they sum to its duration.
    fields.extend(class_columns("path_", false).into_iter().map(|f| f.with_nullable(true)));
    // When it had to be done, as far as it or who called for it says.
    fields.push(int("deadline_unix_nano", true));
    // How many runs this one stands for, where its sampler says so.
    fields.push(Field::new("adjusted_count", DataType::Float64, true));
    fields
}

fn attempts() -> Vec<Field> {
    let mut fields = vec![
        word("tenant", false),
        text("trace_id", false),
        // The span id of the group's first attempt.
        text("group_id", false),
        word("group_source", false),
        word("caller", false),
        word("callee", false),
        word("operation", false),
        text("span_id", false),
        small("ordinal", false),
        small("attempts", false),
        int("start_unix_nano", false),
        time("start_time"),
        int("duration_ns", false),
        word("outcome", false),
        Field::new("superseded", DataType::Boolean, false),
        Field::new("hedge", DataType::Boolean, false),
        // The planned delay before this attempt.
        int("backoff_ns", false),
        text("idempotency_key", true),
    ];
    fields.extend(slice_columns());
    fields.push(int("revision", false));
    fields
}

/// Counts of a rollup's cell besides those by outcome; what each counts is said where goodput is defined.
pub const CELL_COUNTS: [&str; 6] = ["good_low", "good_high", "judged", "unjudged", "late", "green_but_wrong"];
/// Kinds of runs of which a cell names the slowest trace.
pub const CELL_SAMPLES: [&str; 5] = ["good", "late", "failed", "green_but_wrong", "unjudged"];
/// Histograms of a cell: HdrHistogram's V2 encoding, of nanoseconds.
pub const CELL_HISTOGRAMS: [&str; 3] = ["duration_hdr", "queue_hdr", "compute_hdr"];

fn stage_cells() -> Vec<Field> {
    let mut fields = vec![word("tenant", false), word("stage", false)];
    fields.extend(slice_columns());
    fields.extend([
        // How many runs each of these stands for; null: not known.
        Field::new("adjusted_count", DataType::Float64, true),
        // By which of the runs of the stage were judged; null: all of them, by none.
        word("objective", true),
        int("start_unix_nano", false),
        time("start_time"),
        int("runs", false),
    ]);
    fields.extend(crate::Outcome::ALL.iter().map(|o| int(&format!("outcome_{}", o.as_str()), false)));
    fields.extend(CELL_COUNTS.map(|name| int(name, false)));
    fields.push(int("duration_max_ns", true));
    fields.extend(CELL_HISTOGRAMS.map(|name| Field::new(name, DataType::Binary, true)));
    fields.extend(CELL_SAMPLES.map(|kind| text(&format!("sample_{kind}"), true)));
    fields.extend([
        int("revision", false),
        // True where an earlier revision of this stretch and objective may exist.
        Field::new("rerolled", DataType::Boolean, false),
    ]);
    fields
}

fn violations() -> Vec<Field> {
    let mut fields = vec![
        word("tenant", false),
        text("trace_id", false),
        word("kind", false),
        // The call that should not have been made.
        text("span_id", false),
        text("group_id", true),
        int("start_unix_nano", false),
        time("start_time"),
        word("stage", false),
        word("caller", false),
        word("callee", false),
        word("operation", false),
        text("detail", false),
    ];
    fields.extend(slice_columns());
    fields.push(int("revision", false));
    fields
}

fn edges() -> Vec<Field> {
    let mut fields = vec![
        word("tenant", false),
        text("trace_id", false),
        word("caller", false),
        word("callee", false),
        word("operation", false),
        // Start of the window ([`crate::Rules::EDGE_WINDOW`]) in which these attempts started.
        int("window_unix_nano", false),
        time("window_time"),
        // Counted in the window of their first attempt.
        small("logical_calls", false),
        small("attempts", false),
        small("retries", false),
        small("hedges", false),
        small("failed_attempts", false),
        int("wasted_ns", false),
        int("backoff_ns", false),
    ];
    fields.extend(slice_columns());
    fields.extend([
        // Of the failed attempts, by how they failed; the rest are dependency, cancelled and internal.
        small("failed_overload", true),
        small("failed_deadline", true),
        small("failed_correctness", true),
        // Attempts of which it is known how long they queued at the far side, and that time.
        small("queue_known", true),
        int("queue_ns", true),
        // Of the calling spans, the depth of the one nearest to the root.
        small("depth", true),
        int("revision", false),
    ]);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_time_sort_and_derived_columns() {
        for table in Table::ALL {
            let schema = table.file_schema();
            let mut wanted = vec![table.time_column()];
            wanted.extend(table.sort_columns());
            if table == Table::Spans {
                wanted.extend(SPAN_DERIVED_COLUMNS);
            }
            for column in wanted {
                assert!(schema.field_with_name(column).is_ok(), "{}.{column}", table.as_str());
            }
            let names: std::collections::HashSet<_> = schema.fields().iter().map(|f| f.name()).collect();
            assert_eq!(names.len(), schema.fields().len(), "{} repeats a column", table.as_str());
        }
    }
}
