//! Seeded OTLP requests that resemble agent traces: 12–24 spans each over five services, about 430 wire bytes a span,
//! 12 span and 8 resource attributes; waits and durations are random, as they are in life.

use super::attributes::{double, extra, int, resource, text};
use super::http::Client;
use super::server::Server;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Spans a request, unless asked otherwise: the default batch of OpenTelemetry's SDKs.
pub const SPANS_PER_REQUEST: usize = 512;

const SERVICES: [&str; 5] = ["agent-runtime", "tool-gateway", "policy-engine", "mcp-search", "vllm"];
const MODELS: [&str; 4] = ["gpt-4.1-mini", "claude-sonnet-4-5", "qwen2.5-72b", "llama-3.3-70b"];
const CLASSES: [&str; 4] = ["interactive", "batch", "research", "support"];
const TOOLS: [&str; 6] = ["web_search", "read_file", "run_query", "send_mail", "book_flight", "get_weather"];

/// What prompts are made of: they compress about as text does.
const WORDS: &str = "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one \
    you were her all she there would their we him been has when who will more no if out so said what up its about into than them can only \
    other new some could time these two may then do first any my now such like our over man me even most made after also did many before";

pub struct Load {
    random: SmallRng,
    /// A request has at least so many: whole traces until it does.
    pub spans_per_request: usize,
    /// Bytes of a model call's prompt, on average.
    pub prompt_bytes: usize,
    /// Start of the next trace.
    now_unix_nano: u64,
    spacing_ns: u64,
}

pub struct Request {
    pub bytes: Vec<u8>,
    pub spans: usize,
    pub trace_ids: Vec<String>,
}

