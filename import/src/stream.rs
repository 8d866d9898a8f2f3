//! JSON that is too long to hold: its documents one by one, and of a document the elements of some arrays.
//!
//! Where each line is a document, one that is damaged is left out and told, and the next line is read.

use std::fmt;
use std::io::{BufRead, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::ImportError;
use crate::input::{Input, Position};

/// What to look for in a document. The rest is read over.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shape<'a> {
    /// Arrays whose elements are handed over one by one; without any, a document is handed over whole. A document that
    /// is an array is itself such an array, by the name "".
    pub arrays: &'a [&'a str],
    /// Members that are kept beside them, and handed over with the elements that come after.
    pub keep: &'a [&'a str],
    /// Members that wrap a document of the same shape.
    pub within: &'a [&'a str],
}

/// What to do with one element of the named array; the map holds what its object said before the array began. When an object
/// ends of which something was kept, that comes once more, with null for an element.
pub type Each<'a> = dyn FnMut(&Map<String, Value>, &str, Value) -> Result<(), ImportError> + 'a;

/// Calls `each` with every document of the input (one after the other, as in JSON lines); of a document that is an array, with
/// its elements.
pub fn documents(
    input: &mut Input<'_>,
    each: &mut dyn FnMut(Value) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    elements(input, Shape::default(), &mut |_, _, value| each(value))
}

/// Calls `each` with every element of the arrays of the shape, in every document of the input.
pub fn elements(input: &mut Input<'_>, shape: Shape<'_>, each: &mut Each<'_>) -> Result<(), ImportError> {
    let by_line = is_by_line(input.beginning());
    let mut failed = None;
    loop {
        if let Err(error) = skip_blank(input) {
            return Err(broken_off(input.position(), &error));
        }
        match input.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(broken_off(input.position(), &error)),
        }
        let began = input.position();
        let document = Document { shape, each, failed: &mut failed };
        let read = if by_line { parse(Line(input), document) } else { parse(&mut *input, document) };
        if let Some(error) = failed.take() {
            return Err(error);
        }
        let Err(error) = read else { continue };
        let at = Position {
            line: began.line + (error.line() as u64).saturating_sub(1),
            byte: input.position().byte,
        };
        if error.is_io() {
            return Err(broken_off(at, &error.into()));
        }
        input.damage(format!("{at}: damaged JSON: {}", without_place(&error)));
        if !by_line {
            return Ok(());
        }
        if let Err(error) = skip_line(input) {
            return Err(broken_off(input.position(), &error));
        }
    }
}

fn parse(reader: impl Read, document: Document<'_, '_>) -> Result<(), serde_json::Error> {
    document.deserialize(&mut serde_json::Deserializer::from_reader(reader))
}

fn broken_off(at: Position, error: &std::io::Error) -> ImportError {
    ImportError::Damaged(format!("{at}: breaks off: {error}"))
}

/// Where serde_json counts from is the document's beginning, which says nothing of the file.
fn without_place(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    told.strip_suffix(&place).map_or(told.clone(), str::to_owned)
}

/// Whether each line is a document. A text that spreads one over several lines opens a bracket in the first and does not close
/// it there; a damaged first line does the same, but what follows is none that could stand within it.
fn is_by_line(beginning: &[u8]) -> bool {
    let begin = beginning.iter().position(|b| !is_blank(*b)).unwrap_or(0);
    let lines = beginning[begin..].split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let mut lines = lines.filter(|line| !line.is_empty());
    let [first, second, third] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    if is_closed(first) {
        return true;
    }
    let is_opened = matches!(first.last(), Some(b'[' | b','));
    second.starts_with(b"{")
        && (first.ends_with(b"{")
            || (is_closed(second)
                && if third.is_empty() {
                    !is_opened
                } else {
                    third.starts_with(b"{") && !second.ends_with(b",")
                }))
}

fn is_closed(line: &[u8]) -> bool {
    let mut open = 0_i64;
    let (mut in_text, mut escaped) = (false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => {}
        }
    }
    !in_text && open <= 0
}

const fn is_blank(byte: u8) -> bool {
    // A byte order mark is blank too.
    byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf | b',')
}

fn skip_blank(input: &mut Input<'_>) -> std::io::Result<()> {
    loop {
        let blank = input.fill_buf()?.iter().take_while(|b| is_blank(**b)).count();
        if blank == 0 {
            return Ok(());
        }
        input.consume(blank);
    }
}

fn skip_line(input: &mut Input<'_>) -> std::io::Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        let rest = bytes.iter().take_while(|b| **b != b'\n').count();
        let is_end = rest < bytes.len() || bytes.is_empty();
        input.consume(rest);
        if is_end {
            return Ok(());
        }
    }
}

/// The input up to the end of its line, so that what a damaged document lacks is not taken from the next.
struct Line<'i, 'r>(&'i mut Input<'r>);

impl Read for Line<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.0.fill_buf()?;
        let within = bytes.iter().take(buf.len()).take_while(|b| **b != b'\n').count();
        buf[..within].copy_from_slice(&bytes[..within]);
        self.0.consume(within);
        Ok(within)
    }
}

struct Document<'d, 'e> {
    shape: Shape<'d>,
    each: &'d mut Each<'e>,
    /// The error of `each`, which serde's cannot carry.
    failed: &'d mut Option<ImportError>,
}

impl Document<'_, '_> {
    fn hand_over<E: serde::de::Error>(
        &mut self,
        context: &Map<String, Value>,
        array: &str,
        value: Value,
    ) -> Result<(), E> {
        (self.each)(context, array, value).map_err(|error| {
            *self.failed = Some(error);
            E::custom("given up")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut context = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.shape.arrays.is_empty() {
                let value = map.next_value()?;
                context.insert(key, value);
            } else if let Some(array) = self.shape.arrays.iter().find(|a| **a == key) {
                map.next_value_seed(Elements { document: &mut self, context: &context, array })?;
            } else if self.shape.keep.contains(&key.as_str()) {
                let value = map.next_value()?;
                context.insert(key, value);
            } else if self.shape.within.contains(&key.as_str()) {
                let inner = Document { shape: self.shape, each: &mut *self.each, failed: &mut *self.failed };
                map.next_value_seed(inner)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if self.shape.arrays.is_empty() {
            self.hand_over(&Map::new(), "", Value::Object(context))?;
        } else if !context.is_empty() {
            self.hand_over(&context, "", Value::Null)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element()? {
            self.hand_over(&Map::new(), "", value)?;
        }
        Ok(())
    }
}

struct Elements<'d, 'x, 'y, 'e> {
    document: &'d mut Document<'x, 'e>,
    context: &'d Map<String, Value>,
    array: &'y str,
}

impl<'de> DeserializeSeed<'de> for Elements<'_, '_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, '_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array in {:?}", self.array)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element()? {
            self.document.hand_over(self.context, self.array, value)?;
        }
        Ok(())
    }
}
