//! The lake as SQL tables: what one snapshot holds, planned without I/O.
//!
//! [`LakeTable`] is one table's files and tail; [`catalog::LakeSchema`] gives them their names, with views that
//! hide superseded revisions; [`system`] tells of the server itself. A tenant's confinement is imposed here, below SQL.

mod asks;
mod attributes;
pub mod catalog;
mod files;
pub mod lake;
mod live;
mod prune;
mod recent;
mod system;
mod tail;
mod views;

pub use catalog::LakeSchema;
pub use lake::LakeTable;
pub use views::{OBJECTIVE_HOURS, OBJECTIVE_MINUTES, every_revision, latest_verdicts};

/// The name of the catalog and of its schema, as `SHOW TABLES` prints them.
pub const CATALOG: &str = "plimsoll";
pub const SCHEMA: &str = "public";
