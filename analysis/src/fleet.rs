//! Pure functions over many traces: what settled rows, added up by window, say of a fleet.

pub mod storms;
