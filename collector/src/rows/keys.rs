//! Attribute names, looked up once for spans that are alike: an instrumentation sends the same names in the same order for
//! every span of one name.

use plimsoll_schemas::emitters::{self, Key};

use crate::limits::VALUE_BYTES_MAX;

/// So many names of spans are remembered; a request has few, or so many that none of them comes again.
const NAMES_MAX: usize = 32;

/// What is known of an attribute's name.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub key: Option<&'static Key>,
    /// The name itself, if it has no column, and is text that can be kept as it came.
    pub text: Option<&'a str>,
}

impl<'a> Known<'a> {
    fn of(name: &'a [u8]) -> Self {
        let key = emitters::key(name);
        let has_column = key.is_some_and(|key| key.column.is_some());
        let fits = !has_column && name.len() <= VALUE_BYTES_MAX;
        Self { key, text: fits.then(|| std::str::from_utf8(name).ok()).flatten() }
    }
}

/// What is known of the attributes of the last span of each name, by their places.
#[derive(Debug, Default)]
pub struct Keys<'a> {
    of_names: Vec<Vec<(&'a [u8], Known<'a>)>>,
}

impl<'a> Keys<'a> {
    /// What is known of the attribute `key`, which is the one at `place` of a span whose name has this number.
    #[inline]
    pub fn get(&mut self, name: usize, place: usize, key: &'a [u8]) -> Known<'a> {
        if name >= NAMES_MAX {
            return Known { key: emitters::key(key), text: None };
        }
        if self.of_names.len() <= name {
            self.of_names.resize_with(name + 1, Vec::new);
        }
        let places = &mut self.of_names[name];
        match places.get_mut(place) {
            Some((same, known)) if *same == key => *known,
            Some(other) => {
                *other = (key, Known::of(key));
                other.1
            }
            None => {
                let known = Known::of(key);
                // Each place is asked for after the one before it.
                places.push((key, known));
                known
            }
        }
    }
}
