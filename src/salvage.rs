//! `plimsoll salvage`: takes what is whole out of a damaged log, so that the server starts again.

use crate::cli::Salvage;

pub fn run(salvage: &Salvage) -> crate::Outcome {
    let segments = plimsoll_store::salvage(&salvage.home, salvage.wal.as_deref())?;
    if segments.is_empty() {
        let of = salvage.wal.as_ref().map_or(salvage.home.to_string(), |wal| wal.display().to_string());
        println!("The log of {of} is whole: nothing to do.");
    }
    for segment in segments {
        let ranges: Vec<String> =
            segment.damaged.iter().map(|range| format!("{}–{}", range.start, range.end)).collect();
        println!("{}: damaged at bytes {}", segment.segment.display(), ranges.join(", "));
        println!("  {} requests are whole, and replayed at the next start", segment.records);
        println!("  kept as {}; the store does not read it any more", segment.kept_as.display());
    }
    Ok(())
}
