//! tau2-bench: a session is one trace with its reward as verdict; judges' files add verdicts on the same traces.
//!
//! A message's timestamp is its end, so that a turn spans from the message before it to its own. An answer that was refused
//! and asked for again is an attempt that failed.

use serde_json::{Map, Value};

use super::Sink;
use crate::build::{self, Span};
use crate::error::ImportError;
use crate::id;
use crate::input::Input;
use crate::item::{Item, Verdict};
use crate::stream::{self, Shape};
use crate::time;

/// What the reward and the judges speak of; they differ in the evaluator.
const METRIC: &str = "task_success";

pub fn sessions(input: &mut Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let shape = Shape { arrays: &["simulations"], keep: &["info"], ..Shape::default() };
    stream::elements(input, shape, &mut |context, _, session| {
        if session.is_null() {
            return Ok(());
        }
        let Some(info) = context.get("info") else {
            return sink(Item::Rejected("a session of which no info says whose it is".into()));
        };
        match of_session(info, &session) {
            Ok((spans, verdict)) => {
                sink(Item::Spans(spans))?;
                verdict.map_or(Ok(()), |verdict| sink(Item::Verdict(verdict)))
            }
            Err(problem) => sink(Item::Rejected(problem)),
        }
    })
}

/// The ids of everything in a session come from its own.
struct Session<'s> {
    id: &'s str,
    trace_id: String,
    root_id: String,
    agent_model: &'s str,
    user_model: &'s str,
}

fn of_session(info: &Value, json: &Value) -> Result<(Value, Option<Verdict>), String> {
    let id = json["id"].as_str().ok_or("a simulation without id")?;
    let at =
        |key: &str| time::unix_nano(&json[key]).ok_or_else(|| format!("simulation {id}: {key} is no time"));
    let (start, end) = (at("start_time")?, at("end_time")?);
    let session = Session {
        id,
        trace_id: id::trace(id),
        root_id: id::span(&format!("{id} session")),
        agent_model: info["agent_info"]["llm"].as_str().unwrap_or("unknown"),
        user_model: info["user_info"]["llm"].as_str().unwrap_or("unknown"),
    };
    let domain = info["environment_info"]["domain_name"].as_str().unwrap_or("tau2");
    let mut spans = vec![session.root(info, json, domain, start, end)];
    let mut previous = start;
    for (turn, message) in json["messages"].as_array().into_iter().flatten().enumerate() {
        let until = time::unix_nano(&message["timestamp"]).unwrap_or(previous).max(previous);
        session.turn(turn, message, json, previous, until, &mut spans);
        previous = until;
    }
    let mut resource = build::service("tau2");
    resource.insert("service.version".into(), info["git_commit"].clone());
    let spans = build::resource_spans(&resource, ("tau2-bench", ""), spans);
    Ok((spans, session.reward(json)))
}

