//! The rows that settling writes: one analysis in, rows of `traces`, `stage_runs`, `attempts` and `edges` out.

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, ListBuilder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use plimsoll_analysis::{EdgeWindow, StageRun, Tokens, TraceAnalysis, group_id};
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Attr, Envelope, Slice, Span, SpanId, StatusCode, TimeClass, TraceId, UnixNanos};

use crate::error::StoreError;
use crate::keyword::KeywordBuilder;

/// What a settled trace's rows say of it besides its analysis.
#[derive(Debug, Clone, Copy)]
pub struct Settled<'a> {
    pub tenant: &'a str,
    pub trace_id: TraceId,
    /// The log sequence up to which this settling looked: the newer revision of a trace supersedes the older.
    pub revision: u64,
    /// Whether rows of an earlier revision may exist.
    pub resettled: bool,
}

/// Builders of one table, in the order of its file schema.
struct Rows {
    table: Table,
    columns: Vec<Column>,
    rows: usize,
    at: usize,
}

enum Column {
    Keyword(KeywordBuilder<'static>),
    Text(StringBuilder),
    Long(Int64Builder),
    Int(Int32Builder),
    Double(Float64Builder),
    Bool(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
    Texts(ListBuilder<StringBuilder>),
}

impl Column {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Dictionary(..) => Self::Keyword(KeywordBuilder::default()),
            DataType::Int64 => Self::Long(Int64Builder::new()),
            DataType::Int32 => Self::Int(Int32Builder::new()),
            DataType::Float64 => Self::Double(Float64Builder::new()),
            DataType::Boolean => Self::Bool(BooleanBuilder::new()),
            DataType::Timestamp(..) => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            DataType::List(field) => {
                Self::Texts(ListBuilder::new(StringBuilder::new()).with_field(field.clone()))
            }
            _ => Self::Text(StringBuilder::new()),
        }
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            Self::Keyword(b) => std::mem::take(b).finish(rows),
            Self::Text(b) => std::sync::Arc::new(b.finish()),
            Self::Long(b) => std::sync::Arc::new(b.finish()),
            Self::Int(b) => std::sync::Arc::new(b.finish()),
            Self::Double(b) => std::sync::Arc::new(b.finish()),
            Self::Bool(b) => std::sync::Arc::new(b.finish()),
            Self::Time(b) => std::sync::Arc::new(b.finish()),
            Self::Texts(b) => std::sync::Arc::new(b.finish()),
        }
    }
}

/// Appends one row column by column. A value of another type than its column's is a mistake in this file,
/// which the schema check of [`Rows::finish`] turns into an error.
impl Rows {
    fn new(table: Table) -> Self {
        let columns = table.file_schema().fields().iter().map(|f| Column::new(f.data_type())).collect();
        Self { table, columns, rows: 0, at: 0 }
    }

    fn next(&mut self) -> &mut Column {
        let column = &mut self.columns[self.at];
        self.at += 1;
        column
    }

    fn text(&mut self, value: impl Into<Option<&'static str>>) -> &mut Self {
        self.str(value.into())
    }

    fn str(&mut self, value: Option<&str>) -> &mut Self {
        match self.next() {
            Column::Keyword(b) => match value {
                Some(value) => b.push_copy(value),
                None => b.push(None),
            },
            Column::Text(b) => b.append_option(value),
            _ => {}
        }
        self
    }

    fn hex(&mut self, digits: &[u8]) -> &mut Self {
        self.str(std::str::from_utf8(digits).ok())
    }

    fn long(&mut self, value: Option<i64>) -> &mut Self {
        if let Column::Long(b) = self.next() {
            b.append_option(value);
        }
        self
    }

    fn int(&mut self, value: u32) -> &mut Self {
        if let Column::Int(b) = self.next() {
            b.append_value(i32::try_from(value).unwrap_or(i32::MAX));
        }
        self
    }

    fn double(&mut self, value: Option<f64>) -> &mut Self {
        if let Column::Double(b) = self.next() {
            b.append_option(value);
        }
        self
    }

    fn bool(&mut self, value: bool) -> &mut Self {
        if let Column::Bool(b) = self.next() {
            b.append_value(value);
        }
        self
    }

    /// The truth in nanoseconds and the timestamp for people, which stand side by side in every table.
    fn time(&mut self, time: UnixNanos) -> &mut Self {
        self.long(Some(time.0));
        if let Column::Time(b) = self.next() {
            b.append_value(time.micros());
        }
        self
    }

