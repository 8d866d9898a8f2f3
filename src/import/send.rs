//! Chunks through the doors: refused for want of room, a chunk waits and tries again.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::chunk::{Chunk, split};
use super::known::DealtWith;
use super::progress::Progress;
use crate::client::{Answered, Api, ClientError};

/// A server that refuses for longer is not about to recover.
const TRIES_MAX: u32 = 60;
const WAIT_MAX_S: u64 = 30;

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the server's answer is not what was expected: {0}")]
    Answer(String),
}

/// Where an import goes.
#[derive(Debug)]
pub struct Sender {
    pub(super) api: Api,
    pub(super) otlp: Api,
    pub(super) tenant: String,
}

impl Sender {
    /// Sends what is not there yet, and counts what became of it.
    pub async fn send(
        &self,
        mut chunk: Chunk,
        dealt_with: &mut DealtWith,
        progress: &Progress,
    ) -> Result<(), SendError> {
        progress.traces(&chunk.spans);
        let known = self.take_known(&mut chunk, dealt_with).await?;
        progress.known(known);
        let Chunk { spans, logs, verdicts, rejected, .. } = chunk;
        progress.rejected(rejected.len() as u64, rejected);
        self.hand_over(&SPANS, spans, progress).await?;
        self.hand_over(&LOGS, logs, progress).await?;
        self.hand_over(&VERDICTS, verdicts.iter().map(|v| json!(v)).collect(), progress).await
    }

    /// All in one request. Where the door refuses it for what is in it, the parts are handed over by themselves, so that one
    /// item that cannot be kept does not cost its neighbours.
    async fn hand_over(
        &self,
        door: &Door,
        elements: Vec<Value>,
        progress: &Progress,
    ) -> Result<(), SendError> {
        let mut open = vec![elements];
        while let Some(elements) = open.pop() {
            let items = door.count(&elements);
            if items == 0 {
                continue;
            }
            let api = if door.kind == VERDICTS.kind { &self.api } else { &self.otlp };
            let answer = self.answered(api, door.path, door.body(&elements)).await?;
            let is_content = matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE);
            match answer.success() {
                Ok(body) => {
                    let answer = serde_json::from_slice(&body).unwrap_or_default();
                    progress.sent(door.kind, items, &answer, door.rejected);
                }
                Err(problem) if is_content && items == 1 => progress.rejected(1, [problem.detail()]),
                Err(_) if is_content => open.extend(door.halves(elements)),
                Err(problem) => return Err(problem.into()),
            }
        }
        Ok(())
    }

    /// The door's answer, once it has room to give one.
    pub(super) async fn answered(&self, api: &Api, path: &str, body: Bytes) -> Result<Answered, SendError> {
        let mut tries = 0;
        loop {
            let answer = api.post(path, &self.tenant, body.clone()).await?;
            let is_full = matches!(
                answer.status,
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            );
            tries += 1;
            if !is_full || tries == TRIES_MAX {
                return Ok(answer);
            }
            let wait_s = answer.retry_after_s.unwrap_or(1 << tries.min(5)).clamp(1, WAIT_MAX_S);
            tokio::time::sleep(Duration::from_secs(wait_s)).await;
        }
    }
}

/// Where one kind of item goes.
struct Door {
    /// As [`Progress`] counts.
    kind: usize,
    path: &'static str,
    /// The member of the request, of its elements, and of their scopes; none for verdicts.
    members: Option<[&'static str; 3]>,
    /// The member of the answer that counts what was not kept.
    rejected: &'static str,
}

const SPANS: Door = Door {
    kind: 0,
    path: "/v1/traces",
    members: Some(["resourceSpans", "scopeSpans", "spans"]),
    rejected: "rejectedSpans",
};
const LOGS: Door = Door {
    kind: 1,
    path: "/v1/logs",
    members: Some(["resourceLogs", "scopeLogs", "logRecords"]),
    rejected: "rejectedLogRecords",
};
const VERDICTS: Door = Door { kind: 2, path: "/api/v1/verdicts", members: None, rejected: "" };

impl Door {
    fn count(&self, elements: &[Value]) -> u64 {
        match self.members {
            Some([_, scopes, items]) => count(elements, scopes, items),
            None => elements.len() as u64,
        }
    }

    fn body(&self, elements: &[Value]) -> Bytes {
        let body = match self.members {
            Some([name, ..]) => json!({ name: elements }),
            None => json!(elements),
        };
        body.to_string().into()
    }

    fn halves(&self, elements: Vec<Value>) -> [Vec<Value>; 2] {
        let mut first = match (elements.as_slice(), self.members) {
            // One element: its items apart.
            ([element], Some([_, scopes, items])) => {
                let half = usize::try_from(self.count(&elements)).unwrap_or(usize::MAX).div_ceil(2);
                split(element, scopes, items, half, usize::MAX)
            }
            _ => elements,
        };
        let second = first.split_off(first.len().div_ceil(2));
        [first, second]
    }
}

fn count(elements: &[Value], scopes: &str, items: &str) -> u64 {
    let scopes = elements.iter().flat_map(|e| e[scopes].as_array().into_iter().flatten());
    scopes.filter_map(|scope| scope[items].as_array()).map(|items| items.len() as u64).sum()
}