impl Session<'_> {
    fn root(&self, info: &Value, json: &Value, domain: &str, start: i64, end: i64) -> Value {
        let agent = info["agent_info"]["implementation"].as_str().unwrap_or("agent");
        let mut root = self.span(&self.root_id, None, &format!("invoke_agent {agent}"), start, end);
        let ended = json["termination_reason"].as_str().unwrap_or_default();
        root.set("gen_ai.operation.name", "invoke_agent")
            .set("gen_ai.agent.name", agent)
            .set("gen_ai.request.model", self.agent_model)
            .set("gen_ai.conversation.id", self.id)
            .set("plimsoll.workload_class", domain)
            .set("plimsoll.task.id", as_text(&json["task_id"]))
            .set("tau2.simulation.id", self.id)
            .set("tau2.trial", json["trial"].clone())
            .set("tau2.seed", json["seed"].clone())
            .set("tau2.termination_reason", ended)
            .set("tau2.user.model", self.user_model)
            .set("tau2.user.cost", json["user_cost"].clone());
        // Both sides may end a session; every other end is a failure, and named so.
        if !matches!(ended, "" | "user_stop" | "agent_stop") {
            root.set("error.type", ended);
            root.error = Some(ended.to_owned());
        }
        root.finish()
    }

    fn span(&self, span_id: &str, parent: Option<&str>, name: &str, start: i64, end: i64) -> Span {
        Span {
            trace_id: self.trace_id.clone(),
            span_id: span_id.to_owned(),
            parent_span_id: parent.map(str::to_owned),
            name: name.to_owned(),
            kind: 1,
            start_unix_nano: start,
            end_unix_nano: end,
            ..Span::default()
        }
    }

    fn turn(
        &self,
        turn: usize,
        message: &Value,
        session: &Value,
        start: i64,
        end: i64,
        spans: &mut Vec<Value>,
    ) {
        let span_id = id::span(&format!("{} turn {turn}", self.id));
        let usage = |key: &str| message["usage"][key].clone();
        match message["role"].as_str() {
            Some("assistant") => {
                let mut begin = start;
                for (attempt, refused) in message["errors"].as_array().into_iter().flatten().enumerate() {
                    let text = refused.as_str().unwrap_or_default();
                    let until = refused_at(text).unwrap_or(end).clamp(begin, end);
                    let attempt_id = id::span(&format!("{} turn {turn} attempt {attempt}", self.id));
                    let mut span = self.chat(&attempt_id, turn, begin, until);
                    span.set("error.type", "invalid_message");
                    span.error = Some(text.lines().next().unwrap_or_default().to_owned());
                    spans.push(span.finish());
                    begin = until;
                }
                let mut span = self.chat(&span_id, turn, begin, end);
                span.set("gen_ai.usage.input_tokens", usage("prompt_tokens"))
                    .set("gen_ai.usage.output_tokens", usage("completion_tokens"))
                    .set("gen_ai.usage.cost", message["cost"].clone());
                if turn == 0 && message["usage"].is_null() {
                    // The greeting is a constant: nothing was asked of a model.
                    span.attributes.clear();
                    span.name = "greeting".into();
                }
                spans.push(span.finish());
            }
            Some("user") => {
                let mut span = self.span(&span_id, Some(&self.root_id), "user", start, end);
                span.set("plimsoll.stage", "user")
                    .set("tau2.user.model", self.user_model)
                    .set("tau2.user.input_tokens", usage("prompt_tokens"))
                    .set("tau2.user.output_tokens", usage("completion_tokens"))
                    .set("tau2.user.cost", message["cost"].clone());
                spans.push(span.finish());
            }
            Some("tool") => self.tool(&span_id, message, session, start, end, spans),
            // Several tools at once: one message that holds theirs.
            _ => {
                for (n, tool) in message["tool_messages"].as_array().into_iter().flatten().enumerate() {
                    let span_id = id::span(&format!("{} turn {turn} tool {n}", self.id));
                    self.tool(&span_id, tool, session, start, end, spans);
                }
            }
        }
    }

    fn chat(&self, span_id: &str, turn: usize, start: i64, end: i64) -> Span {
        let mut span =
            self.span(span_id, Some(&self.root_id), &format!("chat {}", self.agent_model), start, end);
        span.kind = 3;
        span.set("gen_ai.operation.name", "chat")
            .set("gen_ai.request.model", self.agent_model)
            // One turn is one thing that is wanted, however often it is asked for.
            .set("idempotency.key", format!("{} turn {turn}", self.id));
        span
    }

    fn tool(
        &self,
        span_id: &str,
        message: &Value,
        session: &Value,
        start: i64,
        end: i64,
        spans: &mut Vec<Value>,
    ) {
        let call_id = message["id"].as_str().unwrap_or_default();
        let call = call(session, call_id);
        let name = call.and_then(|c| c["name"].as_str()).unwrap_or("unknown");
        let mut span = self.span(span_id, Some(&self.root_id), &format!("execute_tool {name}"), start, end);
        span.set("gen_ai.operation.name", "execute_tool")
            .set("gen_ai.tool.name", name)
            .set("gen_ai.tool.call.id", call_id)
            .set("tau2.requestor", message["requestor"].clone());
        if let Some(arguments) = call.map(|c| &c["arguments"]).filter(|a| !a.is_null()) {
            span.set("gen_ai.tool.call.arguments", arguments.to_string());
        }
        if message["error"] == true {
            span.set("error.type", "tool_error");
            span.error = Some(
                message["content"].as_str().unwrap_or_default().lines().next().unwrap_or_default().to_owned(),
            );
        }
        spans.push(span.finish());
    }

    fn reward(&self, json: &Value) -> Option<Verdict> {
        let reward = json["reward_info"]["reward"].as_f64()?;
        let breakdown: Map<String, Value> =
            json["reward_info"]["reward_breakdown"].as_object().cloned().unwrap_or_default();
        let judged = time::unix_nano(&json["timestamp"]).or_else(|| time::unix_nano(&json["end_time"]));
        Some(Verdict {
            trace_id: Some(self.trace_id.clone()),
            metric: METRIC.into(),
            score: Some(reward),
            // Rewards are products of checks: anything less than 1 is a check that failed.
            pass: Some(reward >= 1.0 - 1e-6),
            evaluator: Some("tau2".into()),
            explanation: (!breakdown.is_empty()).then(|| Value::Object(breakdown).to_string()),
            judged_at: judged.map(time::rfc3339),
            ..Verdict::default()
        })
    }
}

