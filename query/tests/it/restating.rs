//! What is derived of a span does not depend on when the others of its trace came, or what was flushed and merged in between.

use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fleet::{Fleet, MS, With, request, span};

/// Every span, with all that its trace decides; where it lies is derived too.
const SPANS: &str =
    "SELECT trace_id, span_id, day, slice, stage, workload_class, model, hardware, outcome, queue_ns,
    queue_source, attempt FROM spans ORDER BY trace_id, span_id";

async fn spans(fleet: &Fleet) -> Vec<Vec<Value>> {
    fleet.sql(SPANS).await.expect("rows")
}

/// A trace of seven spans, whose slice the root decides; two attempts of one call; and children hours or days after it.
fn trace(trace: u8, hours: u64) -> Vec<Span> {
    let mut spans = request(trace, 1_000, &format!("session-{trace}"));
    spans[0] = spans[0].clone().with("workload.class", ["interactive", "batch"][usize::from(trace) % 2]);
    for attempt in 0..2 {
        let (id, from) = (3 + attempt, 100 * u64::from(attempt));
        let call = span(trace, id, 1, "execute_tool search", 10 + from, 60 + from)
            .with("gen_ai.operation.name", "execute_tool")
            .with("gen_ai.tool.name", "search")
            .with("server.address", "tools");
        spans.push(if attempt == 0 { call.failed() } else { call });
    }
    spans.push(span(trace, 5, 2, "chat m1", 6, 900).with("gen_ai.request.model", "m2"));
    for (id, hours) in [(6, hours), (7, 2 * hours)] {
        let mut later = span(trace, id, 2, "step", 20, 30);
        later.start_time_unix_nano += hours * 3_600_000 * MS as u64;
        later.end_time_unix_nano += hours * 3_600_000 * MS as u64;
        spans.push(later);
    }
    spans
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Nothing,
    /// Settled, flushed and merged.
    Merged,
    /// Another process goes on, with what is on disk at this moment.
    Killed,
    /// The store is closed in order, which settles and flushes without merging, and opened again.
    Closed,
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![2 => Just(Then::Nothing), 3 => Just(Then::Merged), 1 => Just(Then::Killed), 2 => Just(Then::Closed)]
}

async fn late(order: Vec<Span>, steps: Vec<(usize, Then)>) -> Vec<Vec<Value>> {
    let mut fleet = Fleet::empty("").await;
    let mut rest = order.as_slice();
    for (count, then) in steps.into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(count.min(rest.len()));
        fleet.export("acme", "agent", now.to_vec()).await;
        rest = later;
        match then {
            Then::Nothing => {}
            Then::Merged => fleet.settle().await,
            Then::Killed => fleet = fleet.copy(&[]).await,
            Then::Closed => {
                fleet.store.close(std::time::Duration::from_secs(60)).await.expect("closes");
                fleet = fleet.copy(&[]).await;
            }
        }
    }
    fleet.settle().await;
    let settled = spans(&fleet).await;
    // Nothing is left to do, and nothing is done again.
    fleet.settle().await;
    let merges = "SELECT count(*) FROM plimsoll.jobs WHERE kind = 'merge'";
    let before = fleet.sql(merges).await;
    fleet.settle().await;
    assert_eq!(fleet.sql(merges).await, before);
    assert_eq!(spans(&fleet).await, settled);
    settled
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn late_spans_make_the_others_what_they_would_be_had_all_come_at_once(
        order in Just((0..3 * 7_usize).collect::<Vec<_>>()).prop_shuffle(),
        steps in proptest::collection::vec((1..6_usize, then()), 1..8),
    ) {
        let all: Vec<Span> = [(1, 0), (2, 3), (3, 30)].into_iter().flat_map(|(id, hours)| trace(id, hours)).collect();
        let shuffled: Vec<Span> = order.into_iter().map(|at| all[at].clone()).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let (together, apart) = runtime.block_on(async {
            let fleet = Fleet::empty("").await;
            fleet.export("acme", "agent", all).await;
            fleet.settle().await;
            (spans(&fleet).await, late(shuffled, steps).await)
        });
        prop_assert_eq!(together.len(), 3 * 7);
        prop_assert_eq!(apart, together);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_that_comes_last_moves_its_trace_into_its_slice() {
    let fleet = Fleet::empty("").await;
    let mut all = trace(1, 0);
    let root = all.remove(0);
    fleet.export("acme", "agent", all).await;
    fleet.settle().await;
    let slices = "SELECT DISTINCT slice, workload_class FROM spans";
    assert_eq!(fleet.sql(slices).await.expect("rows")[0][1], Value::Null);
    fleet.export("acme", "agent", vec![root]).await;
    fleet.settle().await;
    let rows = fleet.sql(slices).await.expect("rows");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0][1], json!("batch"));
}

/// Retention goes by the slice that a span has now.
#[tokio::test(flavor = "multi_thread")]
async fn a_span_is_kept_as_long_as_its_new_slice_is() {
    use plimsoll_schemas::retention::Retention;
    use plimsoll_schemas::{Rules, UnixNanos};

    const DAY_NS: i64 = 86_400_000_000_000;
    let rules = serde_norway::from_str("[{ workload_class: batch, keep_days: 2 }]").expect("rules");
    let retention = Retention { keep_days: Some(365), max_bytes: None, rules };
    let fleet = Fleet::keeping(tempfile::tempdir().expect("a folder"), Rules::default(), retention).await;
    let recently = |mut spans: Vec<Span>| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let noon = (since.as_nanos() as i64 / DAY_NS * DAY_NS - DAY_NS / 2) as u64;
        for span in &mut spans {
            let moved = noon - crate::fleet::BEGAN;
            span.start_time_unix_nano += moved;
            span.end_time_unix_nano += moved;
        }
        spans
    };
    let (mut batch, interactive) = (recently(trace(1, 0)), recently(trace(2, 0)));
    let root = batch.remove(0);
    fleet.export("acme", "agent", batch).await;
    fleet.export("acme", "agent", interactive).await;
    fleet.settle().await;
    let later = |days: i64| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        UnixNanos(since.as_nanos() as i64 + days * DAY_NS)
    };
    let count = async || fleet.sql("SELECT count(*) FROM spans").await.expect("rows")[0][0].clone();
    fleet.store.retain(later(3)).await.expect("retains");
    assert_eq!(count().await, json!(13), "of no class yet");
    fleet.export("acme", "agent", vec![root]).await;
    fleet.settle().await;
    assert_eq!(count().await, json!(14));
    fleet.store.retain(later(3)).await.expect("retains");
    assert_eq!(count().await, json!(7), "the batch is gone, all of it");
}
