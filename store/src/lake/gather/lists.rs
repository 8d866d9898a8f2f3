//! A column of lists of texts, or the keys or values of maps, read where it lies.

use arrow::array::{Array, AsArray, StringArray};
use arrow::buffer::NullBuffer;

use super::Places;

/// See the module's description.
#[derive(Debug)]
pub struct Lists<'a> {
    batches: Vec<OfBatch<'a>>,
    places: &'a Places,
}

#[derive(Debug, Clone, Copy)]
struct OfBatch<'a> {
    offsets: &'a [i32],
    nulls: Option<&'a NullBuffer>,
    items: &'a StringArray,
}

impl<'a> Lists<'a> {
    /// Lists as one column; maps as two, of keys and of values. `None` for columns of other types, or of other items.
    pub(super) fn of(arrays: &[&'a dyn Array], places: &'a Places) -> Option<Vec<Self>> {
        let columns = |leaf: fn(&'a dyn Array) -> Option<OfBatch<'a>>| {
            let batches = arrays.iter().map(|array| leaf(*array)).collect::<Option<_>>()?;
            Some(Self { batches, places })
        };
        match arrays.first()?.as_map_opt() {
            Some(_) => Some(vec![columns(keys)?, columns(values)?]),
            None => Some(vec![columns(items)?]),
        }
    }

    /// The items of a row's list; `None` where it has none.
    #[inline]
    pub fn items(&self, row: u32) -> Option<impl Iterator<Item = Option<&'a str>> + use<'a>> {
        let (batch, row) = self.places.of(row);
        let OfBatch { offsets, nulls, items } = self.batches[batch];
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        Some(range.map(move |at| items.is_valid(at).then(|| items.value(at))))
    }

    /// The items of these rows that are there.
    pub fn texts(&self, rows: &[u32]) -> impl Iterator<Item = &'a str> {
        rows.iter().filter_map(|row| self.items(*row)).flatten().flatten()
    }
}

fn items(array: &dyn Array) -> Option<OfBatch<'_>> {
    let list = array.as_list_opt::<i32>()?;
    Some(OfBatch {
        offsets: list.value_offsets(),
        nulls: list.nulls(),
        items: list.values().as_string_opt()?,
    })
}

fn keys(array: &dyn Array) -> Option<OfBatch<'_>> {
    let map = array.as_map_opt()?;
    Some(OfBatch { offsets: map.value_offsets(), nulls: map.nulls(), items: map.keys().as_string_opt()? })
}

fn values(array: &dyn Array) -> Option<OfBatch<'_>> {
    let map = array.as_map_opt()?;
    Some(OfBatch { offsets: map.value_offsets(), nulls: map.nulls(), items: map.values().as_string_opt()? })
}
