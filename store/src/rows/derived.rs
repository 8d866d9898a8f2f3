//! The rows that settling writes: one analysis in, rows of `traces`, `stage_runs`, `attempts` and `edges` out.

use arrow::record_batch::RecordBatch;
use plimsoll_analysis::{EdgeWindow, StageRun, Tokens, TraceAnalysis, group_id};
use plimsoll_schemas::table::Table;
use plimsoll_schemas::{Attr, Span, StatusCode, TimeClass, TraceId};

use super::builder::Rows;
use crate::error::StoreError;

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

/// A batch is finished with the trace that brings so many rows of `stage_runs`.
const RUNS_PER_BATCH: usize = 4_096;
/// With the last trace's, as a rule.
const RUNS_EXPECTED: usize = RUNS_PER_BATCH + RUNS_PER_BATCH / 16;
/// Of a small trace: so many times fewer are the rows of tables with one row a trace.
const RUNS_PER_TRACE: usize = 8;

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
            traces: Rows::new(Table::Traces, RUNS_EXPECTED / RUNS_PER_TRACE),
            stage_runs: Rows::new(Table::StageRuns, RUNS_EXPECTED),
            attempts: Rows::new(Table::Attempts, 0),
            edges: Rows::new(Table::Edges, RUNS_EXPECTED / RUNS_PER_TRACE),
            violations: Rows::new(Table::Violations, 0),
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

    /// Whether there are enough for a batch: columns that grow larger are moved about while they do.
    pub fn is_full(&self) -> bool {
        self.stage_runs.rows >= RUNS_PER_BATCH
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
