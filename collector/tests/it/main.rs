//! The collector from outside.

mod doors;
