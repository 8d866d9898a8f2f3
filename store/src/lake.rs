//! The open lake: one Delta table per [`Table`] at `<home>/<table>`, of Parquet files that any reader opens.
//!
//! Delta's log says which files are the table; everything else is done here: our own writer properties, bloom
//! filters over trace ids and attributes beside each file of `spans`, our own file list in memory, and commits of which nobody is told
//! before they are durable, with the files that they name (see [`crate::home`]). It is not a query engine (see `query`), and it knows
//! nothing of the write-ahead log or of what the rows mean.
//!
//! ```text
//! <home>/spans/_delta_log/00000000000000000042.json     a commit, created whole or not at all
//! <home>/spans/day=2026-11-20/slice=_recent/<uuid>.parquet
//! <home>/spans/day=2026-11-20/slice=_recent/_<uuid>.bloom
//! ```

mod bloom;
mod checksums;
mod chunk;
mod definition;
mod entries;
mod filters;
mod follow;
mod footers;
mod gather;
mod group;
mod log;
mod mend;
mod object;
mod pages;
mod properties;
mod read;
mod read_traces;
mod sidecar;
mod stats;
mod table;
mod tokens;
mod upload;
mod vacuum;
mod writer;

pub use bloom::TraceBloom;
pub use filters::{FILTER_BYTES_MAX, Filters, Resident};
pub use footers::{FOOTER_BYTES_MAX, FooterCache};
pub use gather::{Gather, first_rows};
pub use mend::{Damage, Mended, mend};
pub use object::Object;
pub use properties::Effort;
pub use read::{FileReader, read_columns, read_file};
pub use read_traces::read_traces;
pub use sidecar::Sidecar;
pub use table::{Commit, LakeTable};
pub(crate) use table::{MAINTENANCE, OWNER};
pub use tokens::{TokenBloom, Tokenized};
pub(crate) use writer::now;
pub use writer::{Part, Partition, Writing, write_files};
