//! How a store is set up. Every default has its reason.

use std::path::PathBuf;
use std::time::Duration;

use plimsoll_schemas::Rules;
use plimsoll_schemas::retention::Retention;

use crate::home::Location;

#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// What holds everything.
    pub home: Location,
    /// A folder for the log alone; else the log is in the home.
    pub wal: Option<PathBuf>,
    /// Stage rules that the analyses apply.
    pub rules: Rules,
    /// A tail older than this is flushed: bounds what a restart has to replay.
    pub flush_after: Duration,
    /// A tail larger than this is flushed: one good-sized file.
    pub flush_bytes: usize,
    /// At this many bytes in the tail doors refuse, so that memory stays bounded when the disk is slow.
    pub tail_bytes_max: usize,
    /// A trace without a new span for this long is settled; sooner when many rows only wait.
    pub settle_after: Duration,
    /// A trace is settled at this age even if spans still come; likewise.
    pub settle_at_most: Duration,
    /// How often settled traces in `_recent` are merged into their slices.
    pub merge_every: Duration,
    /// How long rows are kept.
    pub retention: Retention,
}

impl StoreOptions {
    pub fn new(home: impl Into<Location>) -> Self {
        Self {
            home: home.into(),
            wal: None,
            rules: Rules::default(),
            flush_after: Duration::from_secs(30),
            flush_bytes: 32 << 20,
            tail_bytes_max: 512 << 20,
            settle_after: Duration::from_secs(10),
            settle_at_most: Duration::from_secs(600),
            merge_every: Duration::from_secs(60),
            retention: Retention::default(),
        }
    }
}
