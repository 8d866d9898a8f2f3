//! OTLP as protobuf: a request, several in a row, or messages each after its length as the Collector's file exporter writes them
//! (then also JSON, where it compresses).

use std::io::{BufRead, Read};

use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;

use super::{Sink, otlp};
use crate::error::ImportError;
use crate::input::{Input, Position, ZSTD_MAGIC};
use crate::item::Item;

/// One message, or one element of a request; the Collector's batches are far smaller.
const MESSAGE_BYTES_MAX: u64 = 256 << 20;
/// The field of every request that holds all of it.
const ELEMENT: u8 = 0x0a;

/// A request begins with the tag of its field; before that there may be a length, whose first byte is small.
pub fn is_protobuf(beginning: &[u8]) -> bool {
    is_framed(beginning) || (beginning.first() == Some(&ELEMENT) && !is_text(beginning))
}

fn is_framed(beginning: &[u8]) -> bool {
    let Some((length, message)) = beginning.split_first_chunk::<4>() else { return false };
    // Nine is a tabulator, and text.
    length[0] < b'\t'
        && u32::from_be_bytes(*length) > 0
        && (message.first().is_some_and(|b| matches!(*b, ELEMENT | b'{')) || message.starts_with(&ZSTD_MAGIC))
}

/// JSON has no control characters but white space, and protobuf is full of them.
fn is_text(beginning: &[u8]) -> bool {
    beginning.iter().all(|b| *b >= b' ' || b.is_ascii_whitespace())
}

pub fn read(input: &mut Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    if is_framed(input.beginning()) { messages(input, sink) } else { elements(input, None, sink) }
}

fn messages(input: &mut Input<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let mut number = 0_u64;
    while let Some(first) = next_byte(input)? {
        number += 1;
        let at = input.position();
        let [b, c, d] = array(input, at)?;
        let length = u32::from_be_bytes([first, b, c, d]);
        let message = bytes(input, u64::from(length), &format!("message {number}"))?;
        // Each message is packed by itself: an input of its own, whose damages are this message's.
        let mut inner = Input::open(message.as_slice())?;
        let read = if inner.beginning().first() == Some(&b'{') {
            otlp::requests(&mut inner, sink)
        } else {
            elements(&mut inner, Some(number), sink)
        };
        match read.and_then(|()| inner.finish()) {
            Err(ImportError::Damaged(problem)) => input.damage(format!("message {number}: {problem}")),
            other => other?,
        }
    }
    Ok(())
}

/// The elements of requests that follow one another, which is what a long request is too.
fn elements(input: &mut Input<'_>, message: Option<u64>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let of = message.map_or(String::new(), |n| format!("message {n}, "));
    let mut number = 0_u64;
    while let Some(tag) = next_byte(input)? {
        number += 1;
        let at = input.position();
        if tag != ELEMENT {
            return Err(broken(at, &format!("{of}element {number}: not a request of traces or logs")));
        }
        let length = varint(input, at)?;
        let element = bytes(input, length, &format!("{of}element {number}"))?;
        match item(&element) {
            Ok(item) => sink(item)?,
            Err(problem) => input.damage(format!("byte {}: {of}element {number}: {problem}", at.byte)),
        }
    }
    Ok(())
}

/// Spans and log records are told apart by what does not fit: a log record begins with a time, a span with an id.
fn item(element: &[u8]) -> Result<Item, String> {
    let json = |value: Result<serde_json::Value, serde_json::Error>| value.map_err(|e| e.to_string());
    match ResourceSpans::decode(element) {
        Ok(spans) => Ok(Item::Spans(json(serde_json::to_value(&spans))?)),
        Err(problem) => match ResourceLogs::decode(element) {
            Ok(logs) => Ok(Item::Logs(json(serde_json::to_value(&logs))?)),
            Err(_) => Err(format!("neither spans nor log records: {problem}")),
        },
    }
}

fn next_byte(input: &mut Input<'_>) -> Result<Option<u8>, ImportError> {
    let at = input.position();
    let byte = input.fill_buf().map_err(|e| broken(at, &e.to_string()))?.first().copied();
    if byte.is_some() {
        input.consume(1);
    }
    Ok(byte)
}

fn array<const N: usize>(input: &mut Input<'_>, at: Position) -> Result<[u8; N], ImportError> {
    let mut bytes = [0_u8; N];
    input.read_exact(&mut bytes).map_err(|_| broken(at, "cut off within a length"))?;
    Ok(bytes)
}

fn varint(input: &mut Input<'_>, at: Position) -> Result<u64, ImportError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = array(input, at)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(broken(at, "a length of more than 64 bits"))
}

fn bytes(input: &mut Input<'_>, length: u64, what: &str) -> Result<Vec<u8>, ImportError> {
    let at = input.position();
    if length > MESSAGE_BYTES_MAX {
        return Err(broken(at, &format!("{what}: {length} bytes is more than {MESSAGE_BYTES_MAX}")));
    }
    let mut bytes = Vec::new();
    let read = input.take(length).read_to_end(&mut bytes);
    read.map_err(|e| broken(at, &format!("{what}: {e}")))?;
    if (bytes.len() as u64) < length {
        return Err(broken(at, &format!("{what}: cut off: {} of {length} bytes", bytes.len())));
    }
    Ok(bytes)
}

fn broken(at: Position, problem: &str) -> ImportError {
    // Lines are none of protobuf's.
    ImportError::Damaged(format!("byte {}: {problem}", at.byte))
}
