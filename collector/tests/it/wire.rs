//! Whatever bytes a client sends as a trace request: nothing panics, and what prost takes is read as prost reads it.
//!
//! Requests are encoded as exporters encode them, and then damaged as wires, proxies and bad encoders damage: bits, lengths, ends,
//! repeated and unknown fields, groups. `PLIMSOLL_WIRE_CASES` says how many are tried.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use plimsoll_collector::OtlpDecoder;
use plimsoll_schemas::{Tenant, UnixNanos};
use plimsoll_store::{Decode, DecodeError, Decoded, RecordKind, RecordMeta};
use prost::Message;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

const CASES: u64 = 3_000;

fn decode(kind: RecordKind, payload: &[u8]) -> Result<Decoded, DecodeError> {
    OtlpDecoder.decode(&RecordMeta { kind, tenant: Tenant::default(), ingest: UnixNanos(42) }, payload)
}

fn cases() -> u64 {
    std::env::var("PLIMSOLL_WIRE_CASES")
        .map_or(CASES, |n| n.parse().expect("PLIMSOLL_WIRE_CASES is a number"))
}

#[test]
fn what_prost_takes_of_a_damaged_trace_request_is_read_as_prost_reads_it() {
    agree::<ExportTraceServiceRequest>(RecordKind::Traces, traces);
}

#[test]
fn what_prost_takes_of_a_damaged_log_request_is_read_as_prost_reads_it() {
    agree::<ExportLogsServiceRequest>(RecordKind::Logs, logs);
}

fn agree<M: Message + Default>(kind: RecordKind, request: fn(&mut StdRng) -> M) {
    let (mut taken, mut refused) = (0_u64, 0_u64);
    for seed in 0..cases() {
        let mut random = StdRng::seed_from_u64(seed);
        let sound = request(&mut random).encode_to_vec();
        let damaged = damage(&mut random, sound);
        let found = decode(kind, &damaged);
        match M::decode(&damaged[..]) {
            // Encoded again it is as plain as a request can be.
            Ok(message) => {
                let expected = decode(kind, &message.encode_to_vec()).expect("what prost encodes is read");
                let found =
                    found.unwrap_or_else(|e| panic!("seed {seed}: prost takes it, but: {e}\n{damaged:02x?}"));
                assert_eq!(rows(&found), rows(&expected), "seed {seed}: {damaged:02x?}");
                taken += 1;
            }
            Err(error) => {
                let said = error.to_string();
                // What is kept all the same: text that is not UTF-8 is mended, and values may nest deeper than prost looks.
                let is_mended = said.contains("UTF-8") || said.contains("recursion limit");
                // What is not kept is not read.
                let is_unread = |found: &Decoded| {
                    found.rejected > 0
                        || found.message.as_ref().is_some_and(|m| m.contains("twice") || m.contains("link"))
                };
                match found {
                    Ok(found) => assert!(
                        is_mended || is_unread(&found),
                        "seed {seed}: prost refuses it ({said})\n{damaged:02x?}"
                    ),
                    Err(error) => {
                        assert!(error.to_string().starts_with("not an OTLP"), "seed {seed}: {error}")
                    }
                }
                refused += 1;
            }
        }
    }
    // Else the damage would be too little, or too much, to show anything.
    assert!(taken > cases() / 10 && refused > cases() / 10, "{taken} taken, {refused} refused");
}

/// The rows as text, their tables, and what is said of those that are not there.
fn rows(decoded: &Decoded) -> String {
    let tables = decoded.batches.iter().map(|(table, batch)| {
        let schema = batch.schema();
        let columns =
            schema.fields().iter().zip(batch.columns()).filter(|(_, c)| c.logical_null_count() < c.len());
        let columns: Vec<String> = columns
            .map(|(field, column)| {
                let cells: Vec<String> = (0..column.len())
                    .map(|row| arrow::util::display::array_value_to_string(column, row).expect("displayed"))
                    .collect();
                format!("{}: {cells:?}", field.name())
            })
            .collect();
        format!("{}: {}", table.as_str(), columns.join("\n"))
    });
    format!("{}\nrejected {}", tables.collect::<Vec<_>>().join("\n"), decoded.rejected)
}

fn damage(random: &mut StdRng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..random.random_range(0..3) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..8) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            2 => bytes.truncate(at),
            // A stretch again, in another place.
            3 => {
                let length = random.random_range(0..24).min(bytes.len() - at);
                let stretch = bytes[at..at + length].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, stretch);
            }
            4 => drop(bytes.drain(at..(at + random.random_range(1..16)).min(bytes.len()))),
            // What encoders do not write, in messages that are sound otherwise.
            _ => bytes = rewrite(random, &bytes, 0).unwrap_or(bytes),
        }
    }
    bytes
}

