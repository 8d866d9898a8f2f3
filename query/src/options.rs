//! The bounds of questions. Every default has its reason.

use std::path::PathBuf;
use std::time::Duration;

use plimsoll_schemas::Rules;

#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// Where statements that need more memory than they may have put what they work on.
    pub spill: PathBuf,
    /// The folder with the OpenSLO documents; `None`: built-in objectives only.
    pub objectives_dir: Option<PathBuf>,
    /// Stage rules, so that a trace is analysed as settling does.
    pub rules: Rules,
    /// Bytes that all queries together may hold; above that they spill, then fail.
    pub memory_bytes_max: usize,
    /// Bytes of spill files.
    pub spill_bytes_max: u64,
    /// From the first to the last byte of one answer.
    pub timeout: Duration,
    /// Rows of a JSON answer, which is built in memory, unless the asker wants fewer.
    pub rows_default: usize,
    /// Rows of any answer.
    pub rows_max: usize,
    /// Queries at work at once; more wait.
    pub concurrent_max: usize,
    /// For how long they wait before they are told to come back.
    pub wait_max: Duration,
    /// How often what settled is rolled up.
    pub roll_up_every: Duration,
    /// Threads of the runtime for queries, apart from ingest's.
    pub threads: usize,
}

impl QueryOptions {
    /// `scratch` is a folder of which nothing has to last.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        Self {
            spill: scratch.into().join("tmp"),
            objectives_dir: None,
            rules: Rules::default(),
            memory_bytes_max: 1 << 30,
            spill_bytes_max: 8 << 30,
            timeout: Duration::from_secs(60),
            rows_default: 10_000,
            rows_max: 10_000_000,
            concurrent_max: 16,
            wait_max: Duration::from_secs(10),
            roll_up_every: Duration::from_secs(30),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}
