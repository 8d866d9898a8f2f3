//! The fleet's mouth: OpenTelemetry's SDK, one provider per tenant and service, over OTLP/gRPC.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::trace::{
    Event, Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceId, TracerProvider,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, SdkTracer, SdkTracerProvider, Span,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::clock::{Nanos, now, system_time};
use super::story::{Draft, Judgement, Story};
use super::world::{Service, Tenant};

/// Spans that one provider holds until they are sent: more than the driver emits between two flushes.
const QUEUE_SPANS: usize = 32_768;
const BATCH_SPANS: usize = 512;
const BATCH_DELAY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the demo's exporter cannot be built: {0}")]
    Build(String),
    #[error("the demo's spans could not all be delivered: {0}")]
    Deliver(String),
}

/// Something that has begun and will be sent once its time has come.
#[derive(Debug)]
pub enum Pending {
    Span(Span),
    Verdict { tenant: &'static Tenant, root: SpanContext, judgement: Judgement },
}

#[derive(Debug)]
pub struct Telemetry {
    endpoint: String,
    ids: Ids,
    tracers: BTreeMap<(&'static str, Service), (SdkTracerProvider, SdkTracer)>,
    loggers: BTreeMap<&'static str, (SdkLoggerProvider, SdkLogger)>,
    /// Spans that were ended, and so will be sent.
    pub spans: u64,
    pub verdicts: u64,
}

impl Telemetry {
    /// `run` tells apart fleets of one seed that began at different times: their ids differ.
    pub fn new(endpoint: String, seed: u64, run: Nanos) -> Self {
        let ids = Ids(Arc::new(Mutex::new(SmallRng::seed_from_u64(seed ^ run.unsigned_abs()))));
        Self { endpoint, ids, tracers: BTreeMap::new(), loggers: BTreeMap::new(), spans: 0, verdicts: 0 }
    }

    /// Begins every span of the story; gives back what is to be ended or said, and when.
    pub fn begin(&mut self, story: Story) -> Result<Vec<(Nanos, Pending)>, TelemetryError> {
        let tenant = story.tenant;
        let mut contexts: Vec<Context> = Vec::with_capacity(story.drafts.len());
        let mut pending = Vec::with_capacity(story.drafts.len() + 1);
        for draft in story.drafts {
            let parent = draft.parent.and_then(|p| contexts.get(p).cloned()).unwrap_or_default();
            let end = draft.end;
            let span = start(self.tracer(tenant, draft.service)?, draft, &parent);
            // Remote, as context that came over the wire is.
            contexts.push(Context::new().with_remote_span_context(span.span_context().clone()));
            pending.push((end, Pending::Span(span)));
        }
        if let (Some(judgement), Some(root)) = (story.judgement, contexts.first()) {
            let root = root.span().span_context().clone();
            pending.push((judgement.at, Pending::Verdict { tenant, root, judgement }));
        }
        Ok(pending)
    }

    /// Ends a span, or says a verdict, as of `at`.
    pub fn finish(&mut self, at: Nanos, pending: Pending) -> Result<(), TelemetryError> {
        match pending {
            Pending::Span(mut span) => {
                span.end_with_timestamp(system_time(at));
                self.spans += 1;
            }
            Pending::Verdict { tenant, root, judgement } => {
                say(self.logger(tenant)?, at, &root, judgement);
                self.verdicts += 1;
            }
        }
        Ok(())
    }

    /// Waits until all that was finished is acknowledged.
    pub fn flush(&self) -> Result<(), TelemetryError> {
        let deliver = |e: opentelemetry_sdk::error::OTelSdkError| TelemetryError::Deliver(e.to_string());
        self.tracers.values().try_for_each(|(provider, _)| provider.force_flush()).map_err(deliver)?;
        self.loggers.values().try_for_each(|(provider, _)| provider.force_flush()).map_err(deliver)
    }

    /// Nothing is sent any more, whatever is still pending.
    pub fn shutdown(&self) {
        for (provider, _) in self.tracers.values() {
            let _ = provider.shutdown();
        }
        for (provider, _) in self.loggers.values() {
            let _ = provider.shutdown();
        }
    }