    fn texts<'t>(&mut self, values: impl Iterator<Item = &'t str>) -> &mut Self {
        self.list(|list| values.for_each(|value| list.append_value(value)))
    }

    fn hexes(&mut self, ids: impl Iterator<Item = SpanId>) -> &mut Self {
        self.list(|list| ids.for_each(|id| list.append_option(std::str::from_utf8(&id.hex()).ok())))
    }

    /// A list of nothing is null.
    fn list(&mut self, fill: impl FnOnce(&mut StringBuilder)) -> &mut Self {
        if let Column::Texts(b) = self.next() {
            let before = b.values().len();
            fill(b.values());
            let any = b.values().len() > before;
            b.append(any);
        }
        self
    }

    fn slice(&mut self, slice: &Slice<'_>) -> &mut Self {
        self.str(slice.workload_class).str(slice.model).str(slice.hardware)
    }

    fn envelope(&mut self, envelope: &Envelope<'_>) -> &mut Self {
        let Envelope { driver, runtime, model_digest, tokenizer_digest, concurrency } = *envelope;
        self.str(driver).str(runtime).str(model_digest).str(tokenizer_digest).long(concurrency)
    }

    fn tokens(&mut self, tokens: &Tokens) -> &mut Self {
        self.long(tokens.input).long(tokens.output).double(tokens.cost_usd)
    }

    fn end(&mut self) {
        debug_assert_eq!(self.at, self.columns.len(), "a row of {} is incomplete", self.table.as_str());
        self.at = 0;
        self.rows += 1;
    }

    fn finish(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let rows = std::mem::take(&mut self.rows);
        let columns = self.columns.iter_mut().map(|column| column.finish(rows)).collect();
        let batch = RecordBatch::try_new(self.table.file_schema(), columns)
            .map_err(StoreError::arrow(format!("rows of {}", self.table.as_str())))?;
        Ok(Some(batch))
    }
}

/// Collects the derived rows of many traces.
pub struct DerivedRows {
    traces: Rows,
    stage_runs: Rows,
    attempts: Rows,
    edges: Rows,
    violations: Rows,
}

impl std::fmt::Debug for DerivedRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DerivedRows").field("traces", &self.traces.rows).finish_non_exhaustive()
    }
}

impl Default for DerivedRows {
    fn default() -> Self {
        Self {
            traces: Rows::new(Table::Traces),
            stage_runs: Rows::new(Table::StageRuns),
            attempts: Rows::new(Table::Attempts),
            edges: Rows::new(Table::Edges),
            violations: Rows::new(Table::Violations),
        }
    }
}

