//! The bounds of one request's content. Each is far above what SDKs send and far below what hurts.

/// Bytes of a request, also after inflation (what the OTLP specification recommends).
pub const REQUEST_BYTES_MAX: usize = 64 << 20;
/// Spans of a request: 64 MiB of the smallest spans that anybody sends; bounds the row buffers.
pub const SPANS_MAX: usize = 1 << 20;
/// Attributes of one span, resource, scope, event or link; SDKs stop at 128. More are dropped and counted.
pub const ATTRIBUTES_MAX: usize = 1024;
/// Bytes of a key or a value's text: prompts and tool results fit; longer ones are cut and flagged.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Depth of arrays and lists in an attribute's value: bounds the converters' stack.
pub const VALUE_DEPTH_MAX: usize = 32;
/// Events of one span; SDKs stop at 128. More are dropped and counted.
pub const EVENTS_MAX: usize = 4096;
/// Links of one span; SDKs stop at 128. More are dropped and counted.
pub const LINKS_MAX: usize = 4096;
/// Bytes of one attribute map over all rows of a request. What a resource says once stands in the row of each of its
/// spans, so a small request could grow beyond what Arrow's offsets, and memory, can hold. More are dropped and said so.
pub const MAP_BYTES_MAX: usize = 512 << 20;
