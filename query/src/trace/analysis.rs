//! One trace analysed now, from all its spans that are here: the same function that settling uses.

use arrow::record_batch::RecordBatch;
use plimsoll_analysis::slack::{self, SlackAndDrag};
use plimsoll_analysis::{SpanAnalysis, TraceAnalysis, analyse, group_id};
use plimsoll_schemas::{Attr, Slice, Span, Tenant, TimeClass, TraceId};
use plimsoll_store::rows::SpanRows;
use serde_json::{Map, Value, json};

use crate::error::QueryError;
use crate::state::QueryState;

/// The document of `?view=analysis`.
pub async fn document(
    state: &QueryState,
    tenant: &Tenant,
    trace_id: TraceId,
    batches: &[RecordBatch],
) -> Result<Value, QueryError> {
    let view = state.view(Some(tenant.clone()));
    let id = trace_id.to_string();
    let settled = format!("SELECT revision FROM traces WHERE trace_id = '{id}'");
    let settled = state.objects(&view, &settled).await?;
    let verdicts = format!(
        "SELECT span_id, response_id, metric, label, score, pass, evaluator, explanation, judged_unix_nano AS judged_at_unix_nano
FROM latest_verdicts WHERE trace_id = '{id}' ORDER BY judged_unix_nano"
    );
    let verdicts = state.objects(&view, &verdicts).await?;
    let senders = state.store().senders(batches.to_vec()).await?;
    let rules = state.store().rules();
    let rows = batches.iter().map(|b| SpanRows::new(b, rules)).collect::<Result<Vec<_>, _>>()?;
    let mut spans: Vec<Span<'_>> =
        rows.iter().flat_map(|rows| (0..rows.len()).filter_map(|row| rows.span(row))).collect();
    senders.tell(tenant.as_str(), &mut spans);
    let analysis = analyse(&spans, rules);
    let Some(root) = analysis.root else {
        return Err(QueryError::NotFound(format!("trace {trace_id} has no span that can be shown")));
    };
    let slacks = slack::of(&spans, &analysis);
    let request = analysis.runs.iter().find(|r| r.is_request);
    let mut totals = Map::new();
    for class in TimeClass::ALL.into_iter().filter(|c| *c != TimeClass::Blocked) {
        let parts = analysis.critical_path.iter().filter(|p| p.class == class);
        let known = class != TimeClass::Queue || analysis.spans.iter().any(|s| s.queue_source.is_some());
        let sum: i64 = parts.map(|p| p.duration.0).sum();
        totals.insert(format!("{}_ns", class.as_str()), json!(known.then_some(sum)));
    }
    Ok(json!({
        "trace_id": id, "tenant": tenant.as_str(), "root_span_id": spans[root].span_id.to_string(),
        "start_unix_nano": spans[root].start.0.to_string(),
        "duration_ns": (spans[root].end() - spans[root].start).0,
        "settled": !settled.is_empty(), "revision": settled.first().and_then(|r| r.get("revision")),
        "slice": slice(tenant, &analysis.slice),
        "outcome": request.map_or(analysis.spans[root].outcome, |r| r.outcome).as_str(),
        "totals": totals, "flags": analysis.flags.words().collect::<Vec<_>>(),
        "spans": analysis.order.iter().map(|i| span(&spans, &analysis, slacks[*i], *i)).collect::<Vec<_>>(),
        "critical_path": analysis.critical_path.iter().map(|p| json!({
            "span_id": spans[p.span].span_id.to_string(), "stage": p.stage, "class": p.class.as_str(),
            "start_unix_nano": p.start.0.to_string(), "duration_ns": p.duration.0,
        })).collect::<Vec<_>>(),
        "attempts": attempts(&spans, &analysis),
        "runs": analysis.runs.iter().map(|r| json!({
            "stage": r.stage, "root_span_id": spans[r.root].span_id.to_string(),
            "start_unix_nano": r.start.0.to_string(), "duration_ns": r.duration.0,
            "queue_ns": r.queue_source.map(|_| r.time.get(TimeClass::Queue).0),
            "outcome": r.outcome.as_str(), "attempts": r.attempts, "context": analysis.context(r), "path_ns": r.path.total().0,
        })).collect::<Vec<_>>(),
        "verdicts": verdicts, "violations": violations(&spans, &analysis),
    }))
}

fn slice(tenant: &Tenant, slice: &Slice<'_>) -> Value {
    json!({
        "tenant": tenant.as_str(), "workload_class": slice.workload_class,
        "model": slice.model, "hardware": slice.hardware,
    })
}