/// The message with one oddity somewhere in it, or in a message within it; `None` if it is no message.
fn rewrite(random: &mut StdRng, message: &[u8], depth: u32) -> Option<Vec<u8>> {
    let fields = fields(message)?;
    if fields.is_empty() || depth > 12 {
        return None;
    }
    let at = random.random_range(0..fields.len());
    let (mut out, mut begin) = (Vec::new(), 0);
    for (i, field) in fields.iter().enumerate() {
        let whole = &message[begin..field.end];
        begin = field.end;
        let Some(content) = field.content.clone().filter(|_| i == at && random.random_bool(0.8)) else {
            out.extend_from_slice(whole);
            if i == at {
                odd(random, whole, &mut out);
            }
            continue;
        };
        match rewrite(random, &message[content.clone()], depth + 1) {
            Some(inner) => {
                varint(random, field.tag, &mut out);
                varint(random, inner.len() as u64, &mut out);
                out.extend(inner);
            }
            None => {
                out.extend_from_slice(whole);
                odd(random, whole, &mut out);
            }
        }
    }
    Some(out)
}

/// Appends something odd behind a field.
fn odd(random: &mut StdRng, field: &[u8], out: &mut Vec<u8>) {
    let number =
        *[random.random_range(1..18), random.random_range(18..40), 1 << 28].choose(random).expect("one");
    match random.random_range(0..7) {
        // The field again, as it is.
        0 => out.extend_from_slice(field),
        // Of any number and type.
        1 => {
            varint(random, number << 3, out);
            let value = random.random();
            varint(random, value, out);
        }
        2 => {
            varint(random, number << 3 | 1, out);
            out.extend(random.random::<[u8; 8]>());
        }
        3 => {
            varint(random, number << 3 | 5, out);
            out.extend(random.random::<[u8; 4]>());
        }
        4 => {
            let length = random.random_range(0..12_usize);
            varint(random, number << 3 | 2, out);
            varint(random, length as u64, out);
            out.extend((0..length).map(|_| random.random_range(0..128_u8)));
        }
        // A group, perhaps with something in it, perhaps without its end.
        5 => {
            varint(random, number << 3 | 3, out);
            if random.random() {
                out.extend_from_slice(field);
            }
            let end = if random.random_bool(0.9) { number } else { number + 1 };
            if random.random_bool(0.9) {
                varint(random, end << 3 | 4, out);
            }
        }
        // An empty message of the same number, which prost puts together with the first.
        _ => {
            out.push(field[0]);
            out.push(0);
        }
    }
}

struct Place {
    tag: u64,
    /// Of bytes: where they lie.
    content: Option<std::ops::Range<usize>>,
    end: usize,
}

/// The fields of what may be a message.
fn fields(message: &[u8]) -> Option<Vec<Place>> {
    let (mut fields, mut at) = (Vec::new(), 0);
    while at < message.len() {
        let tag = read_varint(message, &mut at)?;
        let mut content = None;
        match tag & 7 {
            0 => drop(read_varint(message, &mut at)?),
            1 => at += 8,
            2 => {
                let length = usize::try_from(read_varint(message, &mut at)?).ok()?;
                content = Some(at..at.checked_add(length)?);
                at += length;
            }
            5 => at += 4,
            _ => return None,
        }
        if at > message.len() || tag < 8 {
            return None;
        }
        fields.push(Place { tag, content, end: at });
    }
    Some(fields)
}

fn read_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// As short as it gets, or now and then longer: both are valid.
fn varint(random: &mut StdRng, mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    if random.random_bool(0.05) {
        out.extend([value as u8 | 0x80, 0]);
    } else {
        out.push(value as u8);
    }
}

fn text(random: &mut StdRng) -> String {
    let words = [
        "",
        "chat",
        "execute_tool",
        "agent",
        "größer",
        "web_search",
        "m",
        "a longer text that no column repeats",
    ];
    (*words.choose(random).expect("one")).into()
}

fn any_value(random: &mut StdRng, depth: u32) -> AnyValue {
    let few = if depth > 2 { 0 } else { random.random_range(0..3) };
    let value = match random.random_range(0..9) {
        0 | 1 => Value::StringValue(text(random)),
        2 => Value::IntValue(random.random_range(-5..300)),
        3 => Value::IntValue(random.random()),
        4 => Value::DoubleValue(random.random()),
        5 => Value::BoolValue(random.random()),
        6 => Value::BytesValue(vec![1, 2, 3]),
        7 => {
            Value::ArrayValue(ArrayValue { values: (0..few).map(|_| any_value(random, depth + 1)).collect() })
        }
        _ => Value::KvlistValue(KeyValueList {
            values: (0..few).map(|_| attribute(random, depth + 1)).collect(),
        }),
    };
    AnyValue { value: Some(value).filter(|_| random.random_bool(0.95)) }
}

