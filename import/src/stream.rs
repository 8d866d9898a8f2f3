//! JSON that is too long to hold: its documents one by one, and of a document the elements of one array.

use std::fmt;
use std::io::BufRead;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::ImportError;

/// What to do with one element; `context` holds what its object said before the array began.
pub type Each<'a> = dyn FnMut(&Map<String, Value>, &str, Value) -> Result<(), ImportError> + 'a;

/// Calls `each` with every document of the input (one after the other, as in JSON lines); of a document that is an array, with
/// its elements.
pub fn documents(
    input: impl BufRead,
    each: &mut dyn FnMut(Value) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    elements(input, &[], &[], &mut |_, _, value| each(value))
}

/// Calls `each` with every element of the arrays named in `arrays`, in every document of the input. A document that is an array
/// is itself such an array, by the name "". Of the other members, those in `keep` that stand before the array are handed to
/// `each` as context; the rest is read over.
pub fn elements(
    mut input: impl BufRead,
    arrays: &[&str],
    keep: &[&str],
    each: &mut Each<'_>,
) -> Result<(), ImportError> {
    let mut failed = None;
    let mut number = 0_u64;
    loop {
        skip_blank(&mut input)?;
        if input.fill_buf()?.is_empty() {
            return Ok(());
        }
        number += 1;
        let mut json = serde_json::Deserializer::from_reader(&mut input);
        let read = Document { arrays, keep, each, failed: &mut failed }.deserialize(&mut json);
        if let Some(error) = failed.take() {
            return Err(error);
        }
        read.map_err(|e| match ImportError::from(e) {
            ImportError::Damaged(problem) => ImportError::Damaged(format!("document {number}: {problem}")),
            other => other,
        })?;
    }
}

fn skip_blank(input: &mut impl BufRead) -> Result<(), ImportError> {
    loop {
        let bytes = input.fill_buf()?;
        // A byte order mark is blank too.
        let blank = bytes
            .iter()
            .take_while(|b| b.is_ascii_whitespace() || matches!(b, 0xef | 0xbb | 0xbf | b','))
            .count();
        if blank == 0 {
            return Ok(());
        }
        input.consume(blank);
    }
}

struct Document<'d, 'e> {
    arrays: &'d [&'d str],
    keep: &'d [&'d str],
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

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut context = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.arrays.is_empty() {
                let value = map.next_value()?;
                context.insert(key, value);
            } else if let Some(array) = self.arrays.iter().find(|a| **a == key) {
                map.next_value_seed(Elements { document: &mut self, context: &context, array })?;
            } else if self.keep.contains(&key.as_str()) {
                let value = map.next_value()?;
                context.insert(key, value);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if self.arrays.is_empty() {
            self.hand_over(&Map::new(), "", Value::Object(context))?;
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
