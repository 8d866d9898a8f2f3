//! What one agent does with one request: authenticate → plan → authorize → execute → answer → record.
//!
//! Each step takes the moment at which it begins and gives back the moment at which it ended.

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use rand::Rng;
use rand::rngs::SmallRng;

use super::clock::{Nanos, SECOND, millis, seconds};
use super::incident::Incident;
use super::stations::Stations;
use super::story::Story;
use super::world::{
    CANARY_MODEL, CANARY_TENANT, CRM_LOOKUP, DRIFTED_EDITION, KNOWN_EDITION, RUN_QUERY, Service, Tenant,
    Tool, WEB_SEARCH,
};

/// How often gateway and agent try the same call, the first time included.
const ATTEMPTS_MAX: usize = 3;
/// Tools turn away who would wait longer; a model server lets everyone wait.
const TOOL_PATIENCE: Nanos = 9 * SECOND;
/// Share of the tenant's requests that the canary takes.
const CANARY_SHARE: f64 = 0.4;

/// How a call failed.
#[derive(Debug, Clone, Copy)]
struct Failure {
    status: i64,
    error_type: &'static str,
    message: &'static str,
}

const DATABASE_DOWN: Failure =
    Failure { status: 502, error_type: "upstream_connect_error", message: "connection to crm-db refused" };
const QUEUE_FULL: Failure =
    Failure { status: 503, error_type: "queue_full", message: "queue full, try later" };

const INVALID_PARAMS: Failure =
    Failure { status: 422, error_type: "-32602", message: "invalid params: \"sql\" is required" };
/// How often an agent asks a tool again that says its arguments are invalid, and with the same ones.
const LOOPS_MAX: usize = 2;

/// What came of a call: when it ended, and whether it failed.
type Ended = (Nanos, Option<Failure>);

pub struct Request<'a> {
    random: &'a mut SmallRng,
    stations: &'a mut Stations,
    incident: Incident,
    tenant: &'static Tenant,
    model: &'static str,
    pub story: Story,
}

impl<'a> Request<'a> {
    pub fn new(
        random: &'a mut SmallRng,
        stations: &'a mut Stations,
        tenant: &'static Tenant,
        incident: Incident,
    ) -> Self {
        let tried = incident == Incident::Canary && tenant.name == CANARY_TENANT;
        let model = if tried && random.random_bool(CANARY_SHARE) { CANARY_MODEL } else { tenant.model };
        Self { random, stations, incident, tenant, model, story: Story::new(tenant) }
    }

    pub fn is_canary(&self) -> bool {
        self.model == CANARY_MODEL
    }

    /// Plays the whole request, which arrives at `at`; gives back when it ended and whether it did well.
    pub fn play(&mut self, at: Nanos) -> (Nanos, bool) {
        let tenant = self.tenant;
        let conversation = format!("conv-{:010x}", self.random.random::<u32>());
        let root = self.story.open(
            Service::AgentRuntime,
            SpanKind::Server,
            format!("invoke_agent {}", tenant.agent),
            None,
            at,
        );
        self.story.note(
            root,
            [
                KeyValue::new("gen_ai.operation.name", "invoke_agent"),
                KeyValue::new("gen_ai.agent.name", tenant.agent),
                KeyValue::new("gen_ai.conversation.id", conversation),
                KeyValue::new("gen_ai.request.model", self.model),
                KeyValue::new("workload.class", tenant.workload_class),
                KeyValue::new("http.request.method", "POST"),
                KeyValue::new("http.route", "/v1/tasks"),
                KeyValue::new("user.id", format!("user-{}", self.random.random_range(1..400))),
            ],
        );
        let mut now = at + self.about(2.0);
        now = self.authenticate(root, now);
        now = self.plan(root, now);
        now = self.authorize(root, now);
        let mut failed = None;
        for (tool, question) in self.chosen_tools() {
            (now, failed) = self.execute(root, now, tool, question);
            now += self.about(3.0);
            // The model reads the error, and asks for the same again.
            for _ in 0..LOOPS_MAX {
                if failed.is_none_or(|f| f.error_type != INVALID_PARAMS.error_type) {
                    break;
                }
                now = self.chat(root, now, 0.2);
                (now, failed) = self.execute(root, now, tool, question);
                now += self.about(3.0);
            }
            if failed.is_some() {
                break;
            }
        }
        if failed.is_none() {
            now = self.chat(root, now, 1.0);
        }
        now = self.record(root, now);
        self.story.note(root, [KeyValue::new("http.response.status_code", failed.map_or(200, |_| 502_i64))]);
        if failed.is_some() {
            self.story.note(root, [KeyValue::new("error.type", "tool_error")]);
            self.story.fail(root, "a tool failed for good");
        }
        self.story.close(root, now);
        (now, failed.is_none())
    }