impl Load {
    /// `spacing_ns` apart, traces begin at `start_unix_nano`.
    pub fn new(seed: u64, start_unix_nano: u64, spacing_ns: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
            spans_per_request: SPANS_PER_REQUEST,
            prompt_bytes: 0,
            now_unix_nano: start_unix_nano,
            spacing_ns,
        }
    }

    /// The next request: whole traces, about [`Load::spans_per_request`] spans, grouped by service as a collector does.
    pub fn request(&mut self) -> Request {
        let mut by_service: [Vec<Span>; SERVICES.len()] = Default::default();
        let (mut spans, mut trace_ids) = (0, Vec::new());
        while spans < self.spans_per_request {
            let (id, count) = self.trace(&mut by_service);
            trace_ids.push(id.iter().map(|b| format!("{b:02x}")).collect());
            spans += count;
        }
        let resource_spans = by_service
            .into_iter()
            .enumerate()
            .map(|(i, spans)| ResourceSpans {
                resource: Some(Resource { attributes: resource(SERVICES[i]), ..Default::default() }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: format!("opentelemetry.instrumentation.{}", SERVICES[i]),
                        version: "0.66b1".into(),
                        ..Default::default()
                    }),
                    spans,
                    ..Default::default()
                }],
                ..Default::default()
            })
            .collect();
        Request { bytes: ExportTraceServiceRequest { resource_spans }.encode_to_vec(), spans, trace_ids }
    }

    /// Sends at least so many spans over four connections, as fast as they are acknowledged. Answers how many they were, and
    /// some of their traces.
    pub fn send(mut self, server: &Server, spans: usize) -> (usize, Vec<String>) {
        let (made, requests) = std::sync::mpsc::sync_channel(64);
        let requests = std::sync::Mutex::new(requests);
        std::thread::scope(|scope| {
            let maker = scope.spawn(move || {
                let (mut sent, mut ids) = (0, Vec::new());
                while sent < spans {
                    let request = self.request();
                    sent += request.spans;
                    ids.extend(request.trace_ids.into_iter().step_by(50));
                    if made.send(request.bytes).is_err() {
                        break;
                    }
                }
                (sent, ids)
            });
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut client = Client::connect(&server.otlp).expect("the server listens");
                    loop {
                        let Ok(bytes) = requests.lock().expect("not poisoned").recv() else { return };
                        let mut post = || client.post("/v1/traces", "application/x-protobuf", &bytes);
                        while post().expect("answers").status != 200 {
                            std::thread::sleep(std::time::Duration::from_millis(50));
                        }
                    }
                });
            }
            maker.join().expect("makes the load")
        })
    }

    fn trace(&mut self, by_service: &mut [Vec<Span>; SERVICES.len()]) -> ([u8; 16], usize) {
        self.now_unix_nano += self.spacing_ns;
        let trace_id: [u8; 16] = self.random.random();
        let kind = self.random.random_range(0..4usize);
        let session = format!("session-{:08x}", self.random.random::<u32>());
        let count = self.random.random_range(12..=24usize);
        let root = self.id();
        let mut at = self.now_unix_nano;
        let mut made = 1;
        while made < count {
            let step = self.random.random_range(0..3usize);
            let (parent, duration) = (self.id(), self.random.random_range(3_000_000..900_000_000u64));
            let common = [text("workload.class", CLASSES[kind]), text("session.id", &session)];
            let (name, attributes): (&str, Vec<KeyValue>) = match step {
                0 => (
                    "chat",
                    vec![
                        text("gen_ai.operation.name", "chat"),
                        text("gen_ai.provider.name", "openai"),
                        text("gen_ai.request.model", MODELS[kind]),
                        text("gen_ai.response.model", MODELS[kind]),
                        int("gen_ai.usage.input_tokens", self.random.random_range(200..8_000)),
                        int("gen_ai.usage.output_tokens", self.random.random_range(10..900)),
                        double("gen_ai.request.temperature", 0.7),
                        int("server.port", 8_000),
                    ],
                ),
                1 => (
                    "execute_tool",
                    vec![
                        text("gen_ai.operation.name", "execute_tool"),
                        text("gen_ai.tool.name", TOOLS[self.random.random_range(0..6usize)]),
                        text("gen_ai.tool.type", "function"),
                        text("mcp.method.name", "tools/call"),
                        text("gen_ai.agent.name", "planner"),
                        int("server.port", 9_000),
                        text("network.transport", "tcp"),
                        text("jsonrpc.request.id", "7"),
                    ],
                ),
                _ => (
                    "authorize",
                    vec![
                        text("policy.decision", "allow"),
                        text("policy.name", "default-egress"),
                        text("http.request.method", "POST"),
                        text("http.route", "/v1/authorize"),
                        int("http.response.status_code", 200),
                        int("server.port", 8_181),
                        text("url.path", "/v1/authorize"),
                        text("network.protocol.version", "1.1"),
                    ],
                ),
            };
            let far = [4, 3, 2][step];
            let attributes: Vec<_> = attributes.into_iter().chain(common).chain(extra(kind)).collect();
            let mut asked = attributes.clone();
            if step == 0 && self.prompt_bytes > 0 {
                asked.push(text("gen_ai.input.messages", &self.prompt()));
            }
            self.span(by_service, 0, trace_id, parent, root, 3, name, at, duration, asked);
            made += 1;
            if made < count {
                let (wait, id) = (self.random.random_range(50_000..2_000_000u64), self.id());
                let mut served = attributes;
                if step == 0 {
                    let queue = self.random.random_range(0.0001..0.2);
                    served.push(double("gen_ai.latency.time_in_queue", queue));
                }
                self.span(
                    by_service,
                    far,
                    trace_id,
                    id,
                    parent,
                    2,
                    name,
                    at + wait,
                    duration.saturating_sub(2 * wait),
                    served,
                );
                made += 1;
            }
            at += duration + self.random.random_range(100_000..5_000_000u64);
        }
        let attributes = vec![
            text("gen_ai.operation.name", "invoke_agent"),
            text("gen_ai.agent.name", "planner"),
            text("gen_ai.conversation.id", &session),
            text("workload.class", CLASSES[kind]),
            text("gen_ai.request.model", MODELS[kind]),
        ];
        let start = self.now_unix_nano;
        self.span(
            by_service,
            0,
            trace_id,
            root,
            [0; 8],
            2,
            "invoke_agent planner",
            start,
            at - start,
            attributes,
        );
        (trace_id, made)
    }

    fn prompt(&mut self) -> String {
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let bytes = self.random.random_range(0..=2 * self.prompt_bytes);
        let mut prompt = String::with_capacity(bytes + 16);
        while prompt.len() < bytes {
            prompt += words[self.random.random_range(0..words.len())];
            prompt.push(' ');
        }
        prompt
    }

    fn id(&mut self) -> [u8; 8] {
        self.random.random()
    }

    #[allow(clippy::too_many_arguments)] // One span is that many facts.
    fn span(
        &mut self,
        by_service: &mut [Vec<Span>; SERVICES.len()],
        service: usize,
        trace_id: [u8; 16],
        span_id: [u8; 8],
        parent: [u8; 8],
        kind: i32,
        name: &str,
        start: u64,
        duration: u64,
        attributes: Vec<KeyValue>,
    ) {
        by_service[service].push(Span {
            trace_id: trace_id.to_vec(),
            span_id: span_id.to_vec(),
            parent_span_id: if parent == [0; 8] { Vec::new() } else { parent.to_vec() },
            name: name.to_owned(),
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: start + duration,
            attributes,
            status: Some(Status {
                code: if self.random.random_range(0..50) == 0 { 2 } else { 0 },
                ..Default::default()
            }),
            flags: 257,
            ..Default::default()
        });
    }
}
