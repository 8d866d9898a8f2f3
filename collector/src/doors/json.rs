//! OTLP JSON to OTLP protobuf, by the tables of [`super::otlp_fields`].
//!
//! Fields of a wrong type are refused with their path. Ids that are not hex become one byte, so that the decoder
//! rejects that span alone.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Map, Value};

use super::otlp_fields::{Field, LOGS, Message, TRACES, Type};
use super::refusal::Refusal;
use super::signal::Signal;

/// serde_json follows 127 levels. A value's level takes three, above it stand eleven of the request: well over the 32
/// levels of a value that the decoder keeps.
const DEPTH_MAX: usize = 120;

/// Standard alphabet; padding as it comes.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is wrong and where; the path grows from the inside out.
#[derive(Debug)]
struct Mismatch {
    path: String,
    expected: &'static str,
}

impl Mismatch {
    const fn new(expected: &'static str) -> Self {
        Self { path: String::new(), expected }
    }

    fn under(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }
}

pub fn to_protobuf(signal: Signal, text: &[u8]) -> Result<Vec<u8>, Refusal> {
    let value: Value =
        serde_json::from_slice(&cut_deep(text)).map_err(|e| Refusal::Malformed(format!("not JSON: {e}")))?;
    let message = match signal {
        Signal::Traces => &TRACES,
        Signal::Logs => &LOGS,
        // Not kept, so nothing but their being JSON objects matters.
        Signal::Metrics if value.is_object() => return Ok(Vec::new()),
        Signal::Metrics => return Err(Refusal::Malformed("the request must be an object".into())),
    };
    let mut out = Vec::with_capacity(text.len() / 2);
    let fields =
        value.as_object().ok_or_else(|| Refusal::Malformed("the request must be an object".into()))?;
    write_message(message, fields, &mut out)
        .map_err(|m| Refusal::Malformed(format!("{} must be {}", m.path, m.expected)))?;
    Ok(out)
}

/// The text with `null` in place of what nests deeper than the parser follows, so that one such attribute does not
/// cost its neighbours. What is left of it still nests deeper than the decoder keeps, and is dropped and counted there.
fn cut_deep(text: &[u8]) -> Cow<'_, [u8]> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut cut: Option<Vec<u8>> = None;
    let mut kept_to = 0;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                depth += 1;
                if depth == DEPTH_MAX + 1 {
                    let cut = cut.get_or_insert_with(|| Vec::with_capacity(text.len()));
                    cut.extend_from_slice(&text[kept_to..at]);
                    cut.extend_from_slice(b"null");
                }
            }
            b'}' | b']' => {
                if depth == DEPTH_MAX + 1 {
                    kept_to = at + 1;
                }
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    let Some(mut cut) = cut else { return Cow::Borrowed(text) };
    // Else it ends within what was cut, and the parser says so.
    if depth <= DEPTH_MAX {
        cut.extend_from_slice(&text[kept_to..]);
    }
    Cow::Owned(cut)
}

fn write_message(message: &Message, fields: &Map<String, Value>, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    for field in message.0 {
        let value = fields.get(field.name).or_else(|| fields.get(&*snake_case(field.name)));
        let Some(value) = value.filter(|v| !v.is_null()) else { continue };
        write_field(field, value, out).map_err(|m| m.under(field.name))?;
    }
    Ok(())
}

fn write_field(field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    if !field.repeated {
        return write_value(field, value, out);
    }
    let items = value.as_array().ok_or(Mismatch::new("an array"))?;
    for (i, item) in items.iter().enumerate() {
        write_value(field, item, out).map_err(|m| m.under(&format!("[{i}]")))?;
    }
    Ok(())
}

fn write_value(field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<(), Mismatch> {
    let number = field.number;
    match field.kind {
        Type::Message(message) => {
            let empty = Map::new();
            let fields = match value {
                Value::Object(fields) => fields,
                Value::Null => &empty,
                _ => return Err(Mismatch::new("an object")),
            };
            let mut inner = Vec::new();
            write_message(message, fields, &mut inner)?;
            write_bytes(number, &inner, out);
        }
        Type::Text => {
            let text = value.as_str().ok_or(Mismatch::new("a string"))?;
            write_bytes(number, text.as_bytes(), out);
        }
        Type::HexId => {
            let text = value.as_str().ok_or(Mismatch::new("a string of hex digits"))?;
            write_bytes(number, &from_hex(text).unwrap_or(vec![0]), out);
        }
        Type::Base64 => {
            let text = value.as_str().ok_or(Mismatch::new("a base64 string"))?;
            let standard = text.replace('-', "+").replace('_', "/");
            let bytes = BASE64.decode(standard).map_err(|_| Mismatch::new("a base64 string"))?;
            write_bytes(number, &bytes, out);
        }
        Type::Bool => {
            let flag = value.as_bool().ok_or(Mismatch::new("true or false"))?;
            write_varint(number, u64::from(flag), out);
        }
        Type::Int64 => {
            let n = integer(value).and_then(|n| i64::try_from(n).ok());
            let n = n.ok_or(Mismatch::new("a 64-bit integer"))?;
            write_varint(number, n.cast_unsigned(), out);
        }
        Type::Uint32 => write_varint(number, u64::from(uint32(value)?), out),
        Type::Fixed32 => {
            encode_key(number, WireType::ThirtyTwoBit, out);
            out.put_u32_le(uint32(value)?);
        }
        Type::Fixed64 => {
            let n = integer(value).and_then(|n| u64::try_from(n).ok());
            encode_key(number, WireType::SixtyFourBit, out);
            out.put_u64_le(n.ok_or(Mismatch::new("an unsigned 64-bit integer, as a string or a number"))?);
        }
        Type::Double => {
            encode_key(number, WireType::SixtyFourBit, out);
            out.put_f64_le(double(value).ok_or(Mismatch::new("a number"))?);
        }
        Type::Enum(from_name) => {
            let n = match value.as_str().and_then(from_name) {
                Some(n) => Some(n),
                None => integer(value).and_then(|n| i32::try_from(n).ok()),
            };
            let n = n.ok_or(Mismatch::new("an enum's number or name"))?;
            write_varint(number, i64::from(n).cast_unsigned(), out);
        }
    }
    Ok(())
}

fn write_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.put_slice(bytes);
}

fn write_varint(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value, out);
}

fn uint32(value: &Value) -> Result<u32, Mismatch> {
    integer(value).and_then(|n| u32::try_from(n).ok()).ok_or(Mismatch::new("an unsigned 32-bit integer"))
}

/// An integer as a number or a string; some writers give whole floats.
fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(n) => n.as_i128().or_else(|| {
            let float = n.as_f64()?;
            (float.fract() == 0.0 && float.abs() < 2f64.powi(64)).then_some(float as i128)
        }),
        _ => None,
    }
}

fn double(value: &Value) -> Option<f64> {
    match value {
        // Rust reads "NaN", "Infinity" and "-Infinity" as protobuf writes them.
        Value::String(text) => text.parse().ok(),
        Value::Number(n) => n.as_f64(),
        _ => None,
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|d| d as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests;