impl DerivedRows {
    pub fn push(&mut self, of: Settled<'_>, spans: &[Span<'_>], analysis: &TraceAnalysis<'_>) {
        self.push_trace(of, spans, analysis);
        for run in &analysis.runs {
            self.push_run(of, spans, analysis, run);
        }
        self.push_attempts(of, spans, analysis);
        self.push_edges(of, &analysis.edges);
        self.push_violations(of, spans, analysis);
    }

    pub fn finish(&mut self) -> Result<Vec<(Table, RecordBatch)>, StoreError> {
        let mut batches = Vec::new();
        let all = [
            &mut self.traces,
            &mut self.stage_runs,
            &mut self.attempts,
            &mut self.edges,
            &mut self.violations,
        ];
        for rows in all {
            if let Some(batch) = rows.finish()? {
                batches.push((rows.table, batch));
            }
        }
        Ok(batches)
    }

    fn push_trace(&mut self, of: Settled<'_>, spans: &[Span<'_>], analysis: &TraceAnalysis<'_>) {
        let Some(root) = analysis.root else { return };
        let span = &spans[root];
        let errors = spans.iter().filter(|s| s.status == StatusCode::Error).count() as u32;
        let mut path = plimsoll_analysis::ClassTimes::default();
        for part in &analysis.critical_path {
            path.add(part.class, part.duration);
        }
        let queue_known = analysis.spans.iter().any(|s| s.queue_source.is_some());
        let totals = analysis.attempt_totals();
        let tokens = sum_tokens(&analysis.runs);
        let flags: Vec<_> = analysis.flags.words().collect();
        let request = analysis.runs.iter().find(|r| r.is_request);
        let outcome = request.map_or(analysis.spans[root].outcome, |r| r.outcome);
        let rows = &mut self.traces;
        rows.str(Some(of.tenant)).hex(&of.trace_id.hex()).hex(&span.span_id.hex());
        rows.str(Some(span.service)).str(Some(span.name));
        rows.time(span.start).long(Some((span.end() - span.start).0)).text(outcome.as_str());
        rows.int(spans.len() as u32).int(errors).slice(&analysis.slice).envelope(&analysis.envelope);
        for class in TimeClass::ALL.into_iter().filter(|c| *c != TimeClass::Blocked) {
            rows.long((class != TimeClass::Queue || queue_known).then(|| path.get(class).0));
        }
        rows.int(totals.logical_calls).int(totals.attempts).int(totals.retries).long(Some(totals.wasted.0));
        rows.tokens(&tokens).str(analysis.session_id).str(analysis.task_id.as_deref());
        rows.str((!flags.is_empty()).then(|| flags.join(" ")).as_deref());
        rows.long(request.and_then(|r| r.deadline).map(|d| d.0)).double(span.adjusted_count);
        rows.long(Some(of.revision as i64)).bool(of.resettled).end();
    }

    fn push_run(
        &mut self,
        of: Settled<'_>,
        spans: &[Span<'_>],
        analysis: &TraceAnalysis<'_>,
        run: &StageRun<'_>,
    ) {
        let root = &spans[run.root];
        let rows = &mut self.stage_runs;
        rows.str(Some(of.tenant)).hex(&of.trace_id.hex()).str(Some(run.stage)).hex(&root.span_id.hex());
        let members = analysis.members(run);
        rows.hexes(members.clone().map(|i| spans[i].span_id));
        let all = std::iter::once(run.root).chain(members.clone());
        rows.texts(all.filter_map(|i| spans[i].str(Attr::GenAiResponseId)));
        rows.str(Some(root.service)).str(Some(root.name)).bool(run.is_request);
        rows.time(run.start).long(Some(run.duration.0)).text(run.outcome.as_str());
        rows.text(run.queue_source.map(|s| s.as_str()));
        for class in TimeClass::ALL {
            let known = class != TimeClass::Queue || run.queue_source.is_some();
            rows.long(known.then(|| run.time.get(class).0));
        }
        rows.long(Some(run.path.total().0)).int(run.attempts).int(members.count() as u32 + 1).int(run.errors);
        rows.slice(&run.slice).envelope(&run.envelope).tokens(&run.tokens).str(analysis.session_id);
        rows.str(Some(analysis.context(run))).long(Some(of.revision as i64));
        for class in TimeClass::ALL.into_iter().filter(|c| *c != TimeClass::Blocked) {
            rows.long(Some(run.path.get(class).0));
        }
        // Who samples at the root speaks for all that it called.
        let of_trace = || analysis.root.and_then(|root| spans[root].adjusted_count);
        rows.long(run.deadline.map(|d| d.0)).double(root.adjusted_count.or_else(of_trace)).end();
    }

    fn push_attempts(&mut self, of: Settled<'_>, spans: &[Span<'_>], analysis: &TraceAnalysis<'_>) {
        let rows = &mut self.attempts;
        for group in &analysis.groups {
            let Some(id) = group_id(group, spans) else { continue };
            for attempt in &group.attempts {
                let span = &spans[attempt.span];
                rows.str(Some(of.tenant)).hex(&of.trace_id.hex()).hex(&id.hex()).text(group.source.as_str());
                rows.str(Some(group.edge.caller))
                    .str(Some(group.edge.callee))
                    .str(Some(group.edge.operation));
                rows.hex(&span.span_id.hex()).int(attempt.ordinal).int(group.attempts.len() as u32);
                rows.time(span.start).long(Some((span.end() - span.start).0)).text(attempt.outcome.as_str());
                rows.bool(attempt.superseded).bool(attempt.hedge).long(Some(attempt.backoff.0));
                rows.str(attempt.idempotency_key).slice(&analysis.slice);
                rows.long(Some(of.revision as i64)).end();
            }
        }
    }

    fn push_violations(&mut self, of: Settled<'_>, spans: &[Span<'_>], analysis: &TraceAnalysis<'_>) {
        let rows = &mut self.violations;
        for violation in &analysis.violations {
            let span = &spans[violation.span];
            let group = violation.group.and_then(|g| group_id(&analysis.groups[g], spans));
            rows.str(Some(of.tenant)).hex(&of.trace_id.hex()).text(violation.kind.as_str());
            rows.hex(&span.span_id.hex()).str(group.map(|id| id.to_string()).as_deref());
            rows.time(span.start).str(Some(analysis.spans[violation.span].stage));
            let edge = &violation.edge;
            rows.str(Some(edge.caller)).str(Some(edge.callee)).str(Some(edge.operation));
            rows.str(Some(&violation.detail)).slice(&analysis.slice).long(Some(of.revision as i64)).end();
        }
    }

    pub fn push_edges(&mut self, of: Settled<'_>, windows: &[EdgeWindow<'_>]) {
        let rows = &mut self.edges;
        for window in windows {
            rows.str(Some(of.tenant)).hex(&of.trace_id.hex());
            rows.str(Some(window.edge.caller)).str(Some(window.edge.callee)).str(Some(window.edge.operation));
            rows.time(window.window).int(window.logical_calls).int(window.attempts).int(window.retries);
            rows.int(window.hedges).int(window.failed_attempts);
            rows.long(Some(window.wasted.0)).long(Some(window.backoff.0)).slice(&window.slice);
            rows.int(window.failed_overload).int(window.failed_deadline).int(window.failed_correctness);
            rows.int(window.queue_known).long((window.queue_known > 0).then_some(window.queue.0));
            rows.int(window.depth);
            rows.long(Some(of.revision as i64)).end();
        }
    }
}

fn sum_tokens(runs: &[StageRun<'_>]) -> Tokens {
    fn add<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        }
    }
    runs.iter().fold(Tokens::default(), |sum, run| Tokens {
        input: add(sum.input, run.tokens.input),
        output: add(sum.output, run.tokens.output),
        cost_usd: add(sum.cost_usd, run.tokens.cost_usd),
    })
}
