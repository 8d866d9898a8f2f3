//! One trace as a document: in OTLP JSON as it was sent, and analysed.

pub mod analysis;
pub mod otlp;
