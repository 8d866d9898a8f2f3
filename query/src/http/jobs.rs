//! `POST /api/v1/jobs`: what a command elsewhere works on, such as an import, so that whoever looks at the server sees it. It is
//! told again and again; a command that falls silent is taken for gone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use parking_lot::Mutex;
use plimsoll_store::jobs::{JobKind, JobUnit, Jobs, Running};
use serde::Deserialize;
use serde_json::json;

use super::Answer;
use crate::error::QueryError;
use crate::state::QueryState;

/// A command tells several times as often.
const SILENCE_MAX: Duration = Duration::from_secs(120);
const TOLD_MAX: usize = 64;
const SUBJECT_CHARS_MAX: usize = 500;

/// Jobs of commands elsewhere that go on.
#[derive(Debug, Default)]
pub struct Told(Mutex<BTreeMap<u64, (Running, Instant)>>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Telling {
    /// As the first answer said it.
    id: Option<u64>,
    subject: String,
    done_bytes: u64,
    total_bytes: Option<u64>,
    /// Whether it ended; with what stopped it, if anything did.
    #[serde(default)]
    ended: bool,
    problem: Option<String>,
}

impl Told {
    /// Notes how far it is, and answers its id.
    fn note(&self, jobs: &Jobs, telling: Telling) -> Result<u64, QueryError> {
        let mut told = self.0.lock();
        told.retain(|_, (_, heard)| heard.elapsed() < SILENCE_MAX);
        let known = telling.id.filter(|id| told.contains_key(id));
        if known.is_none() && told.len() >= TOLD_MAX {
            return Err(QueryError::Busy { running: TOLD_MAX, retry_after: SILENCE_MAX });
        }
        let running = known.and_then(|id| told.remove(&id)).map_or_else(
            || {
                let subject: String = telling.subject.chars().take(SUBJECT_CHARS_MAX).collect();
                jobs.begin(JobKind::Import, subject, JobUnit::Bytes, telling.total_bytes)
            },
            |(running, _)| running,
        );
        running.is_at(telling.done_bytes);
        let id = running.id();
        if telling.ended {
            running.end(&telling.problem.map_or(Ok(()), Err));
        } else {
            told.insert(id, (running, Instant::now()));
        }
        Ok(id)
    }
}

pub async fn post(State(state): State<QueryState>, body: Bytes) -> Answer {
    let telling = serde_json::from_slice(&body).map_err(|e| QueryError::Invalid(format!("a job: {e}")))?;
    let id = state.told().note(state.store().jobs(), telling)?;
    Ok(Json(json!({ "id": id })))
}