    fn chosen_tools(&mut self) -> Vec<(&'static Tool, &'static str)> {
        let (least, most) = self.tenant.calls;
        let count = self.random.random_range(least..=most);
        let mut tools = self.tenant.tools;
        if self.random.random_bool(0.35) {
            tools.reverse();
        }
        let mut chosen: Vec<_> = tools
            .into_iter()
            .take(count)
            .map(|tool| (tool, tool.questions[self.random.random_range(0..4)]))
            .collect();
        // Now and then an agent that codes runs in circles: the same tool with the same arguments.
        if self.tenant.workload_class == "coding" && self.random.random_bool(0.03) {
            let again = self.random.random_range(2..=4);
            chosen.extend(vec![chosen[0]; again]);
        }
        chosen
    }

    fn authenticate(&mut self, root: usize, at: Nanos) -> Nanos {
        let work = self.about(6.0);
        self.call(root, at, "POST /oauth2/introspect", Service::Identity, |me, caller, at| {
            let span = me.story.open(Service::Identity, SpanKind::Server, "authenticate", Some(caller), at);
            me.story.note(
                span,
                [KeyValue::new("auth.method", "oidc"), KeyValue::new("http.route", "/oauth2/introspect")],
            );
            me.story.close(span, at + work);
            at + work
        })
    }

    fn plan(&mut self, root: usize, at: Nanos) -> Nanos {
        let span = self.story.open(Service::AgentRuntime, SpanKind::Internal, "plan", Some(root), at);
        self.story.note(
            span,
            [
                KeyValue::new("gen_ai.operation.name", "plan"),
                KeyValue::new("gen_ai.agent.name", self.tenant.agent),
            ],
        );
        let begun = at + self.about(4.0);
        let end = self.chat(span, begun, 0.5) + self.about(5.0);
        self.story.close(span, end);
        end
    }

    fn authorize(&mut self, root: usize, at: Nanos) -> Nanos {
        let work = self.about(11.0);
        self.call(root, at, "POST /v1/data/agents/allow", Service::PolicyEngine, |me, caller, at| {
            let span = me.story.open(
                Service::PolicyEngine,
                SpanKind::Server,
                "authorize tool calls",
                Some(caller),
                at,
            );
            me.story.note(
                span,
                [
                    KeyValue::new("policy.decision", "allow"),
                    KeyValue::new("policy.name", "tool-egress"),
                    KeyValue::new("http.route", "/v1/data/agents/allow"),
                ],
            );
            me.story.close(span, at + work);
            at + work
        })
    }

    /// An HTTP call from the agent that succeeds.
    fn call(
        &mut self,
        parent: usize,
        at: Nanos,
        name: &'static str,
        callee: Service,
        far: impl FnOnce(&mut Self, usize, Nanos) -> Nanos,
    ) -> Nanos {
        let span = self.story.open(Service::AgentRuntime, SpanKind::Client, name, Some(parent), at);
        self.story.note(
            span,
            [
                KeyValue::new("http.request.method", "POST"),
                KeyValue::new("server.address", callee.name()),
                KeyValue::new("server.port", 8080_i64),
                KeyValue::new("http.response.status_code", 200_i64),
            ],
        );
        let (there, back) = (self.about(0.6), self.about(0.5));
        let end = far(self, span, at + there) + back;
        self.story.close(span, end);
        end
    }

