//! What particular emitters mean by their spans, events and attributes. One name means different things in
//! different emitters, so that nothing is read without knowing whose it is.
//!
//! - vLLM reports `time_in_queue`, and prefill and decode that begin at scheduling: a breakdown of its span.
//! - SGLang never reports `time_in_queue`; its prefill begins at dispatch and *contains* the wait, so its numbers
//!   are no breakdown. Its wait is a span, `prefill_waiting`.
//! - Triton marks the wait by the events `QUEUE_START` and `COMPUTE_START`, the second on a span of its own.
//! - Envoy's byte events bound the time in the proxy before the upstream was asked.
//! - Temporal's `StartActivity` ends at once; `RunActivity` below it is what the workflow waits for.

use plimsoll_schemas::{Attr, DurationNs, Span, TimeClass};

/// Spans that are nothing but a wait: SGLang's, vLLM's, and plain words for it.
const QUEUE_SPANS: &[&str] = &[
    "prefill_waiting",
    "decode_waiting",
    "prefill_bootstrap",
    "decode_transferred",
    "vllm_queue",
    "queue",
    "queue_wait",
    "queue.wait",
    "waiting_in_queue",
];

/// Spans that are nothing but fetching what the work needs.
const LOAD_SPANS: &[&str] = &[
    "vllm_async_kv_transfer",
    "prefill_transfer_kv_cache",
    "cold_start",
    "load_adapter",
    "load_model",
    "load_weights",
    "model_load",
];

/// Pairs of events that mark a wait on a queue: from the first of one name to the first of the other after it.
pub(crate) const QUEUE_EVENTS: &[(&str, &str)] =
    &[("QUEUE_START", "COMPUTE_START"), ("queue.start", "queue.end"), ("enqueued", "dequeued")];

/// Envoy: the request was read, the upstream got its first byte.
pub(crate) const PROXY_EVENTS: &[(&str, &str)] =
    &[("last_downstream_rx_byte_received", "first_upstream_tx_byte_sent")];

/// The class to which all of the span's own time belongs, where its name says so.
pub(crate) fn class_of(span: &Span<'_>) -> Option<TimeClass> {
    if QUEUE_SPANS.contains(&span.name) {
        Some(TimeClass::Queue)
    } else if LOAD_SPANS.contains(&span.name) {
        Some(TimeClass::Load)
    } else {
        None
    }
}

/// What a model server attests of its own span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Breakdown {
    pub queue: Option<i64>,
    /// What it computed; given, the span's remaining time is not accounted for by anyone.
    pub compute: Option<i64>,
}

pub(crate) fn breakdown(span: &Span<'_>) -> Breakdown {
    let nanos = |attr| span.double(attr).and_then(DurationNs::from_seconds).map(|d| d.0);
    let Some(queue) = nanos(Attr::TimeInQueue) else { return Breakdown::default() };
    let phases = match (nanos(Attr::TimeInModelPrefill), nanos(Attr::TimeInModelDecode)) {
        (Some(prefill), Some(decode)) => Some(prefill.saturating_add(decode)),
        _ => nanos(Attr::TimeInModelInference),
    };
    Breakdown { queue: Some(queue), compute: phases }
}

/// Whether the caller of `parent` waits for `child`, though `parent` itself ended when it had asked for it.
pub(crate) fn is_awaited_activity(child: &Span<'_>, parent: &Span<'_>) -> bool {
    let ran = child.name.strip_prefix("RunActivity:");
    ran.is_some() && ran == parent.name.strip_prefix("StartActivity:")
}

/// A marker span between two attempts, as agent frameworks emit it.
pub(crate) fn is_retry_marker(span: &Span<'_>) -> bool {
    matches!(span.name, "model_retry" | "Tool Repeated Usage")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Build, span};

    #[test]
    fn sglang_numbers_are_no_breakdown() {
        let sglang = span(1, 0, 100).with(Attr::TimeInModelPrefill, 0.05).with(Attr::TimeInModelDecode, 0.04);
        assert_eq!(breakdown(&sglang), Breakdown::default());
    }

    #[test]
    fn an_activity_is_awaited_by_its_own_start_only() {
        let start = |name| span(1, 0, 1).named(name);
        let run = span(2, 5, 9).named("RunActivity:Pay");
        assert!(is_awaited_activity(&run, &start("StartActivity:Pay")));
        assert!(!is_awaited_activity(&run, &start("StartActivity:Log")));
    }
}
