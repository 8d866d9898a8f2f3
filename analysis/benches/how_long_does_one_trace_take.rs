//! How long does the analysis of one trace take? It is part of what a span costs at ingest.
//!
//! One agent request of 20 spans: planning, an inference on a vLLM server, a tool that is retried over MCP, and a queue.
//! Then 100,000 spans: a session of 5,000 such requests, one after the other, and siblings without end.
//! `cargo bench -p plimsoll-analysis`. The best of the rounds is the answer: the others measure the machine.
//! Memory comes from where it comes from in the product.

use std::hint::black_box;
use std::time::Instant;

use plimsoll_analysis::analyse;
use plimsoll_schemas::{Attr, DurationNs, Rules, SpanId};

use testing::{Build, TestSpan, span};

#[allow(dead_code, reason = "shared with the tests, which use the rest of it")]
#[path = "../src/testing.rs"]
mod testing;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LARGE: usize = 100_000;

fn main() {
    let request = request();
    println!("one request, {} spans: {:.2} µs", request.len(), best(&request, 1_000, 50) * 1e6);
    let session = session(&request);
    println!("a session, {} spans: {:.1} ms", session.len(), best(&session, 20, 1) * 1e3);
    let siblings = siblings();
    println!("siblings, {} spans: {:.1} ms", siblings.len(), best(&siblings, 20, 1) * 1e3);
}

/// Seconds a trace, in the best of the rounds.
fn best(spans: &[TestSpan], rounds: u32, traces_per_round: u32) -> f64 {
    let rules = Rules::default();
    let round = |_| {
        let begin = Instant::now();
        for _ in 0..traces_per_round {
            black_box(analyse(black_box(spans), &rules));
        }
        begin.elapsed() / traces_per_round
    };
    (0..rounds).map(round).min().unwrap_or_default().as_secs_f64()
}

/// The request again and again, under one root.
fn session(request: &[TestSpan]) -> Vec<TestSpan> {
    let length = request[0].duration;
    let requests = LARGE / request.len();
    let again = |n: usize| {
        request.iter().map(move |s| {
            let of =
                |id: SpanId| testing::id(u64::from_be_bytes(*id.bytes()) + 1 + (n * request.len()) as u64);
            let mut span = s.clone();
            span.start = s.start + DurationNs(length.0 * n as i64);
            span.span_id = of(s.span_id);
            span.parent_span_id = Some(s.parent_span_id.map_or(testing::id(1), of));
            span
        })
    };
    let root = span(1, 0, length.0 * requests as i64).on("agent");
    std::iter::once(root).chain((0..requests).flat_map(again)).take(LARGE).collect()
}

fn siblings() -> Vec<TestSpan> {
    let root = span(1, 0, 10 * LARGE as i64);
    std::iter::once(root)
        .chain((2..=LARGE as u64).map(|n| span(n, 10 * n as i64, 10 * n as i64 + 7).child_of(1).client()))
        .collect()
}

fn request() -> Vec<TestSpan> {
    let ms = 1_000_000;
    let at = |n: u64, from: i64, to: i64| {
        let resource = span(n, from * ms, to * ms).with(Attr::ServiceVersion, "1.4.2");
        resource.with(Attr::TelemetrySdkLanguage, "python").with(Attr::TelemetrySdkName, "opentelemetry")
    };
    let agent = |n, parent, from, to| at(n, from, to).child_of(parent).on("agent").with(Attr::HostName, "h1");
    let far = |n, parent, from, to, service| {
        at(n, from, to).child_of(parent).server().on(service).with(Attr::HostName, "h2")
    };
    let chat = |n, parent, from, to| {
        let chat = agent(n, parent, from, to).client().named("chat").with(Attr::GenAiOperationName, "chat");
        chat.with(Attr::GenAiRequestModel, "gpt-4.1").with(Attr::ServerAddress, "models")
    };
    let engine = |n, parent, from, to| {
        far(n, parent, from, to, "vllm")
            .named("llm_request")
            .with(Attr::TimeInQueue, 0.05)
            .with(Attr::TimeInModelPrefill, 0.2)
            .with(Attr::TimeInModelDecode, 0.5)
            .with(Attr::GenAiUsageInputTokens, 900_i64)
            .with(Attr::GenAiUsageOutputTokens, 120_i64)
    };
    let tool = |n, parent, from, to, status| {
        let call = agent(n, parent, from, to)
            .client()
            .named("tools/call search")
            .with(Attr::McpMethodName, "tools/call");
        call.with(Attr::GenAiToolName, "search").with(Attr::HttpStatusCode, status)
    };
    vec![
        at(1, 0, 9_000)
            .server()
            .on("agent")
            .named("invoke_agent")
            .with(Attr::GenAiOperationName, "invoke_agent"),
        far(2, 1, 5, 25, "auth").named("authenticate").with(Attr::AuthMethod, "oidc"),
        agent(3, 1, 30, 1_000).named("plan").with(Attr::GenAiOperationName, "plan"),
        chat(4, 3, 40, 990),
        engine(5, 4, 50, 980),
        agent(6, 1, 1_010, 1_050).named("authorize").with(Attr::PolicyDecision, "allow"),
        agent(7, 6, 1_015, 1_030).client().named("GET").with(Attr::ServerAddress, "policy"),
        agent(8, 1, 1_100, 4_000).tool("search"),
        tool(9, 8, 1_110, 1_500, 503),
        far(10, 9, 1_120, 1_490, "tools").with(Attr::McpMethodName, "tools/call"),
        tool(11, 8, 1_700, 2_100, 503),
        far(12, 11, 1_710, 2_090, "tools").with(Attr::McpMethodName, "tools/call"),
        tool(13, 8, 2_500, 3_900, 200),
        far(14, 13, 2_510, 3_890, "tools").with(Attr::McpMethodName, "tools/call"),
        at(15, 2_600, 3_800)
            .child_of(14)
            .client()
            .on("tools")
            .named("SELECT")
            .with(Attr::DbSystemName, "postgresql"),
        chat(16, 1, 4_100, 8_000),
        engine(17, 16, 4_120, 7_980),
        agent(18, 1, 8_100, 8_120)
            .producer()
            .named("record send")
            .with(Attr::MessagingDestinationName, "records"),
        at(19, 8_400, 8_600).child_of(18).consumer().on("recorder").named("record"),
        at(20, 8_410, 8_590)
            .child_of(19)
            .client()
            .on("recorder")
            .named("INSERT")
            .with(Attr::DbSystemName, "postgresql"),
    ]
}
