//! Over many traces: algorithms that take rows and answer findings. No I/O, no clock, no SQL.

pub mod compare;