    /// A model call and the model server's own account of it, as vLLM gives it.
    fn chat(&mut self, parent: usize, at: Nanos, size: f64) -> Nanos {
        let tenant = self.tenant;
        let input = (tenant.input_tokens * self.spread()) as i64;
        let output = ((tenant.output_tokens * size * self.spread()) as i64).max(8);
        let response = format!("chatcmpl-{:016x}", self.random.random::<u64>());
        let client = self.story.open(
            Service::AgentRuntime,
            SpanKind::Client,
            format!("chat {}", self.model),
            Some(parent),
            at,
        );
        self.story.note(
            client,
            [
                KeyValue::new("gen_ai.operation.name", "chat"),
                KeyValue::new("gen_ai.provider.name", "vllm"),
                KeyValue::new("gen_ai.request.model", self.model),
                KeyValue::new("gen_ai.response.model", self.model),
                KeyValue::new("gen_ai.response.id", response.clone()),
                KeyValue::new("gen_ai.request.max_tokens", 1024_i64),
                KeyValue::new("gen_ai.request.temperature", 0.2),
                KeyValue::new("gen_ai.usage.input_tokens", input),
                KeyValue::new("gen_ai.usage.output_tokens", output),
                KeyValue::new("server.address", "vllm"),
                KeyValue::new("server.port", 8000_i64),
            ],
        );
        // Tokens a second: reading is quick, writing is not. The new revision is a little quicker.
        let haste = if self.is_canary() { 1.15 } else { 1.0 };
        let prefill = millis(input as f64 / (16.0 * haste));
        let decode = millis(output as f64 / (0.16 * haste));
        let arrived = at + self.about(1.2);
        let scheduled =
            self.stations.model(tenant).serve(arrived, prefill + decode, Nanos::MAX).unwrap_or(arrived);
        // Tokenising, detokenising, and hand-overs between processes: nobody accounts for them.
        let front_end = millis((prefill + decode) as f64 / 1e6 * self.random.random_range(0.02..0.08));
        let end = scheduled + prefill + decode + front_end;
        let served =
            self.story.open(Service::ModelServer, SpanKind::Server, "llm_request", Some(client), arrived);
        self.story.note(
            served,
            [
                KeyValue::new("gen_ai.request.id", response),
                KeyValue::new("gen_ai.response.model", self.model),
                KeyValue::new("gen_ai.request.max_tokens", 1024_i64),
                KeyValue::new("gen_ai.request.temperature", 0.2),
                KeyValue::new("gen_ai.usage.prompt_tokens", input),
                KeyValue::new("gen_ai.usage.completion_tokens", output),
                KeyValue::new("gen_ai.latency.time_in_queue", seconds(scheduled - arrived)),
                KeyValue::new("gen_ai.latency.time_in_model_prefill", seconds(prefill)),
                KeyValue::new("gen_ai.latency.time_in_model_decode", seconds(decode)),
                KeyValue::new("gen_ai.latency.time_in_model_inference", seconds(prefill + decode)),
                KeyValue::new(
                    "gen_ai.latency.time_to_first_token",
                    seconds(scheduled - arrived + prefill + front_end / 2),
                ),
                KeyValue::new("gen_ai.latency.e2e", seconds(end - arrived)),
            ],
        );
        self.story.close(served, end);
        let back = end + self.about(1.0);
        self.story.close(client, back);
        back
    }

