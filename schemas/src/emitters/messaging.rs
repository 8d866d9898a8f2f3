//! Workflow engines, task queues and brokers: between who asks for work and who does it lies a queue.

use super::{Emitter, Reading, alias};
use crate::attr::Attr;

/// `StartActivity` ends at once; `RunActivity` below it is what the workflow waits for. Every attempt is a `RunActivity` of
/// its own, with the same activity id. Read at Python SDK 1.35.0.
pub const TEMPORAL: Emitter =
    Emitter { name: "Temporal", awaited: Some(("StartActivity:", "RunActivity:")), ..Emitter::NONE };

/// A delay that was asked for is no queueing: `celery.countdown` in seconds, `celery.eta` as a time. Read at 0.66b2.
pub const CELERY: Emitter = Emitter {
    name: "Celery",
    aliases: &[
        alias("celery.countdown", Attr::CeleryCountdown, Reading::Number),
        alias("celery.eta", Attr::NotBefore, Reading::Rfc3339),
        alias("celery.retries", Attr::CeleryRetries, Reading::Number),
    ],
    ..Emitter::NONE
};

/// Kafka, RabbitMQ, Service Bus, Event Hubs, Pub/Sub and others: names of before messaging conventions 1.17 and 1.26.
pub const BROKERS: Emitter = Emitter {
    name: "Message brokers",
    aliases: &[
        alias("messaging.destination", Attr::MessagingDestinationName, Reading::Text),
        alias("message_bus.destination", Attr::MessagingDestinationName, Reading::Text),
        alias("messaging.operation", Attr::MessagingOperationType, Reading::MessagingOperation),
        alias("messaging.operation.name", Attr::MessagingOperationType, Reading::MessagingOperation),
        alias("messaging.message_id", Attr::MessagingMessageId, Reading::Text),
        alias("messaging.gcp_pubsub.message.delivery_attempt", Attr::PubSubDeliveryAttempt, Reading::Number),
        alias("messaging.servicebus.message.delivery_count", Attr::ServiceBusDeliveryCount, Reading::Number),
        alias("messaging.servicebus.message.enqueued_time", Attr::ServiceBusEnqueuedTime, Reading::Number),
        alias("messaging.eventhubs.message.enqueued_time", Attr::EventHubsEnqueuedTime, Reading::Number),
    ],
    ..Emitter::NONE
};
