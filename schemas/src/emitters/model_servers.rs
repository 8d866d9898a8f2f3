//! Model servers. What they say of queue and compute is on one span, or is a span, or is a pair of events.

use super::{Emitter, Reading, alias};
use crate::attr::Attr;

/// `time_in_queue`, and prefill and decode that begin at scheduling: a breakdown of its span. Newer ones add spans. Read at
/// 0.29.0 and in pull request 44402.
pub const VLLM: Emitter = Emitter {
    name: "vLLM",
    aliases: &[
        alias("gen_ai.usage.cached_tokens", Attr::GenAiUsageCacheReadInputTokens, Reading::Number),
        alias("gen_ai.latency.time_in_queue", Attr::TimeInQueue, Reading::Number),
        // Its engine before V1.
        alias("gen_ai.latency.time_in_model_execute", Attr::TimeInModelInference, Reading::Number),
        alias("gen_ai.latency.time_in_model_forward", Attr::TimeInModelInference, Reading::Number),
    ],
    queue_spans: &["vllm_queue"],
    load_spans: &["vllm_async_kv_transfer"],
    ..Emitter::NONE
};

/// Never reports `time_in_queue`; its prefill begins at dispatch and *contains* the wait, so its numbers are no breakdown.
/// Its waits are spans. Read at 0.5.23.
pub const SGLANG: Emitter = Emitter {
    name: "SGLang",
    queue_spans: &["prefill_waiting", "decode_waiting", "prefill_bootstrap", "decode_transferred"],
    load_spans: &["prefill_transfer_kv_cache"],
    ..Emitter::NONE
};

/// Its router writes durations as text, such as `1.25ms`.
pub const TGI: Emitter = Emitter {
    name: "Text Generation Inference",
    aliases: &[
        alias("queue_time", Attr::TimeInQueue, Reading::DurationText),
        alias("inference_time", Attr::TimeInModelInference, Reading::DurationText),
    ],
    ..Emitter::NONE
};

/// Marks the wait by two events, the second on a span of its own below.
pub const TRITON: Emitter = Emitter {
    name: "Triton",
    aliases: &[
        alias("model_name", Attr::GenAiRequestModel, Reading::Text),
        alias("triton.model_name", Attr::GenAiRequestModel, Reading::Text),
    ],
    queue_events: &[("QUEUE_START", "COMPUTE_START")],
    ..Emitter::NONE
};
