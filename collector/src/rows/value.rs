//! OTLP's `AnyValue` and `KeyValue`, read from the wire.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::notes::Notes;
use crate::limits::{VALUE_BYTES_MAX, VALUE_DEPTH_MAX};
use crate::wire::{Reader, WireError};

const TOO_DEEP: &str = "attribute nested deeper than 32: dropped";
const TOO_LARGE: &str = "list or map above 1 MiB: dropped";

/// A value as it stands in the request.
#[derive(Debug, Clone, Copy)]
pub enum Any<'a> {
    Empty,
    Str(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    Array(&'a [u8]),
    Map(&'a [u8]),
}

impl<'a> Any<'a> {
    pub fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut value = Self::Empty;
        let mut reader = Reader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            value = match (number, value) {
                // Two lists or maps are one, of the items of both; and one that another value follows is read all the same.
                (1..=8, Self::Array(_) | Self::Map(_)) => return Err(WireError::Twice),
                (1, _) => Self::Str(field.bytes()?),
                (2, _) => Self::Bool(field.varint()? != 0),
                (3, _) => Self::Int(field.varint()? as i64),
                (4, _) => Self::Double(f64::from_bits(field.fixed64()?)),
                (5, _) => Self::Array(field.bytes()?),
                (6, _) => Self::Map(field.bytes()?),
                (7, _) => Self::Bytes(field.bytes()?),
                // Of a table that only profiles have.
                (8, _) => {
                    field.varint()?;
                    Self::Empty
                }
                _ => value,
            };
        }
        Ok(value)
    }

    /// The character that stands for its type in `attribute_types`.
    pub const fn type_char(&self) -> char {
        match self {
            Self::Empty => 'n',
            Self::Str(_) => 's',
            Self::Bool(_) => 'b',
            Self::Int(_) => 'i',
            Self::Double(_) => 'd',
            Self::Bytes(_) => 'y',
            Self::Array(_) | Self::Map(_) => 'j',
        }
    }

    /// The value as text; `None`, which is noted, if it nests too deep or is too large to be kept.
    pub fn text(&self, notes: &mut Notes) -> Result<Option<Cow<'a, str>>, WireError> {
        Ok(Some(match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Str(bytes) => text(bytes, notes),
            Self::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
            Self::Int(n) => n.to_string().into(),
            Self::Double(x) => x.to_string().into(),
            Self::Bytes(bytes) => STANDARD.encode(bytes).into(),
            Self::Array(bytes) | Self::Map(bytes) => {
                // Its text is longer than its bytes: what is too large is not built.
                if bytes.len() > VALUE_BYTES_MAX {
                    notes.warn(TOO_LARGE);
                    return Ok(None);
                }
                let Some(json) = self.json(0, notes)? else {
                    notes.warn(TOO_DEEP);
                    return Ok(None);
                };
                json.to_string().into()
            }
        }))
    }

    /// OTLP JSON; `None` beyond the depth that is kept.
    fn json(&self, depth: usize, notes: &mut Notes) -> Result<Option<Json>, WireError> {
        if depth > VALUE_DEPTH_MAX {
            return Ok(None);
        }
        Ok(Some(match self {
            Self::Empty => json!({}),
            Self::Str(bytes) => json!({"stringValue": text(bytes, notes)}),
            Self::Bool(b) => json!({ "boolValue": b }),
            Self::Int(n) => json!({"intValue": n.to_string()}),
            Self::Double(x) if x.is_finite() => json!({ "doubleValue": x }),
            Self::Double(x) => json!({"doubleValue": x.to_string().replace("inf", "Infinity")}),
            Self::Bytes(bytes) => json!({"bytesValue": STANDARD.encode(bytes)}),
            Self::Array(array) => {
                let mut values = Vec::new();
                let mut reader = Reader::new(array);
                while let Some((number, field)) = reader.next_field()? {
                    if number == 1 {
                        let Some(json) = Self::read(field.bytes()?)?.json(depth + 1, notes)? else {
                            return Ok(None);
                        };
                        values.push(json);
                    }
                }
                json!({"arrayValue": {"values": values}})
            }
            Self::Map(map) => {
                let mut values = Vec::new();
                let mut reader = Reader::new(map);
                while let Some((number, field)) = reader.next_field()? {
                    if number == 1 {
                        let (key, value) = key_value(field.bytes()?)?;
                        let Some(json) = value.json(depth + 1, notes)? else { return Ok(None) };
                        values.push(json!({"key": text(key, notes), "value": json}));
                    }
                }
                json!({"kvlistValue": {"values": values}})
            }
        }))
    }
}

/// A `KeyValue`: the key's bytes and the value.
#[inline]
pub fn key_value(message: &[u8]) -> Result<(&[u8], Any<'_>), WireError> {
    match usual_key_value(message) {
        Some(usual) => Ok(usual),
        None => any_key_value(message),
    }
}

/// As every encoder writes short text, whole numbers and doubles: the key, then the value, each once and nothing else.
#[inline(always)]
fn usual_key_value(message: &[u8]) -> Option<(&[u8], Any<'_>)> {
    const fn short(tag: u8, length: u8, wanted: u8) -> bool {
        tag == wanted && length < 0x80
    }
    let ([tag, length], rest) = message.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(usize::from(*length)).filter(|_| short(*tag, *length, 0x0a))?;
    let ([tag, length], value) = rest.split_first_chunk()?;
    if !short(*tag, *length, 0x12) || value.len() != usize::from(*length) {
        return None;
    }
    let (kind, content) = value.split_first()?;
    let value = match (kind, content) {
        (0x0a, [length, text @ ..]) if *length < 0x80 && text.len() == usize::from(*length) => Any::Str(text),
        (0x10, [flag]) if *flag < 0x80 => Any::Bool(*flag != 0),
        (0x18, [number]) if *number < 0x80 => Any::Int(i64::from(*number)),
        (0x18, [low @ .., high]) if *high < 0x80 && low.len() < 9 && low.iter().all(|byte| *byte >= 0x80) => {
            let low = low.iter().rev().fold(0, |low, byte| low << 7 | i64::from(byte & 0x7f));
            Any::Int(low | i64::from(*high) << (7 * (content.len() - 1)))
        }
        (0x21, bits) => Any::Double(f64::from_le_bytes(bits.try_into().ok()?)),
        _ => return None,
    };
    Some((key, value))
}

fn any_key_value(message: &[u8]) -> Result<(&[u8], Any<'_>), WireError> {
    let (mut key, mut value) = (&[][..], None);
    let mut reader = Reader::new(message);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => key = field.bytes()?,
            2 if value.is_some() => return Err(WireError::Twice),
            2 => value = Some(Any::read(field.bytes()?)?),
            // Of a table that only profiles have.
            3 => drop(field.varint()?),
            _ => {}
        }
    }
    Ok((key, value.unwrap_or(Any::Empty)))
}

/// Bytes that should be UTF-8, bounded. What is not is replaced, and said so.
#[inline]
pub fn text<'a>(bytes: &'a [u8], notes: &mut Notes) -> Cow<'a, str> {
    let mut text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            notes.warn("text that is not UTF-8: replaced by U+FFFD where it is not");
            String::from_utf8_lossy(bytes)
        }
    };
    if text.len() > VALUE_BYTES_MAX {
        notes.warn("value above 1 MiB: cut");
        let end = text.floor_char_boundary(VALUE_BYTES_MAX);
        text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
            Cow::Owned(text) => Cow::Owned(text[..end].to_owned()),
        };
    }
    text
}
