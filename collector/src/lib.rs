//! The doors in: OTLP over gRPC and HTTP, bounded, decoded into the rows of the tables.
//!
//! It knows protocols and nothing of files or queries; it speaks to the store through one handle.

pub mod doors;
pub mod limits;
mod rows;
pub mod wire;

pub use doors::{CollectorStatusSnapshot, Doors, Ingest, Limits, serve};
pub use rows::OtlpDecoder;
