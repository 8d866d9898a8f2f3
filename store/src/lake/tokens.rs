//! Which values of which attributes a file may hold: a split-block bloom filter over tokens, one for each distinct value of a column
//! of text, or of a key of a map. It lies in the sidecar, behind the filter over trace ids (see [`super::bloom`]).
//!
//! Long values have no token, nor have those of a key that has very many: a token of the key alone stands for them, and then the
//! file may hold any value of it.

use std::sync::LazyLock;

use parquet::bloom_filter::Sbbf;
use plimsoll_schemas::Attr;
use plimsoll_schemas::attr::AttrType;
use rustc_hash::{FxHashMap, FxHashSet};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::StoreError;

/// Of one key. What has more is as good as unique, and would take a byte and more for each row.
const VALUES_MAX: usize = 8 * 1024;
/// In the maps of one file.
const KEYS_MAX: usize = 4 * 1024;
/// Texts that are longer are read, not looked for.
const VALUE_BYTES_MAX: usize = 128;
const FALSE_POSITIVES: f64 = 0.01;
const MAPS: [&str; 2] = ["attributes", "resource_attributes"];

/// What the values of a column of `spans` are to tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokenized {
    Text,
    Map,
}

impl Tokenized {
    /// `None` for columns whose values have none. A file that has a column and was written before its values had tokens would be
    /// taken to hold none of them: to add such a column is to begin another version of the sidecar.
    pub fn of(column: &str) -> Option<Self> {
        if MAPS.contains(&column) {
            return Some(Self::Map);
        }
        static TEXTS: LazyLock<FxHashSet<&str>> = LazyLock::new(|| {
            let promoted = Attr::ALL.iter().map(|a| a.info());
            let of_text = promoted.filter(|i| matches!(i.kind, AttrType::Keyword | AttrType::Text));
            of_text.map(|i| i.column).chain(["service_name", "name"]).collect()
        });
        TEXTS.contains(column).then_some(Self::Text)
    }
}

/// Split-block bloom filter over the tokens of one file.
pub struct TokenBloom(Sbbf);

impl std::fmt::Debug for TokenBloom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenBloom").field("bytes", &self.memory_bytes()).finish()
    }
}

impl TokenBloom {
    /// False only if none of the file's rows has that value there; `key` is empty where the column is no map.
    pub fn may_hold(&self, column: &str, key: &str, value: &str) -> bool {
        let place = Place::of(column, key);
        value.len() > VALUE_BYTES_MAX
            || self.has(place.token(value))
            || self.has(place.any())
            || self.has(Place::of(column, "").any())
    }

    fn has(&self, token: u64) -> bool {
        self.0.check(&token.to_le_bytes()[..])
    }

    pub fn memory_bytes(&self) -> usize {
        self.0.num_blocks() * 32
    }

    pub(super) fn from_filter(filter: Sbbf) -> Self {
        Self(filter)
    }

    pub(super) fn filter(&self) -> &Sbbf {
        &self.0
    }
}

/// A column, or a key of a map; as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place(u64);

impl Place {
    fn of(column: &str, key: &str) -> Self {
        Self(xxh3_64_with_seed(key.as_bytes(), xxh3_64_with_seed(column.as_bytes(), 0)))
    }

    fn token(self, value: &str) -> u64 {
        xxh3_64_with_seed(value.as_bytes(), self.0)
    }

    /// Stands for every value.
    fn any(self) -> u64 {
        !self.0
    }
}

/// The tokens of one file, while it is written.
#[derive(Debug, Default)]
pub struct Tokens {
    /// The tokens of each place; `None` once there were too many.
    places: FxHashMap<Place, Option<FxHashSet<u64>>>,
}