    fn tracer(&mut self, tenant: &'static Tenant, service: Service) -> Result<&SdkTracer, TelemetryError> {
        use std::collections::btree_map::Entry;
        let slot = match self.tracers.entry((tenant.name, service)) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(slot) => {
                let exporter = SpanExporter::builder()
                    .with_tonic()
                    .with_endpoint(&self.endpoint)
                    .with_metadata(metadata(tenant))
                    .build()
                    .map_err(|e| TelemetryError::Build(e.to_string()))?;
                let batches = BatchConfigBuilder::default()
                    .with_max_queue_size(QUEUE_SPANS)
                    .with_max_export_batch_size(BATCH_SPANS)
                    .with_scheduled_delay(BATCH_DELAY)
                    .build();
                let provider = SdkTracerProvider::builder()
                    .with_resource(resource(tenant, service))
                    .with_id_generator(self.ids.clone())
                    .with_span_processor(
                        BatchSpanProcessor::builder(exporter).with_batch_config(batches).build(),
                    )
                    .build();
                let tracer = provider.tracer_with_scope(scope(service));
                slot.insert((provider, tracer))
            }
        };
        Ok(&slot.1)
    }

    fn logger(&mut self, tenant: &'static Tenant) -> Result<&SdkLogger, TelemetryError> {
        use std::collections::btree_map::Entry;
        let slot = match self.loggers.entry(tenant.name) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(slot) => {
                let exporter = LogExporter::builder()
                    .with_tonic()
                    .with_endpoint(&self.endpoint)
                    .with_metadata(metadata(tenant))
                    .build()
                    .map_err(|e| TelemetryError::Build(e.to_string()))?;
                let provider = SdkLoggerProvider::builder()
                    .with_resource(resource(tenant, Service::Evaluator))
                    .with_batch_exporter(exporter)
                    .build();
                let logger = provider.logger_with_scope(scope(Service::Evaluator));
                slot.insert((provider, logger))
            }
        };
        Ok(&slot.1)
    }
}

fn start(tracer: &SdkTracer, draft: Draft, parent: &Context) -> Span {
    let event = |(at, name): (Nanos, &'static str)| Event::new(name, system_time(at), Vec::new(), 0);
    let mut span = SpanBuilder::from_name(draft.name)
        .with_kind(draft.kind)
        .with_start_time(system_time(draft.start))
        .with_attributes(draft.attributes)
        .with_events(draft.events.into_iter().map(event).collect())
        .start_with_context(tracer, parent);
    if let Some(message) = draft.error {
        span.set_status(Status::error(message));
    }
    span
}

/// As the GenAI semantic conventions have it.
fn say(logger: &SdkLogger, at: Nanos, root: &SpanContext, judgement: Judgement) {
    let mut record = logger.create_log_record();
    record.set_event_name(plimsoll_schemas::verdict::EVENT_NAME);
    record.set_timestamp(system_time(at));
    record.set_observed_timestamp(system_time(at.max(now())));
    record.set_severity_number(Severity::Info);
    record.set_trace_context(root.trace_id(), root.span_id(), Some(root.trace_flags()));
    let label = if judgement.pass { "pass" } else { "fail" };
    record.add_attributes([
        ("gen_ai.evaluation.name", AnyValue::from("task_success")),
        ("gen_ai.evaluation.score.label", AnyValue::from(label)),
        ("gen_ai.evaluation.score.value", AnyValue::from(judgement.score)),
        ("gen_ai.evaluation.explanation", AnyValue::from(judgement.explanation)),
    ]);
    logger.emit(record);
}

fn resource(tenant: &Tenant, service: Service) -> Resource {
    let attributes: Vec<KeyValue> = service.resource(tenant);
    Resource::builder().with_service_name(service.name()).with_attributes(attributes).build()
}

fn scope(service: Service) -> InstrumentationScope {
    let (name, version) = service.scope();
    InstrumentationScope::builder(name).with_version(version).build()
}

fn metadata(tenant: &'static Tenant) -> MetadataMap {
    let mut headers = axum::http::HeaderMap::new();
    headers.insert("x-scope-orgid", axum::http::HeaderValue::from_static(tenant.name));
    MetadataMap::from_headers(headers)
}

/// Random ids that the seed determines.
#[derive(Debug, Clone)]
struct Ids(Arc<Mutex<SmallRng>>);

impl Ids {
    fn random<T>(&self) -> T
    where
        rand::distr::StandardUniform: rand::distr::Distribution<T>,
    {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from_bytes(self.random())
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from_bytes(self.random())
    }
}
