//! Questions to a real store, as HTTP asks them: one small fleet, every number of which is worked out by hand.

mod compare;
mod damage;
mod emitters;
mod envelope;
mod fleet;
mod functions;
mod goodput;
mod linked;
mod load;
mod loops;
mod newest;
mod paths;
mod plans;
mod restating;
mod retention;
mod rollups;
mod rules;
mod search;
mod settling;
mod storms;
mod system;
mod tools;
