//! Reads what other tools export, as OTLP and verdicts: bytes in, items out, one after the other in bounded memory.
//!
//! It opens no file and sends nothing: `plimsoll import` does. Ids that a source does not have are derived from what
//! it says, so that the same file always gives the same items.

mod build;
mod error;
mod formats;
mod id;
mod input;
mod item;
mod stream;
mod time;

pub use error::ImportError;
pub use formats::Format;
pub use item::{Item, Verdict};

/// A point in time as exports write it, as unix nanoseconds.
pub fn unix_nano(text: &str) -> Option<i64> {
    time::of_text(text)
}

use std::io::Read;

/// Calls `sink` with each item of `input`, which may be packed by gzip or zstd. The format is found by content unless given.
/// An error of `sink` ends the reading. What could not be read of an otherwise whole file is reported as
/// [`Item::Rejected`], and its neighbours are kept; of a damaged file all that is whole is handed over, and then told where it
/// is damaged.
pub fn read(
    input: impl Read,
    format: Option<Format>,
    sink: &mut dyn FnMut(Item) -> Result<(), ImportError>,
) -> Result<Format, ImportError> {
    let mut input = input::Input::open(input)?;
    let format = match format {
        Some(format) => format,
        None => Format::of_content(input.beginning())?,
    };
    format.read(&mut input, sink)?;
    input.finish()?;
    Ok(format)
}
