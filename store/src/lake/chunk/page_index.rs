//! The range of each page of a column by which rows are sorted.

use parquet::basic::BoundaryOrder;
use parquet::file::metadata::ColumnIndexBuilder;
use parquet::schema::types::ColumnDescPtr;

use super::Range;

/// See the module's description.
pub struct PageIndex {
    builder: ColumnIndexBuilder,
    /// Nulls in the pages so far.
    nulls: u64,
    /// False once a page has no range.
    is_complete: bool,
}

impl PageIndex {
    pub fn new(column: &ColumnDescPtr) -> Self {
        Self { builder: ColumnIndexBuilder::new(column.physical_type()), nulls: 0, is_complete: true }
    }

    /// `nulls`: in all pages, this one included.
    pub fn append(&mut self, range: Option<Range<&[u8]>>, nulls: u64) {
        match range {
            Some(Range { min, max }) => {
                self.builder.append(false, min.to_vec(), max.to_vec(), (nulls - self.nulls) as i64);
            }
            None => self.is_complete = false,
        }
        self.nulls = nulls;
    }

    pub fn finish(mut self) -> Option<ColumnIndexBuilder> {
        // True of any order, and of what is sorted by two columns all that can be said of the second.
        self.builder.set_boundary_order(BoundaryOrder::UNORDERED);
        self.is_complete.then_some(self.builder)
    }
}
