//! Attribute names, looked up once for spans that are alike: an instrumentation sends the same names in the same order for
//! every span of one name.

use plimsoll_schemas::emitters::{self, Key};

/// So many names of spans are remembered; a request has few, or so many that none of them comes again.
const NAMES_MAX: usize = 32;

/// What is known of the attributes of the last span of each name, by their places.
#[derive(Debug, Default)]
pub struct Keys<'a> {
    of_names: Vec<Vec<(&'a [u8], Option<&'static Key>)>>,
}

impl<'a> Keys<'a> {
    /// What is known of the attribute `key`, which is the one at `place` of a span whose name has this number.
    #[inline]
    pub fn get(&mut self, name: usize, place: usize, key: &'a [u8]) -> Option<&'static Key> {
        if name >= NAMES_MAX {
            return emitters::key(key);
        }
        if self.of_names.len() <= name {
            self.of_names.resize_with(name + 1, Vec::new);
        }
        let places = &mut self.of_names[name];
        match places.get_mut(place) {
            Some((same, known)) if *same == key => *known,
            Some(other) => {
                *other = (key, emitters::key(key));
                other.1
            }
            None => {
                let known = emitters::key(key);
                // Each place is asked for after the one before it.
                places.push((key, known));
                known
            }
        }
    }
}
