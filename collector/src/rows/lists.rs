//! Where the items of each row begin and end, in columns of lists and maps.

use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};

/// Most rows have no items: nothing is noted of them until one after them has some.
#[derive(Debug, Default)]
pub struct Lists {
    /// Where each row begins, up to the last one that has items.
    begins: Vec<i32>,
    /// Where that one ends.
    end: usize,
}

impl Lists {
    /// How many items there are in the rows that were ended.
    #[inline]
    pub const fn ends_at(&self) -> usize {
        self.end
    }

    /// Ends a row with so many items in all.
    #[inline]
    pub fn end(&mut self, row: usize, items: usize) {
        if items != self.end {
            self.begins.resize(row + 1, offset(self.end));
            self.end = items;
        }
    }

    /// The offsets of so many rows, and which of them have items.
    pub fn finish(self, rows: usize) -> (OffsetBuffer<i32>, NullBuffer) {
        let Self { begins: mut offsets, end } = self;
        offsets.reserve_exact(rows + 1 - offsets.len());
        offsets.resize(rows + 1, offset(end));
        let any = BooleanBuffer::collect_bool(rows, |row| offsets[row] != offsets[row + 1]);
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), NullBuffer::new(any))
    }
}

fn offset(items: usize) -> i32 {
    i32::try_from(items).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_between_have_no_items() {
        let mut lists = Lists::default();
        [(0, 0), (2, 3), (3, 3), (4, 5)].into_iter().for_each(|(row, items)| lists.end(row, items));
        let (offsets, any) = lists.finish(6);
        assert_eq!(offsets[..], [0, 0, 0, 3, 3, 5, 5]);
        assert_eq!(any.iter().collect::<Vec<_>>(), [false, false, true, false, true, false]);
        let (offsets, any) = Lists::default().finish(2);
        assert_eq!((&offsets[..], any.null_count()), (&[0, 0, 0][..], 2));
    }
}
