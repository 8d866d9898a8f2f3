//! The demo's objectives, as OpenSLO documents that people may read and change.

use std::io;
use std::path::Path;

const DOCUMENTS: [(&str, &str); 2] = [
    ("requests.yaml", include_str!("objectives/requests.yaml")),
    ("stages.yaml", include_str!("objectives/stages.yaml")),
];

/// Writes those that are not there: what somebody changed stays.
pub fn write(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, text) in DOCUMENTS {
        let path = folder.join(name);
        if !path.exists() {
            std::fs::write(path, text)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_valid() {
        for (name, text) in DOCUMENTS {
            let objectives =
                plimsoll_schemas::objective::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(!objectives.is_empty(), "{name}");
        }
    }
}