    /// A tool by way of the gateway. Agent and gateway each try again on their own: in layers, attempts multiply.
    fn execute(&mut self, root: usize, at: Nanos, tool: &'static Tool, question: &'static str) -> Ended {
        let span = self.story.open(
            Service::AgentRuntime,
            SpanKind::Internal,
            format!("execute_tool {}", tool.name),
            Some(root),
            at,
        );
        self.story.note(
            span,
            [
                KeyValue::new("gen_ai.operation.name", "execute_tool"),
                KeyValue::new("gen_ai.tool.name", tool.name),
                KeyValue::new("gen_ai.tool.type", "function"),
                KeyValue::new(
                    "gen_ai.tool.call.id",
                    format!("call_{:012x}", self.random.random::<u64>() >> 16),
                ),
                KeyValue::new("gen_ai.tool.call.arguments", format!("{{\"query\":\"{question}\"}}")),
            ],
        );
        let begun = at + self.about(1.0);
        let (end, failure) =
            self.attempts(Service::AgentRuntime, span, begun, tool, 250.0, |me, caller, at| {
                let gateway =
                    me.story.open(Service::ToolGateway, SpanKind::Server, "POST /mcp", Some(caller), at);
                me.story.note(
                    gateway,
                    [KeyValue::new("http.request.method", "POST"), KeyValue::new("http.route", "/mcp")],
                );
                let begun = at + me.about(1.5);
                let (end, failure) =
                    me.attempts(Service::ToolGateway, gateway, begun, tool, 80.0, |me, caller, at| {
                        me.work(caller, at, tool)
                    });
                me.finish(gateway, end + millis(0.4), failure);
                (end + millis(0.4), failure)
            });
        let end = end + self.about(1.0);
        if let Some(failure) = failure {
            self.story.note(span, [KeyValue::new("error.type", "tool_error")]);
            self.story.fail(span, failure.message);
        }
        self.story.close(span, end);
        (end, failure)
    }

    /// A call of the tool's next hop, again after a growing pause while it fails.
    fn attempts(
        &mut self,
        caller: Service,
        parent: usize,
        at: Nanos,
        tool: &Tool,
        pause_ms: f64,
        far: impl Fn(&mut Self, usize, Nanos) -> Ended,
    ) -> Ended {
        let mut now = at;
        let mut attempt = 0;
        loop {
            let span = self.story.open(
                caller,
                SpanKind::Client,
                format!("tools/call {}", tool.name),
                Some(parent),
                now,
            );
            let callee = if caller == Service::AgentRuntime { Service::ToolGateway } else { tool.server };
            self.story.note(
                span,
                [
                    KeyValue::new("mcp.method.name", "tools/call"),
                    KeyValue::new("gen_ai.tool.name", tool.name),
                    KeyValue::new("http.request.method", "POST"),
                    KeyValue::new("server.address", callee.name()),
                    KeyValue::new("server.port", 8080_i64),
                ],
            );
            if attempt > 0 {
                self.story.note(span, [KeyValue::new("http.request.resend_count", attempt as i64)]);
            }
            let there = self.about(0.8);
            let (ended, failure) = far(self, span, now + there);
            let end = ended + self.about(0.7);
            self.finish(span, end, failure);
            attempt += 1;
            // A full queue is not helped by another request in it: one more try, not two.
            let attempts_max = match failure.map(|f| f.status) {
                // What is wrong stays wrong.
                Some(422) => 1,
                Some(503) => 2,
                _ => ATTEMPTS_MAX,
            };
            if failure.is_none() || attempt >= attempts_max {
                return (end, failure);
            }
            now = end + self.about(pause_ms * f64::powi(2.0, attempt as i32 - 1));
        }
    }