fn attribute(random: &mut StdRng, depth: u32) -> KeyValue {
    let keys = [
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "session.id",
        "odd",
        "gen_ai.latency.time_in_queue",
        "http.response.status_code",
        "gen_ai.evaluation.name",
        "event.name",
        "",
    ];
    let value = Some(any_value(random, depth)).filter(|_| random.random_bool(0.95));
    KeyValue { key: (*keys.choose(random).expect("one")).into(), value, ..Default::default() }
}

fn attributes(random: &mut StdRng) -> Vec<KeyValue> {
    (0..random.random_range(0..5)).map(|_| attribute(random, 0)).collect()
}

fn resource(random: &mut StdRng) -> Option<Resource> {
    let entity = EntityRef { r#type: "host".into(), id_keys: vec!["host.id".into()], ..Default::default() };
    let entity_refs = if random.random_bool(0.2) { vec![entity] } else { Vec::new() };
    Some(Resource {
        attributes: attributes(random),
        entity_refs,
        dropped_attributes_count: random.random_range(0..2),
    })
    .filter(|_| random.random_bool(0.9))
}

fn scope(random: &mut StdRng) -> Option<InstrumentationScope> {
    let scope = InstrumentationScope {
        name: text(random),
        version: text(random),
        attributes: attributes(random),
        dropped_attributes_count: 0,
    };
    Some(scope).filter(|_| random.random_bool(0.9))
}

fn id<const N: usize>(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..12) {
        0 => Vec::new(),
        1 => vec![0; N],
        2 => vec![1; N - 1],
        _ => (0..N).map(|_| random.random_range(1..4)).collect(),
    }
}

fn span(random: &mut StdRng) -> Span {
    let event = |random: &mut StdRng| span::Event {
        time_unix_nano: random.random_range(0..1 << 40),
        name: ["gen_ai.evaluation.result", "retry"][random.random_range(0..2)].into(),
        attributes: attributes(random),
        dropped_attributes_count: random.random_range(0..2),
    };
    let link = |random: &mut StdRng| span::Link {
        trace_id: id::<16>(random),
        span_id: id::<8>(random),
        trace_state: text(random),
        attributes: attributes(random),
        flags: random.random_range(0..2),
        ..Default::default()
    };
    Span {
        trace_id: id::<16>(random),
        span_id: id::<8>(random),
        parent_span_id: id::<8>(random),
        trace_state: text(random),
        name: text(random),
        kind: random.random_range(0..7),
        start_time_unix_nano: random.random_range(0..1 << 40),
        end_time_unix_nano: random.random_range(0..1 << 40),
        attributes: attributes(random),
        events: (0..random.random_range(0..2)).map(|_| event(random)).collect(),
        links: (0..random.random_range(0..2)).map(|_| link(random)).collect(),
        status: Some(Status { message: text(random), code: random.random_range(0..4) })
            .filter(|_| random.random()),
        flags: random.random_range(0..3),
        dropped_attributes_count: random.random_range(0..2),
        dropped_events_count: random.random_range(0..2),
        dropped_links_count: random.random_range(0..2),
    }
}

fn traces(random: &mut StdRng) -> ExportTraceServiceRequest {
    let scope_spans = |random: &mut StdRng| ScopeSpans {
        scope: scope(random),
        spans: (0..random.random_range(0..4)).map(|_| span(random)).collect(),
        schema_url: text(random),
    };
    let resource_spans = |random: &mut StdRng| ResourceSpans {
        resource: resource(random),
        scope_spans: (0..random.random_range(0..3)).map(|_| scope_spans(random)).collect(),
        schema_url: text(random),
    };
    ExportTraceServiceRequest {
        resource_spans: (0..random.random_range(1..3)).map(|_| resource_spans(random)).collect(),
    }
}

fn logs(random: &mut StdRng) -> ExportLogsServiceRequest {
    let record = |random: &mut StdRng| LogRecord {
        time_unix_nano: random.random_range(0..1 << 40),
        observed_time_unix_nano: random.random_range(0..1 << 40),
        severity_number: random.random_range(-1..25),
        severity_text: text(random),
        body: Some(any_value(random, 0)).filter(|_| random.random_bool(0.9)),
        attributes: attributes(random),
        dropped_attributes_count: random.random_range(0..2),
        flags: random.random_range(0..3),
        trace_id: id::<16>(random),
        span_id: id::<8>(random),
        event_name: ["", "gen_ai.evaluation.result"][random.random_range(0..2)].into(),
    };
    let scope_logs = |random: &mut StdRng| ScopeLogs {
        scope: scope(random),
        log_records: (0..random.random_range(0..4)).map(|_| record(random)).collect(),
        schema_url: text(random),
    };
    let resource_logs = |random: &mut StdRng| ResourceLogs {
        resource: resource(random),
        scope_logs: (0..random.random_range(0..3)).map(|_| scope_logs(random)).collect(),
        schema_url: text(random),
    };
    ExportLogsServiceRequest {
        resource_logs: (0..random.random_range(1..3)).map(|_| resource_logs(random)).collect(),
    }
}
