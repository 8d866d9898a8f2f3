//! The collector from outside.

mod bounds;
mod doors;
mod wire;
