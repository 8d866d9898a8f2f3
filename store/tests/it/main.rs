//! The store from outside. One binary, so that it is linked once.

mod lake;
mod wal;
