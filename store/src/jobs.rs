//! Long work and how far it is: merging, retention, import. The newest are kept in memory, for people to look at.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use plimsoll_schemas::UnixNanos;

use crate::lake::now;

/// Jobs that are remembered, the eldest forgotten first once they ended.
const JOBS_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Files of `_recent` become files by slice, or small files one.
    Merge,
    Retention,
    Import,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    Running,
    Done,
    Failed,
    /// Nobody works on it any more, and nobody said how it ended.
    Abandoned,
}

/// What a job counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobUnit {
    Rows,
    Files,
    Bytes,
}

/// One job, as it was when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub id: u64,
    pub kind: JobKind,
    /// On what: a table, a file.
    pub subject: String,
    pub state: JobState,
    pub unit: JobUnit,
    pub done: u64,
    /// Where it is known how much there is to do.
    pub total: Option<u64>,
    pub began: UnixNanos,
    pub ended: Option<UnixNanos>,
    /// What stopped it.
    pub problem: Option<String>,
}

macro_rules! words {
    ($($of:ident { $($name:ident $word:literal),* })*) => {$(
        impl $of {
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    )*};
}

words! {
    JobKind { Merge "merge", Retention "retention", Import "import" }
    JobState { Running "running", Done "done", Failed "failed", Abandoned "abandoned" }
    JobUnit { Rows "rows", Files "files", Bytes "bytes" }
}

/// A cheap handle on the list; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Jobs(Arc<Mutex<VecDeque<Arc<Shared>>>>);

#[derive(Debug)]
struct Shared {
    /// `done` of it is stale.
    job: Mutex<Job>,
    done: AtomicU64,
}

impl Jobs {
    pub fn begin(
        &self,
        kind: JobKind,
        subject: impl Into<String>,
        unit: JobUnit,
        total: Option<u64>,
    ) -> Running {
        let mut jobs = self.0.lock();
        let job = Job {
            id: jobs.back().map_or(1, |newest| newest.job.lock().id + 1),
            kind,
            subject: subject.into(),
            state: JobState::Running,
            unit,
            done: 0,
            total,
            began: now(),
            ended: None,
            problem: None,
        };
        let shared = Arc::new(Shared { job: Mutex::new(job), done: AtomicU64::new(0) });
        jobs.push_back(shared.clone());
        while jobs.len() > JOBS_MAX {
            let ended = jobs.iter().position(|shared| shared.job.lock().state != JobState::Running);
            jobs.remove(ended.unwrap_or(0));
        }
        Running(shared)
    }

    /// The eldest first.
    pub fn list(&self) -> Vec<Job> {
        let jobs = self.0.lock();
        let now = |shared: &Arc<Shared>| Job {
            done: shared.done.load(Ordering::Relaxed),
            ..shared.job.lock().clone()
        };
        jobs.iter().map(now).collect()
    }
}

/// A job that somebody works on.
#[derive(Debug)]
pub struct Running(Arc<Shared>);

impl Running {
    pub fn advance(&self, by: u64) {
        self.0.done.fetch_add(by, Ordering::Relaxed);
    }

    /// So much of it is done.
    pub fn is_at(&self, done: u64) {
        self.0.done.store(done, Ordering::Relaxed);
    }

    pub fn id(&self) -> u64 {
        self.0.job.lock().id
    }

    /// How it ended.
    pub fn end<T, E: std::fmt::Display>(self, result: &Result<T, E>) {
        let mut job = self.0.job.lock();
        job.state = if result.is_ok() { JobState::Done } else { JobState::Failed };
        job.problem = result.as_ref().err().map(ToString::to_string);
        job.ended = Some(now());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut job = self.0.job.lock();
        if job.state == JobState::Running {
            job.state = JobState::Abandoned;
            job.ended = Some(now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_says_how_far_it_is_and_how_it_ended() {
        let jobs = Jobs::default();
        let running = jobs.begin(JobKind::Merge, "spans", JobUnit::Rows, Some(10));
        running.advance(4);
        let job = &jobs.list()[0];
        assert_eq!((job.id, job.done, job.total, job.state), (1, 4, Some(10), JobState::Running));
        running.end::<(), _>(&Err("the disk is full"));
        let job = &jobs.list()[0];
        assert_eq!((job.state, job.problem.as_deref()), (JobState::Failed, Some("the disk is full")));
        assert!(job.ended.is_some());
        drop(jobs.begin(JobKind::Retention, "spans", JobUnit::Files, None));
        assert_eq!(jobs.list()[1].state, JobState::Abandoned);
    }

    #[test]
    fn what_runs_is_not_forgotten() {
        let jobs = Jobs::default();
        let import = jobs.begin(JobKind::Import, "a.json", JobUnit::Bytes, None);
        for _ in 0..JOBS_MAX * 2 {
            jobs.begin(JobKind::Merge, "spans", JobUnit::Rows, None).end::<(), &str>(&Ok(()));
        }
        let list = jobs.list();
        assert_eq!((list.len(), list[0].kind), (JOBS_MAX, JobKind::Import));
        assert_eq!(list[JOBS_MAX - 1].id, JOBS_MAX as u64 * 2 + 1);
        drop(import);
    }
}