    /// The tool server at work: events mark how long the call waited for a worker.
    fn work(&mut self, caller: usize, at: Nanos, tool: &'static Tool) -> Ended {
        let has_drifted = self.incident == Incident::SchemaDrift && *tool == RUN_QUERY;
        let edition = if has_drifted { DRIFTED_EDITION } else { KNOWN_EDITION };
        let span = self.story.open(
            tool.server,
            SpanKind::Server,
            format!("tools/call {}", tool.name),
            Some(caller),
            at,
        );
        self.story.note(
            span,
            [
                KeyValue::new("mcp.method.name", "tools/call"),
                KeyValue::new("gen_ai.tool.name", tool.name),
                KeyValue::new("gen_ai.operation.name", "execute_tool"),
                KeyValue::new("mcp.protocol.version", "2025-06-18"),
                KeyValue::new("mcp.server.name", tool.server.name()),
                KeyValue::new("mcp.server.version", edition.server_version),
                KeyValue::new("mcp.tool.schema_digest", edition.schema_digest),
                KeyValue::new("mcp.auth.kind", "oauth2"),
            ],
        );
        if has_drifted {
            // It looks at the arguments before anything else.
            let end = at + self.about(4.0);
            self.finish(span, end, Some(INVALID_PARAMS));
            return (end, Some(INVALID_PARAMS));
        }
        let slower = match self.incident {
            Incident::SaturatingTool { severity } if *tool == WEB_SEARCH => 1.0 + 9.0 * severity,
            _ => 1.0,
        };
        let failure = self.tool_failure(tool);
        let length = match failure {
            Some(_) => self.about(35.0),
            None => millis(tool.work_ms * slower * self.spread()),
        };
        self.story.mark(span, at, "enqueued");
        let Some(begun) = self.stations.tool(tool).serve(at, length, TOOL_PATIENCE) else {
            let end = at + self.about(3.0);
            self.finish(span, end, Some(QUEUE_FULL));
            return (end, Some(QUEUE_FULL));
        };
        self.story.mark(span, begun, "dequeued");
        let end = begun + length;
        if let Some((system, summary)) = tool.database {
            let share = length / 10;
            let query = self.story.open(tool.server, SpanKind::Client, summary, Some(span), begun + share);
            self.story.note(
                query,
                [KeyValue::new("db.system.name", system), KeyValue::new("server.address", "crm-db")],
            );
            if let Some(failure) = failure {
                self.story.note(query, [KeyValue::new("error.type", "ConnectionRefused")]);
                self.story.fail(query, failure.message);
            }
            self.story.close(query, end - share);
        }
        self.finish(span, end, failure);
        (end, failure)
    }

    fn tool_failure(&mut self, tool: &Tool) -> Option<Failure> {
        let stormy = self.incident == Incident::RetryStorm && *tool == CRM_LOOKUP;
        let chance = if stormy { 0.72 } else { 0.006 };
        self.random.random_bool(chance).then_some(DATABASE_DOWN)
    }

    /// The record goes over a broker: the ledger writes it when it gets to it, after the answer is out.
    fn record(&mut self, root: usize, at: Nanos) -> Nanos {
        let message = format!("msg-{:012x}", self.random.random::<u64>() >> 16);
        let sent = at + self.about(1.8);
        let send = self.story.open(Service::AgentRuntime, SpanKind::Producer, "send audit", Some(root), at);
        self.story.note(
            send,
            [
                KeyValue::new("messaging.system", "kafka"),
                KeyValue::new("messaging.destination.name", "audit"),
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("messaging.message.id", message.clone()),
            ],
        );
        self.story.close(send, sent);
        let length = self.about(14.0);
        let begun = self.stations.ledger().serve(sent + millis(2.0), length, Nanos::MAX).unwrap_or(sent);
        let record = self.story.open(Service::Ledger, SpanKind::Consumer, "record run", Some(send), begun);
        self.story.note(
            record,
            [
                KeyValue::new("messaging.system", "kafka"),
                KeyValue::new("messaging.destination.name", "audit"),
                KeyValue::new("messaging.operation.type", "process"),
                KeyValue::new("messaging.message.id", message),
            ],
        );
        self.story.close(record, begun + length);
        let insert = self.story.open(
            Service::Ledger,
            SpanKind::Client,
            "INSERT runs",
            Some(record),
            begun + length / 8,
        );
        self.story.note(
            insert,
            [KeyValue::new("db.system.name", "postgresql"), KeyValue::new("server.address", "ledger-db")],
        );
        self.story.close(insert, begun + length - length / 8);
        sent + self.about(0.8)
    }

    fn finish(&mut self, span: usize, end: Nanos, failure: Option<Failure>) {
        self.story.close(span, end);
        self.story
            .note(span, [KeyValue::new("http.response.status_code", failure.map_or(200, |f| f.status))]);
        if let Some(failure) = failure {
            self.story.note(span, [KeyValue::new("error.type", failure.error_type)]);
            self.story.fail(span, failure.message);
        }
    }

    /// A factor around 1 with a long tail to the right, as service times have it.
    fn spread(&mut self) -> f64 {
        0.6 - 0.4 * (1.0 - self.random.random::<f64>()).ln()
    }

    fn about(&mut self, ms: f64) -> Nanos {
        millis(ms * self.spread())
    }
}
