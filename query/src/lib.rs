//! Answers questions about what the store holds: SQL through DataFusion, and the analyses over HTTP.
//!
//! It reads snapshots of the store, never its files by other ways; the only things that it writes are verdicts,
//! through the store's log, and rollups, which are answers kept for later. It is not a door for telemetry (see `collector`).

mod analyses;
mod engine;
mod error;
mod filter;
mod functions;
mod guard;
mod http;
mod json;
mod objectives;
mod options;
mod rollup;
mod state;
mod tables;
mod time;
mod trace;

pub use analyses::ALL as ANALYSES;
pub use analyses::definition::{Definition, Parameter, SHARED as SHARED_PARAMETERS};
pub use engine::{Collected, Rows, View};
pub use error::QueryError;
pub use http::router;
pub use options::QueryOptions;
pub use state::QueryState;
