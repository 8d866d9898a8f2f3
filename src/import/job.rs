//! Tells the server how far an import is, for whoever looks there: `plimsoll.jobs`. Nothing depends on it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::progress::Progress;
use crate::client::Api;

const EVERY: Duration = Duration::from_secs(2);

/// The job of one file.
#[derive(Debug, Default)]
pub struct Job(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    id: Option<u64>,
    at: Option<Instant>,
}

impl Job {
    /// How far it is, now and then.
    pub async fn tell(&self, api: &Api, progress: &Progress) {
        let is_due = self.lock().at.is_none_or(|at| at.elapsed() >= EVERY);
        if is_due {
            self.send(api, progress, false, None).await;
        }
    }

    pub async fn end(&self, api: &Api, progress: &Progress, problem: Option<String>) {
        self.send(api, progress, true, problem).await;
    }

    async fn send(&self, api: &Api, progress: &Progress, ended: bool, problem: Option<String>) {
        let (done, total) = progress.bytes();
        let id = self.lock().id;
        let telling = json!({
            "id": id, "subject": progress.name(), "done_bytes": done, "total_bytes": total,
            "ended": ended, "problem": problem,
        });
        let body = telling.to_string().into();
        let answer = api.post("/api/v1/jobs", plimsoll_schemas::Tenant::DEFAULT, body).await;
        let answer =
            answer.ok().and_then(|answer| serde_json::from_slice::<Value>(&answer.success().ok()?).ok());
        let mut told = self.lock();
        told.at = Some(Instant::now());
        told.id = answer.and_then(|answer| answer["id"].as_u64()).or(told.id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
