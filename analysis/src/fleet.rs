//! Pure functions over many traces: what rows of settled traces, or of windows of them, say of a fleet. No I/O, no clock, no SQL.

pub mod compare;
pub mod load;
pub mod storms;
