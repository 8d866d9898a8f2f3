//! Keeps every acknowledged span: a write-ahead log, an in-memory tail that is queryable at once, and an open lake
//! of Parquet files under a Delta log; settles traces and merges them into their slices.
//!
//! It knows nothing of protocols (see [`decode::Decode`]) and nothing of SQL (see [`snapshot::Snapshot`]).

pub mod attributes;
mod blocking;
pub mod decode;
mod derive;
pub mod error;
mod file_list;
pub mod files;
pub mod home;
pub mod jobs;
mod keyword;
pub mod lake;
mod nulls;
mod numbers;
pub mod options;
pub mod rows;
pub mod snapshot;
pub mod store;
mod tail;
mod text;
pub mod wal;

pub use decode::{Decode, DecodeError, Decoded, RecordKind, RecordMeta};
pub use derive::{derive_recent, edges_so_far};
pub use error::{IngestError, StoreError};
pub use file_list::FileList;
pub use home::{Home, Location};
pub use keyword::KeywordBuilder;
pub use nulls::null_column;
pub use numbers::Numbers;
pub use options::StoreOptions;
pub use snapshot::{DataFile, Snapshot, TableSnapshot};
pub use store::{Accepted, Senders, Store, StoreStatus, salvage, salvage_data};
pub use text::TextBuilder;
