//! The analysis from outside: properties against slow oracles, golden traces, and size.

mod compare;
mod concepts;
mod crisp;
mod frameworks;
mod oracle;
mod properties;
mod scale;
mod simulator;
mod slack;
mod storms;
#[allow(dead_code, reason = "shared with the unit tests, which use the rest of it")]
#[path = "../../src/testing.rs"]
mod testing;
