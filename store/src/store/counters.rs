//! What the store counts, for `/system`, `/readyz` and `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that many threads change; reads need not be of one instant.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Release);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Debug, Default)]
pub struct Counters {
    pub spans: Counter,
    pub log_records: Counter,
    pub verdicts: Counter,
    pub requests: Counter,
    pub rejected: Counter,
    pub refused: Counter,
    pub duplicate_requests: Counter,
    pub duplicate_spans: Counter,
    pub settled_traces: Counter,
    pub flushes: Counter,
    pub merges: Counter,
    pub flushed_seq: Counter,
}
