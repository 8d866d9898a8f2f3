//! Spans as the analyses see them, read out of Arrow batches without copying text.

mod builder;
mod columns;
pub mod derived;
pub mod filled;
mod to_analyse;

use arrow::array::{Array, AsArray, Int64Array, ListArray, MapArray, StringArray};
use arrow::record_batch::RecordBatch;
use plimsoll_schemas::rules::AttributeRule;
use plimsoll_schemas::span::{Attributes, Event, Link};
use plimsoll_schemas::{
    Attr, DurationNs, Rules, Span, SpanId, SpanKind, StatusCode, TraceId, UnixNanos, Value, sampling,
};

use crate::error::StoreError;
use columns::AttrColumn;
pub(crate) use columns::{Columns, Keyword};
pub(crate) use to_analyse::ToAnalyse;

/// What a span has room for at first: a batch has many columns, a span few of them.
const ATTRIBUTES: usize = 24;

/// Typed columns of one batch with the file schema of `spans`.
#[derive(Debug)]
pub struct SpanRows<'a> {
    tenant: Keyword<'a>,
    trace_id: &'a StringArray,
    span_id: &'a StringArray,
    parent_span_id: &'a StringArray,
    start: &'a Int64Array,
    duration: &'a Int64Array,
    name: Keyword<'a>,
    kind: Keyword<'a>,
    status_code: Keyword<'a>,
    status_message: Keyword<'a>,
    service: Keyword<'a>,
    scope: Keyword<'a>,
    /// Only those that any row of the batch has.
    attributes: Vec<(Attr, AttrColumn<'a>)>,
    maps: Vec<&'a MapArray>,
    /// Configured attributes that stand for others.
    renamed: Vec<AttributeRule>,
    events: Option<&'a ListArray>,
    links: Option<&'a ListArray>,
    trace_state: Option<Keyword<'a>>,
    wal_seq: Option<&'a Int64Array>,
    rows: usize,
}

impl<'a> SpanRows<'a> {
    pub fn new(batch: &'a RecordBatch, rules: &Rules) -> Result<Self, StoreError> {
        Self::with(batch, rules, |_| true)
    }

    /// Without the attributes that an analysis does not depend on.
    pub fn to_analyse(batch: &'a RecordBatch, rules: &Rules) -> Result<Self, StoreError> {
        Self::with(batch, rules, |attr| plimsoll_analysis::reads(attr, rules))
    }

    fn with(
        batch: &'a RecordBatch,
        rules: &Rules,
        wanted: impl Fn(Attr) -> bool,
    ) -> Result<Self, StoreError> {
        let columns = Columns::of(batch);
        let mut attributes = Vec::new();
        for attr in Attr::ALL.iter().filter(|attr| wanted(**attr)) {
            if let Some(column) = columns.attribute(*attr)? {
                attributes.push((*attr, column));
            }
        }
        let maps = if rules.needs_other_attributes() {
            vec![columns.typed("attributes")?, columns.typed("resource_attributes")?]
        } else {
            Vec::new()
        };
        Ok(Self {
            tenant: columns.keyword("tenant")?,
            trace_id: columns.text("trace_id")?,
            span_id: columns.text("span_id")?,
            parent_span_id: columns.text("parent_span_id")?,
            start: columns.int("start_unix_nano")?,
            duration: columns.int("duration_ns")?,
            name: columns.keyword("name")?,
            kind: columns.keyword("kind")?,
            status_code: columns.keyword("status_code")?,
            status_message: columns.keyword("status_message")?,
            service: columns.keyword("service_name")?,
            scope: columns.keyword("scope_name")?,
            attributes,
            maps,
            renamed: rules.attributes.clone(),
            events: columns.some_list("events")?,
            links: columns.some_list("links")?,
            trace_state: columns.some_keyword("trace_state")?,
            wal_seq: columns.int("wal_seq").ok(),
            rows: batch.num_rows(),
        })
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn tenant(&self, row: usize) -> &'a str {
        self.tenant.or_empty(row)
    }

    pub fn trace_id(&self, row: usize) -> Option<TraceId> {
        self.trace_id.value(row).parse().ok()
    }

