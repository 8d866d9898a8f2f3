//! Questions to a real store, as HTTP asks them: one small fleet, every number of which is worked out by hand.

mod compare;
mod emitters;
mod envelope;
mod fleet;
mod functions;
mod goodput;
mod load;
mod paths;
mod plans;
mod rollups;
mod search;
mod settling;
mod storms;
mod tools;
