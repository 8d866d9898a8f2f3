//! What the process is told: defaults, then one YAML file, then the environment, then flags; the later wins.
//!
//! Each value is read as the type that it has here, at the place where it was written, so that a mistake is
//! reported with the line of the file, the variable's name or the flag that holds it.

mod layers;
mod units;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use plimsoll_query::QueryOptions;
use plimsoll_schemas::Rules;
use plimsoll_schemas::retention::{self, Retention};
use plimsoll_store::StoreOptions;
use serde::{Deserialize, Serialize};

pub use layers::{Effective, SettingsError, load};
pub use units::{ByteSize, Listen, Period, Place};

/// Every setting, with its value in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub listen: ListenSettings,
    pub store: StoreSettings,
    #[serde(skip_serializing)]
    pub rules: Rules,
    pub objectives: ObjectiveSettings,
    pub retention: RetentionSettings,
}

/// The doors: `host:port`, port 0 for any free one, or `off`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenSettings {
    /// The HTTP API and the web UI.
    pub http: Listen,
    pub otlp_grpc: Listen,
    pub otlp_http: Listen,
    /// Allows other addresses than loopback, though there is neither TLS nor a token yet.
    pub insecure: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// A folder, or a bucket: `s3://bucket/prefix`, and so for `gs` and `az`. The bucket's keys and address are read from the environment.
    pub home: Place,
    /// A folder for the write-ahead log alone; else it is in the home, whatever that is.
    pub wal: Option<PathBuf>,
    /// Answers questions of a home that another process writes, and takes nothing in.
    pub read_only: bool,
    pub flush_after: Period,
    pub flush_bytes: ByteSize,
    pub tail_bytes_max: ByteSize,
    pub settle_after: Period,
    pub settle_at_most: Period,
    pub merge_every: Period,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveSettings {
    /// The folder of the OpenSLO documents; `objectives` below the home, if that is a folder, where it is not given.
    pub folder: Option<PathBuf>,
}

/// How long rows are kept; for ever unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Days that a row is kept of which no rule speaks.
    pub keep_days: Option<u32>,
    /// Bytes of data files above which the oldest days go, however young.
    pub max_bytes: Option<ByteSize>,
    pub rules: Vec<retention::Rule>,
}

impl Default for ListenSettings {
    fn default() -> Self {
        // The ports that OTLP exporters use unless told otherwise; loopback, since nothing is encrypted.
        Self {
            http: Listen::at("127.0.0.1:8317"),
            otlp_grpc: Listen::at("127.0.0.1:4317"),
            otlp_http: Listen::at("127.0.0.1:4318"),
            insecure: false,
        }
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        let defaults = StoreOptions::new(Path::new("./plimsoll-data"));
        Self {
            home: Place(defaults.home),
            wal: defaults.wal,
            read_only: false,
            flush_after: Period(defaults.flush_after),
            flush_bytes: ByteSize(defaults.flush_bytes),
            tail_bytes_max: ByteSize(defaults.tail_bytes_max),
            settle_after: Period(defaults.settle_after),
            settle_at_most: Period(defaults.settle_at_most),
            merge_every: Period(defaults.merge_every),
        }
    }
}

impl Settings {
    pub fn store_options(&self) -> StoreOptions {
        let store = &self.store;
        StoreOptions {
            home: store.home.0.clone(),
            wal: store.wal.clone(),
            rules: self.rules.clone(),
            flush_after: store.flush_after.0,
            flush_bytes: store.flush_bytes.0,
            tail_bytes_max: store.tail_bytes_max.0,
            settle_after: store.settle_after.0,
            settle_at_most: store.settle_at_most.0,
            merge_every: store.merge_every.0,
            retention: Retention {
                keep_days: self.retention.keep_days,
                max_bytes: self.retention.max_bytes.map(|bytes| bytes.0 as u64),
                rules: self.retention.rules.clone(),
            },
        }
    }

    pub fn query_options(&self) -> QueryOptions {
        let scratch = self.store.wal.clone().or_else(|| self.store.home.0.folder().map(Into::into));
        let mut options = QueryOptions::new(scratch.unwrap_or_else(std::env::temp_dir));
        options.rules = self.rules.clone();
        options.objectives_dir = self.objectives_folder();
        options
    }

    /// None where the home is a bucket and no folder is named.
    pub fn objectives_folder(&self) -> Option<PathBuf> {
        let beside = || Some(self.store.home.0.folder()?.join("objectives"));
        self.objectives.folder.clone().or_else(beside)
    }
}
