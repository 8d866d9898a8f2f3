//! The open lake.

use plimsoll_schemas::TraceId;

/// Split-block bloom filter over the trace ids of one file.
#[derive(Debug)]
pub struct TraceBloom;

impl TraceBloom {
    pub fn may_hold(&self, _trace_id: &TraceId) -> bool {
        true
    }
}
