//! What counts as a call, and from whom to whom it goes.
//!
//! Calls are client spans, producer spans, and internal spans that are a tool execution or a model call by
//! convention; besides these, deliveries that a broker or workflow engine may repeat.
//!
//! Where a call span directly wraps another one of the same callee and operation (`execute_tool` around an
//! MCP client's `tools/call`, one library's `chat` around another's) or with the same response id, they are one
//! call, and the **innermost** is counted: retries inside one wrapper and retries of the wrapper both show there,
//! once each.

use plimsoll_schemas::stage::{is_model_call, is_tool_call};
use plimsoll_schemas::{Attr, Span, SpanKind};

use crate::model::Edge;
use crate::present::AttrSet;
use crate::trace::Trace;

const EXECUTE_TOOL: &str = "execute_tool";
const EMBEDDINGS: &str = "embeddings";

/// One attempt to have something done elsewhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub span: usize,
    /// The outermost span that is the same call; often `span` itself.
    pub top: usize,
    pub target: Target<'a>,
    pub is_delivery: bool,
}

/// What is called, as far as the calling span says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Target<'a> {
    pub callee: Option<&'a str>,
    pub operation: &'a str,
}

/// The calls of a trace, by start.
#[derive(Debug)]
pub(crate) struct Calls<'a> {
    pub list: Vec<Call<'a>>,
}

pub(crate) fn find<'a>(trace: &Trace<'_, 'a>) -> Calls<'a> {
    // Beside each call whether it wraps another.
    let mut calls: Vec<Option<(Call<'a>, bool)>> = vec![None; trace.len()];
    let mut found = 0;
    for &span in &trace.tree.order {
        let sent = &trace.spans[span];
        let is_delivery = is_delivery(sent);
        let target = if is_delivery { Some(delivered(sent)) } else { target(sent) };
        let Some(target) = target.filter(|_| !trace.flags[span].duplicate_id) else { continue };
        let mut top = span;
        if let Some((around, wraps)) = trace.parent(span).and_then(|parent| calls[parent].as_mut())
            && !is_delivery
            && (around.target == target || shares_response(sent, &trace.spans[around.span]))
        {
            (*wraps, top) = (true, around.top);
        }
        found += 1;
        calls[span] = Some((Call { span, top, target, is_delivery }, false));
    }
    let mut list = Vec::with_capacity(found);
    let innermost = |i: &usize| calls[*i].and_then(|(call, wraps)| (!wraps).then_some(call));
    list.extend(trace.by_start.iter().filter_map(innermost));
    Calls { list }
}

fn delivered<'a>(span: &Span<'a>) -> Target<'a> {
    Target { callee: Some(span.service), operation: span.name }
}

/// Two libraries may name one model call differently, but its response has one id.
fn shares_response(a: &Span<'_>, b: &Span<'_>) -> bool {
    let id = a.str(Attr::GenAiResponseId);
    id.is_some() && id == b.str(Attr::GenAiResponseId) && inference(a).is_some() && inference(b).is_some()
}

fn target<'a>(span: &Span<'a>) -> Option<Target<'a>> {
    let target = |callee, operation| Some(Target { callee, operation });
    match span.kind {
        SpanKind::Server | SpanKind::Consumer => None,
        SpanKind::Producer => {
            let destination = span.str(Attr::MessagingDestinationName);
            target(destination, span.str(Attr::MessagingOperationType).unwrap_or("send"))
        }
        kind => {
            let operation = span.str(Attr::GenAiOperationName);
            if is_tool_call(span) {
                return target(span.str(Attr::GenAiToolName), EXECUTE_TOOL);
            }
            if let Some(operation) = inference(span) {
                return target(model(span), operation);
            }
            if kind != SpanKind::Client {
                return None;
            }
            let operation =
                operation.or_else(|| span.str(Attr::McpMethodName)).or_else(|| span.str(Attr::RpcMethod));
            target(address(span), operation.unwrap_or(span.name))
        }
    }
}

/// Whether a broker or workflow engine handed the work over and may do so again.
fn is_delivery(span: &Span<'_>) -> bool {
    match span.kind {
        SpanKind::Consumer => {
            span.str(Attr::MessagingMessageId).is_some()
                || span.int(Attr::PubSubDeliveryAttempt).is_some()
                || span.int(Attr::ServiceBusDeliveryCount).is_some()
                || span.int(Attr::CeleryRetries).is_some()
        }
        SpanKind::Server => span.str(Attr::TemporalActivityId).is_some(),
        _ => false,
    }
}

fn inference<'a>(span: &Span<'a>) -> Option<&'a str> {
    let operation = span.str(Attr::GenAiOperationName);
    if is_model_call(span) {
        Some(operation.unwrap_or("chat"))
    } else if operation == Some(EMBEDDINGS) {
        Some(EMBEDDINGS)
    } else {
        None
    }
}

fn model<'a>(span: &Span<'a>) -> Option<&'a str> {
    [Attr::GenAiRequestModel, Attr::GenAiResponseModel, Attr::ServerAddress]
        .into_iter()
        .find_map(|attr| span.str(attr))
}

fn address<'a>(span: &Span<'a>) -> Option<&'a str> {
    [
        Attr::PeerService,
        Attr::GenAiAgentName,
        Attr::RpcService,
        Attr::ServerAddress,
        Attr::MessagingDestinationName,
        Attr::DbSystemName,
    ]
    .into_iter()
    .find_map(|attr| span.str(attr))
}

impl<'a> Call<'a> {
    /// `attempts`: all calls of the same logical call, any of which may have reached a service that has a name.
    pub fn edge(&self, trace: &Trace<'_, 'a>, attempts: impl Iterator<Item = usize>) -> Edge<'a> {
        let span = &trace.spans[self.span];
        if self.is_delivery {
            let sender = trace.parent(self.span).map(|p| trace.spans[p].service);
            let caller = span.str(Attr::MessagingDestinationName).or(sender).unwrap_or(span.service);
            return Edge { caller, callee: span.service, operation: self.target.operation };
        }
        let callee = self.target.callee.or_else(|| {
            attempts
                .flat_map(|attempt| {
                    trace.tree.children.of(attempt).iter().map(move |child| (*child, attempt))
                })
                .find(|(child, attempt)| trace.is_remote(*child, *attempt))
                .map(|(child, _)| trace.spans[child].service)
        });
        Edge { caller: span.service, callee: callee.unwrap_or(span.name), operation: self.target.operation }
    }

    /// Which attributes [`Call::str`] finds.
    pub fn has(&self, trace: &Trace<'_, 'a>) -> AttrSet {
        trace.has(self.span).or(trace.has(self.top))
    }

    /// An attribute of the call, on whichever of its spans has it.
    pub fn str(&self, trace: &Trace<'_, 'a>, attr: Attr) -> Option<&'a str> {
        trace.spans[self.span].str(attr).or_else(|| trace.spans[self.top].str(attr))
    }
}
