//! The heart: what the spans of one trace say about where its time went, what was tried again, and how it ended.
//!
//! Pure functions: no I/O, no clock, no runtime. The same spans in any order give the same answer.
//! Definitions and their sources stand with each module; the vocabulary is in `plimsoll-schemas`.

pub mod model;

pub use model::*;
