//! The vocabulary that every other crate shares: ids and times, the span model, which attributes are
//! columns, the tables, stages, slices, outcomes, verdicts and objectives.
//!
//! It does no I/O, knows no runtime and no query engine: it can be read, tested and reused alone.

pub mod attr;
pub mod class;
pub mod comparison;
pub mod emitters;
pub mod envelope;
pub mod id;
pub mod objective;
pub mod outcome;
pub mod retention;
pub mod rules;
pub mod sampling;
pub mod slice;
pub mod span;
pub mod stage;
pub mod table;
pub mod task;
pub mod time;
pub mod verdict;

pub use attr::{Attr, AttrType, Value};
pub use class::{QueueSource, TimeClass};
pub use envelope::{Envelope, EnvelopeKey};
pub use id::{SpanId, Tenant, TraceId};
pub use outcome::Outcome;
pub use rules::Rules;
pub use slice::{Slice, SliceKey};
pub use span::{Span, SpanKind, StatusCode};
pub use time::{DurationNs, UnixNanos};
