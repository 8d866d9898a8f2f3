//! Finding traces, before and after they settle.

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;

use crate::fleet::{Fleet, MS, With, bounds, hour, request, span};

async fn found(fleet: &Fleet, parameters: &str) -> Vec<Value> {
    let parameters = parameters.replace('>', "%3E");
    let answer = fleet.get(&format!("search?{}&{parameters}", hour())).await;
    answer["traces"].as_array().expect("traces").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_found_at_once_and_says_whether_it_settled() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "agent", request(1, 100, "s")).await;
    let queries = [
        "",
        "q=stage=inference",
        "q=service=agent",
        "q=kind=client",
        "q=duration>=100ms",
        "q=status=ok",
        "q=attributes.gen_ai.request.model=m1",
    ];
    for query in queries {
        let traces = found(&fleet, query).await;
        assert_eq!(traces.len(), 1, "{query}");
        assert_eq!(traces[0]["settled"], false);
        assert_eq!(traces[0]["root_name"], "invoke_agent a");
        assert_eq!(traces[0]["duration_ns"], 100 * MS);
        assert_eq!(traces[0]["span_count"], 2);
        assert_eq!(traces[0]["wasted_ns"], Value::Null, "only settling tells");
    }
    assert_eq!(found(&fleet, "q=retries=0").await.len(), 0);
    fleet.settle().await;
    for query in queries {
        let traces = found(&fleet, query).await;
        assert_eq!(traces.len(), 1, "{query}");
        assert_eq!(traces[0]["settled"], true);
        assert_eq!(traces[0]["wasted_ns"], 0);
    }
    assert_eq!(found(&fleet, "q=retries=0").await.len(), 1);
    for query in ["q=stage=execute", "q=kind=server", "q=status=error", "q=duration>1s"] {
        assert_eq!(found(&fleet, query).await.len(), 0, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_that_of_any_span() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "agent", request(1, 100, "s")).await;
    // Within the run of another: it is no run of its own.
    let within = Span { kind: SpanKind::Internal as i32, ..span(1, 3, 2, "tokenize", 10, 20) };
    fleet.export("acme", "tokenizer", vec![within]).await;
    for settled in [false, true] {
        for service in ["agent", "tokenizer"] {
            let traces = found(&fleet, &format!("q=service={service}")).await;
            assert_eq!(traces.len(), 1, "{service}, settled: {settled}");
        }
        assert!(found(&fleet, "q=service=nobody").await.is_empty());
        fleet.settle().await;
    }
    let heat = fleet.get(&format!("heatmap?{}&q=service=tokenizer", hour())).await;
    assert_eq!(heat["total"], 1, "{heat}");
    let runs = fleet.get(&format!("search?{}&q=stage=inference", hour())).await;
    assert_eq!(runs["traces"][0]["span_count"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_with_the_same_trace_id_are_told_apart() {
    let fleet = Fleet::empty("").await;
    fleet.export("acme", "agent", request(1, 100, "s")).await;
    fleet.export("globex", "other", vec![span(1, 1, 0, "ping", 0, 100).with("color", "red")]).await;
    for settled in [false, true] {
        for (query, tenant) in [
            ("q=stage=inference", "acme"),
            ("q=service=other", "globex"),
            ("q=attributes.color=red", "globex"),
        ] {
            let traces = found(&fleet, query).await;
            let tenants: Vec<_> = traces.iter().map(|t| &t["tenant"]).collect();
            assert_eq!(tenants, [tenant], "{query}, settled: {settled}");
        }
        fleet.settle().await;
    }
}

/// Ten traces of two tenants with the same ids, start and duration, page by page.
#[tokio::test(flavor = "multi_thread")]
async fn pages_show_each_trace_once() {
    let fleet = Fleet::empty("").await;
    for tenant in ["acme", "globex"] {
        for trace in 1..=5 {
            fleet.export(tenant, "agent", vec![span(trace, 1, 0, "ping", 0, 100)]).await;
        }
    }
    fleet.settle().await;
    for sort in ["start", "duration", "wasted"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = fleet.get(&format!("search?{}&limit=3&sort={sort}{cursor}", hour())).await;
            let traces = answer["traces"].as_array().expect("traces");
            seen.extend(traces.iter().map(|t| format!("{} {}", t["tenant"], t["trace_id"])));
            let Some(next) = answer["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let all: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), all.len()), (10, 10), "{sort}: {seen:?}");
    }
}

/// A long range is looked through from its newest end on, in stretches that nobody sees.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_range_shows_the_newest_first_and_each_trace_once() {
    const HOURS: [u64; 9] = [0, 1, 2, 15, 17, 18, 100, 300, 900];
    const HOUR_NS: u64 = 3_600_000_000_000;
    let fleet = Fleet::empty("").await;
    for (trace, hours) in (1..).zip(HOURS) {
        let mut spans = vec![span(trace, 1, 0, "ping", 0, 100), span(trace, 2, 1, "pong", 10, 20)];
        for span in &mut spans {
            span.start_time_unix_nano -= hours * HOUR_NS;
            span.end_time_unix_nano -= hours * HOUR_NS;
        }
        fleet.export("acme", "agent", spans).await;
        if hours == 17 {
            fleet.settle().await;
        }
    }
    // A late span of a trace that settled: it is no trace of its own, however new.
    fleet.export("acme", "agent", vec![span(4, 3, 1, "late", 0, 5)]).await;
    let (first, last) = bounds();
    // Its end is long after the newest.
    let range = format!("start={}&end={}", first - 1_000 * HOUR_NS, last + 1_000 * HOUR_NS);
    for limit in [1, 2, 3, 8, 9, 10] {
        for query in ["", "&q=name=pong", "&q=service=agent"] {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let answer = fleet.get(&format!("search?{range}&limit={limit}{query}{cursor}")).await;
                let traces = answer["traces"].as_array().expect("traces");
                seen.extend(traces.iter().map(|t| {
                    t["start_unix_nano"].as_str().expect("a time").parse::<u64>().expect("a number")
                }));
                let Some(next) = answer["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            let newest = seen[0];
            let hours: Vec<u64> = seen.iter().map(|start| (newest - start) / HOUR_NS).collect();
            assert_eq!(hours, HOURS, "{query}, {limit} a page");
        }
    }
    let nowhere = fleet.get(&format!("search?{range}&q=name=nowhere")).await;
    assert_eq!(nowhere["traces"], serde_json::json!([]));
}
