//! The product from outside: the real binary on free ports, real clients, other readers of its lake.
//!
//! What the tests need beside Rust is installed by `tests/setup.sh`; a test that misses it fails and says so.

mod bad_input;
mod browser;
mod bucket;
mod cloud;
mod compare;
mod crash;
mod fixture;
mod frameworks;
mod harness;
mod import;
mod lake;
mod overload;
mod readers;
mod salvage;
mod sdk_clients;
mod shutdown;
mod wire;
