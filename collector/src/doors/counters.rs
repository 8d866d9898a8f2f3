//! What the doors count about themselves.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug, Default)]
pub struct CollectorStatus {
    requests: AtomicU64,
    rejected_spans: AtomicU64,
    refused: AtomicU64,
    metrics_dropped: AtomicU64,
    malformed: AtomicU64,
}

/// The counters at one instant, since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct CollectorStatusSnapshot {
    /// Export requests, however they ended.
    pub requests: u64,
    /// Items of accepted requests that could not be kept.
    pub rejected_spans: u64,
    /// Requests that the client was asked to send again later.
    pub refused: u64,
    /// Metrics requests, which are accepted but not kept.
    pub metrics_dropped: u64,
    /// Requests that can never succeed: malformed, too large, of an unknown type or encoding.
    pub malformed: u64,
}

impl CollectorStatus {
    pub fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub fn rejected(&self, items: u64) {
        self.rejected_spans.fetch_add(items, Relaxed);
    }

    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub fn metrics_dropped(&self) {
        self.metrics_dropped.fetch_add(1, Relaxed);
    }

    pub fn malformed(&self) {
        self.malformed.fetch_add(1, Relaxed);
    }

    pub fn snapshot(&self) -> CollectorStatusSnapshot {
        CollectorStatusSnapshot {
            requests: self.requests.load(Relaxed),
            rejected_spans: self.rejected_spans.load(Relaxed),
            refused: self.refused.load(Relaxed),
            metrics_dropped: self.metrics_dropped.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
        }
    }
}