impl Tokens {
    /// Adds values of a column that is no map. What repeats costs time only.
    pub fn add_texts<'a>(&mut self, column: &str, values: impl IntoIterator<Item = &'a str>) {
        let place = Place::of(column, "");
        let mut last = None;
        for value in values {
            // Neighbours are often of one trace.
            if last != Some(value) {
                self.add_value(place, value);
                last = Some(value);
            }
        }
    }

    /// Adds words of a keyword's column, each of them once.
    pub fn add_words<'a, W: IntoIterator<Item = &'a str>>(
        &mut self,
        column: &str,
        words: impl FnOnce() -> W,
    ) {
        if Tokenized::of(column).is_some() {
            self.add_texts(column, words());
        }
    }

    /// Adds entries of a column of maps.
    pub fn add_entries<'a>(&mut self, column: &str, entries: impl IntoIterator<Item = (&'a str, &'a str)>) {
        if Tokenized::of(column).is_none() {
            return;
        }
        for (key, value) in entries {
            let place = Place::of(column, key);
            if self.places.len() >= KEYS_MAX && !self.places.contains_key(&place) {
                return self.give_up(column);
            }
            self.add_value(place, value);
        }
    }

    fn add_value(&mut self, place: Place, value: &str) {
        if value.len() > VALUE_BYTES_MAX {
            return;
        }
        let of_place = self.places.entry(place).or_insert_with(|| Some(FxHashSet::default()));
        let Some(tokens) = of_place else { return };
        tokens.insert(place.token(value));
        if tokens.len() > VALUES_MAX {
            *of_place = None;
        }
    }

    /// A column may hold any value from then on.
    pub fn give_up(&mut self, column: &str) {
        if Tokenized::of(column).is_some() {
            self.places.insert(Place::of(column, ""), None);
        }
    }

    pub fn finish(self) -> Result<TokenBloom, StoreError> {
        let count: usize = self.places.values().map(|tokens| tokens.as_ref().map_or(1, FxHashSet::len)).sum();
        let mut filter = Sbbf::new_with_ndv_fpp(count.max(1) as u64, FALSE_POSITIVES)
            .map_err(StoreError::parquet("bloom filter over attributes"))?;
        for (place, tokens) in self.places {
            match tokens {
                None => filter.insert(&place.any().to_le_bytes()[..]),
                Some(tokens) => tokens.iter().for_each(|token| filter.insert(&token.to_le_bytes()[..])),
            }
        }
        Ok(TokenBloom(filter))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_false_negatives(values in proptest::collection::vec((0..4u8, ".{0,9}|.{120,140}"), 0..300)) {
            let mut tokens = Tokens::default();
            let column = |n: u8| ["service_name", "name", "session_id", "user_id"][usize::from(n)];
            for (n, value) in &values {
                tokens.add_texts(column(*n), [value.as_str()]);
            }
            let bloom = tokens.finish().expect("a filter");
            for (n, value) in &values {
                prop_assert!(bloom.may_hold(column(*n), "", value));
            }
        }
    }

    #[test]
    fn values_are_told_apart_by_their_key_and_column() {
        let mut tokens = Tokens::default();
        tokens.add_texts("name", (0..500).map(|_| "chat"));
        let bloom = tokens.finish().expect("a filter");
        assert!(bloom.may_hold("name", "", "chat"));
        let others = [
            ("name", "", "embed"),
            ("name", "chat", ""),
            ("service_name", "", "chat"),
            ("attributes", "name", "chat"),
        ];
        for (column, key, value) in others {
            assert!(!bloom.may_hold(column, key, value), "{column} {key} {value}");
        }
    }

    #[test]
    fn a_key_of_too_many_values_may_have_any_of_them_and_leaves_the_others_alone() {
        let mut tokens = Tokens::default();
        let ids: Vec<String> = (0..VALUES_MAX + 2).map(|n| n.to_string()).collect();
        tokens.add_texts("session_id", ids.iter().map(String::as_str));
        tokens.add_texts("user_id", ["ada"]);
        let bloom = tokens.finish().expect("a filter");
        assert!(bloom.may_hold("session_id", "", "0") && bloom.may_hold("session_id", "", "none of them"));
        assert!(bloom.may_hold("user_id", "", "ada") && !bloom.may_hold("user_id", "", "bob"));
        assert!(bloom.memory_bytes() <= 64);
    }
}
