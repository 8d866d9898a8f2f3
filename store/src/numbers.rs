//! Builds a column of numbers that most often are all there, or none.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};

use crate::nulls::{all_but, null_column};
use crate::text::fit;

/// See the module's description. Rows without a number cost nothing as long as none has one.
#[derive(Debug)]
pub struct Numbers<T: ArrowPrimitiveType> {
    rows_expected: usize,
    /// Of the rows up to the last one that has one.
    values: Vec<T::Native>,
    /// Those of them without one.
    nulls: Vec<u32>,
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    /// With room for so many rows, which is made once there is a number.
    pub const fn with_capacity(rows: usize) -> Self {
        Self { rows_expected: rows, values: Vec::new(), nulls: Vec::new() }
    }

    /// How many rows there are, up to the last one that has a number.
    pub const fn len(&self) -> usize {
        self.values.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Puts a number at `row`, with nulls before it.
    #[inline]
    pub fn put(&mut self, row: usize, value: T::Native) {
        if self.values.len() != row || row == 0 {
            self.skip_to(row);
        }
        self.values.push(value);
    }

    fn skip_to(&mut self, row: usize) {
        if self.values.is_empty() {
            self.values.reserve_exact(self.rows_expected.max(row + 1));
        }
        self.nulls.extend(self.values.len() as u32..row as u32);
        self.values.resize(row, T::Native::default());
    }

    /// The column, so many rows long, as `with` makes it of the numbers.
    pub fn finish(
        mut self,
        rows: usize,
        with: impl FnOnce(PrimitiveArray<T>) -> PrimitiveArray<T>,
    ) -> ArrayRef {
        if self.values.is_empty() {
            return null_column(with(PrimitiveArray::new_null(0)).data_type(), rows);
        }
        self.skip_to(rows);
        let Self { mut values, nulls, .. } = self;
        fit(&mut values);
        Arc::new(with(PrimitiveArray::new(values.into(), all_but(&nulls, rows))))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_what_was_put(numbers in proptest::collection::vec(proptest::option::of(0_i64..9), 0..200), capacity in 0..200_usize) {
            let mut builder = Numbers::<Int64Type>::with_capacity(capacity);
            let present = numbers.iter().enumerate().filter_map(|(row, number)| Some((row, (*number)?)));
            present.for_each(|(row, number)| builder.put(row, number));
            let array = builder.finish(numbers.len(), |array| array);
            prop_assert_eq!(array.as_primitive::<Int64Type>(), &Int64Array::from(numbers));
        }
    }
}