fn span(
    spans: &[Span<'_>],
    analysis: &TraceAnalysis<'_>,
    slack: Option<SlackAndDrag>,
    index: usize,
) -> Value {
    let (span, of) = (&spans[index], &analysis.spans[index]);
    let mut out = json!({
        "span_id": span.span_id.to_string(),
        "parent_span_id": of.parent.map(|p| spans[p].span_id).or(span.parent_span_id).map(|p| p.to_string()),
        "service": span.service, "name": span.name, "stage": of.stage, "kind": span.kind.as_str(),
        "start_unix_nano": span.start.0.to_string(), "duration_ns": (span.end() - span.start).0,
        "queue_source": of.queue_source.map(|s| s.as_str()), "queue_clipped_ns": of.queue_clipped.0,
        "segments": analysis.segments(index).iter().map(|s| json!({
            "class": s.class.as_str(), "offset_ns": s.offset.0, "duration_ns": s.duration.0,
        })).collect::<Vec<_>>(),
        "status": span.status.as_str(), "status_message": span.status_message, "outcome": of.outcome.as_str(),
        "attempt": of.attempt.map(|(_, ordinal)| ordinal),
        "group_id": of.attempt.and_then(|(g, _)| group_id(&analysis.groups[g], spans)).map(|id| id.to_string()),
        "flags": flags(of), "depth": of.depth,
        "slack_ns": slack.map(|s| s.slack.0), "drag_ns": slack.map(|s| s.drag.0),
        "operation": span.str(Attr::GenAiOperationName), "provider": span.str(Attr::GenAiProviderName),
        "model": span.str(Attr::GenAiRequestModel).or_else(|| span.str(Attr::GenAiResponseModel)),
        "agent": span.str(Attr::GenAiAgentName), "tool": span.str(Attr::GenAiToolName),
        "input_tokens": span.int(Attr::GenAiUsageInputTokens),
        "output_tokens": span.int(Attr::GenAiUsageOutputTokens),
        "events": span.events.len(), "links": span.links.len(),
    });
    for class in TimeClass::ALL {
        let mut ns = of.time.get(class);
        if class == TimeClass::Queue {
            ns += of.queue_before;
        }
        let known = class != TimeClass::Queue || of.queue_source.is_some();
        out[format!("{}_ns", class.as_str())] = json!(known.then_some(ns.0));
    }
    out
}

fn flags(of: &SpanAnalysis<'_>) -> Vec<&'static str> {
    let f = &of.flags;
    [
        (f.negative_duration, "negative_duration"),
        (f.missing_parent, "missing_parent"),
        (f.cycle, "cycle"),
        (f.skew.is_some(), "skew"),
        (f.negative_handoff, "negative_handoff"),
        (f.duplicate_id, "duplicate_id"),
        (f.outlives_root, "outlives_root"),
    ]
    .into_iter()
    .filter_map(|(set, word)| set.then_some(word))
    .collect()
}

fn violations(spans: &[Span<'_>], analysis: &TraceAnalysis<'_>) -> Vec<Value> {
    let each = analysis.violations.iter().map(|v| {
        let group = v.group.and_then(|g| group_id(&analysis.groups[g], spans)).map(|id| id.to_string());
        json!({
            "kind": v.kind.as_str(), "span_id": spans[v.span].span_id.to_string(), "group_id": group,
            "caller": v.edge.caller, "callee": v.edge.callee, "operation": v.edge.operation, "detail": v.detail,
        })
    });
    each.collect()
}

fn attempts(spans: &[Span<'_>], analysis: &TraceAnalysis<'_>) -> Vec<Value> {
    let of_group = |group: &plimsoll_analysis::AttemptGroup<'_>| -> Vec<Value> {
        let id = group_id(group, spans).map(|id| id.to_string());
        group
            .attempts
            .iter()
            .map(|a| {
                let span = &spans[a.span];
                json!({
                    "group_id": id, "group_source": group.source.as_str(), "caller": group.edge.caller,
                    "callee": group.edge.callee, "operation": group.edge.operation,
                    "span_id": span.span_id.to_string(), "ordinal": a.ordinal,
                    "start_unix_nano": span.start.0.to_string(), "duration_ns": (span.end() - span.start).0,
                    "outcome": a.outcome.as_str(), "superseded": a.superseded, "hedge": a.hedge,
                    "backoff_ns": a.backoff.0,
                })
            })
            .collect()
    };
    analysis.groups.iter().flat_map(of_group).collect()
}