fn as_text(value: &Value) -> Value {
    match value {
        Value::Number(n) => n.to_string().into(),
        other => other.clone(),
    }
}

/// The call that a tool's message answers.
fn call<'s>(session: &'s Value, id: &str) -> Option<&'s Value> {
    let messages = session["messages"].as_array()?.iter();
    messages.flat_map(|m| m["tool_calls"].as_array().into_iter().flatten()).find(|c| c["id"] == id)
}

/// A refused answer is kept as text, with the time at which it came.
fn refused_at(text: &str) -> Option<i64> {
    let stamp = text.split("timestamp: ").nth(1)?.split_whitespace().next()?;
    time::of_text(stamp)
}

pub fn judgements(input: &mut Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    stream::documents(input, &mut |row| match of_judgement(&row) {
        Ok(verdict) => sink(Item::Verdict(verdict)),
        Err(problem) => sink(Item::Rejected(problem)),
    })
}

fn of_judgement(row: &Value) -> Result<Verdict, String> {
    let session = row["simulation_id"].as_str().ok_or("a judgement without simulation_id")?;
    let response = row["judge_response"].as_str().unwrap_or_default();
    let said = object_in(response)
        .ok_or_else(|| format!("simulation {session}: the judge's answer holds no JSON object"))?;
    let label = ["verdict", "label", "result"].iter().find_map(|key| said[*key].as_str());
    let label = label.ok_or_else(|| format!("simulation {session}: the judge's answer names no verdict"))?;
    let explanation = ["justification", "explanation", "reason"].iter().find_map(|key| said[*key].as_str());
    let evaluator =
        ["judge_prompt_name", "judge_name", "judge_model"].iter().find_map(|key| row[*key].as_str());
    Ok(Verdict {
        trace_id: Some(id::trace(session)),
        metric: METRIC.into(),
        label: Some(label.to_owned()),
        score: said["score"].as_f64(),
        evaluator: Some(evaluator.unwrap_or("judge").to_owned()),
        explanation: explanation.map(str::to_owned),
        ..Verdict::default()
    })
}

/// The object in an answer that may have prose or a fence around it.
fn object_in(text: &str) -> Option<Value> {
    let object = &text[text.find('{')?..=text.rfind('}')?];
    serde_json::from_str(object).ok()
}