    /// Its trace id as it is written.
    pub fn trace_text(&self, row: usize) -> &'a str {
        self.trace_id.value(row)
    }

    pub fn span_id(&self, row: usize) -> Option<SpanId> {
        self.span_id.value(row).parse().ok()
    }

    pub fn start(&self, row: usize) -> UnixNanos {
        UnixNanos(self.start.value(row))
    }

    pub fn wal_seq(&self, row: usize) -> i64 {
        self.wal_seq.map_or(0, |a| a.value(row))
    }

    /// The spans of other traces that a consumer's row links to.
    pub fn linked(&self, row: usize) -> Vec<(TraceId, SpanId)> {
        let Some(list) = self.links.filter(|_| self.kind.or_empty(row) == SpanKind::Consumer.as_str()) else {
            return Vec::new();
        };
        let own = self.trace_id(row);
        let links = links(list, row).into_iter().filter(|link| Some(link.trace_id) != own);
        links.map(|link| (link.trace_id, link.span_id)).collect()
    }

    /// The row as a span; `None` where its id is not one (such rows are not written).
    pub fn span(&self, row: usize) -> Option<Span<'a>> {
        let mut attributes = Attributes::with_capacity(self.attributes.len().min(ATTRIBUTES));
        for (attr, column) in &self.attributes {
            if let Some(value) = column.get(row) {
                attributes.push(*attr, value);
            }
        }
        let other_attributes: Vec<(&str, &str)> =
            self.maps.iter().flat_map(|map| entries(map, row)).collect();
        for rule in &self.renamed {
            if attributes.get(rule.target).is_some() {
                continue;
            }
            let own = Attr::span(&rule.name).and_then(|attr| attributes.get(attr));
            let other =
                || other_attributes.iter().find(|(key, _)| *key == rule.name).map(|(_, v)| Value::Str(v));
            if let Some(value) = own.or_else(other).and_then(|value| rule.read(value)) {
                attributes.insert(rule.target, value);
            }
        }
        Some(Span {
            span_id: self.span_id(row)?,
            parent_span_id: self
                .parent_span_id
                .is_valid(row)
                .then(|| self.parent_span_id.value(row).parse().ok())
                .flatten(),
            start: self.start(row),
            duration: DurationNs(self.duration.value(row)),
            name: self.name.or_empty(row),
            kind: SpanKind::from_name(self.kind.or_empty(row)),
            status: StatusCode::from_name(self.status_code.or_empty(row)),
            status_message: self.status_message.or_empty(row),
            service: self.service.or_empty(row),
            scope: self.scope.or_empty(row),
            attributes,
            other_attributes,
            events: self.events.map(|list| events(list, row)).unwrap_or_default(),
            links: self.links.map(|list| links(list, row)).unwrap_or_default(),
            adjusted_count: self.trace_state.and_then(|k| sampling::adjusted_count(k.get(row)?)),
        })
    }
}

/// The entries of one row of an attribute map.
fn entries(map: &MapArray, row: usize) -> impl Iterator<Item = (&str, &str)> {
    let keys = map.keys().as_string::<i32>();
    let values = map.values().as_string::<i32>();
    let range = if map.is_valid(row) {
        map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize
    } else {
        0..0
    };
    range.map(move |i| (keys.value(i), values.value(i)))
}

fn range(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    if list.is_null(row) {
        return 0..0;
    }
    list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize
}

fn events(list: &ListArray, row: usize) -> Vec<Event<'_>> {
    let range = range(list, row);
    if range.is_empty() {
        return Vec::new();
    }
    let items = list.values().as_struct();
    let times = items.column(0).as_primitive::<arrow::datatypes::Int64Type>();
    let names = items.column(1).as_string::<i32>();
    range.map(|i| Event { time: UnixNanos(times.value(i)), name: names.value(i) }).collect()
}

fn links(list: &ListArray, row: usize) -> Vec<Link> {
    let range = range(list, row);
    if range.is_empty() {
        return Vec::new();
    }
    let items = list.values().as_struct();
    let (traces, spans) = (items.column(0).as_string::<i32>(), items.column(1).as_string::<i32>());
    range
        .filter_map(|i| {
            let (trace_id, span_id) = (traces.value(i).parse().ok()?, spans.value(i).parse().ok()?);
            Some(Link { trace_id, span_id, sent: None })
        })
        .collect()
}
