//! Chunks through the doors: refused for want of room, a chunk waits and tries again.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::chunk::Chunk;
use super::progress::Progress;
use crate::client::{Api, ClientError};

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
    pub async fn send(&self, mut chunk: Chunk, progress: &Progress) -> Result<(), SendError> {
        let known = self.take_known(&mut chunk).await?;
        progress.known(known);
        let Chunk { spans, logs, verdicts, rejected, .. } = chunk;
        progress.rejected(rejected.len() as u64, rejected);
        if !spans.is_empty() {
            let sent = count(&spans, "scopeSpans", "spans");
            let answer = self.accepted(&self.otlp, "/v1/traces", json!({"resourceSpans": spans})).await?;
            progress.sent(0, sent, &answer, "rejectedSpans");
        }
        if !logs.is_empty() {
            let sent = count(&logs, "scopeLogs", "logRecords");
            let answer = self.accepted(&self.otlp, "/v1/logs", json!({"resourceLogs": logs})).await?;
            progress.sent(1, sent, &answer, "rejectedLogRecords");
        }
        if !verdicts.is_empty() {
            let answer = self.accepted(&self.api, "/api/v1/verdicts", json!(verdicts)).await?;
            progress.sent(2, verdicts.len() as u64, &answer, "");
        }
        Ok(())
    }

    async fn accepted(&self, api: &Api, path: &str, body: Value) -> Result<Value, SendError> {
        let body = Bytes::from(body.to_string());
        let mut tries = 0;
        loop {
            let answer = api.post(path, &self.tenant, body.clone()).await?;
            let is_full = matches!(
                answer.status,
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            );
            tries += 1;
            if !is_full || tries == TRIES_MAX {
                let body = answer.success()?;
                return Ok(serde_json::from_slice(&body).unwrap_or_default());
            }
            let wait_s = answer.retry_after_s.unwrap_or(1 << tries.min(5)).clamp(1, WAIT_MAX_S);
            tokio::time::sleep(Duration::from_secs(wait_s)).await;
        }
    }
}

fn count(elements: &[Value], scopes: &str, items: &str) -> u64 {
    let scopes = elements.iter().flat_map(|e| e[scopes].as_array().into_iter().flatten());
    scopes.filter_map(|scope| scope[items].as_array()).map(|items| items.len() as u64).sum()
}
