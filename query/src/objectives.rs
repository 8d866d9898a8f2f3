//! The objectives in force: OpenSLO documents from a folder, read again when a file changes, or the built-in ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use plimsoll_schemas::objective::{Objective, parse};

/// What a folder said at one time.
#[derive(Debug, Default, Clone)]
pub struct ObjectiveSet {
    pub objectives: Vec<Objective>,
    /// Documents that are no objectives, and why.
    pub problems: Vec<String>,
}

/// Reads a folder and remembers it until a file in it changes.
#[derive(Debug)]
pub struct Objectives {
    folder: Option<PathBuf>,
    cached: Mutex<Option<(Stamp, Arc<ObjectiveSet>)>>,
}

type Stamp = Vec<(PathBuf, SystemTime, u64)>;

impl Objectives {
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, cached: Mutex::default() }
    }

    /// The objectives of now. A bad document is left out and said so; the others stay.
    pub fn current(&self) -> Arc<ObjectiveSet> {
        let Some(folder) = &self.folder else { return Arc::default() };
        let stamp = stamp(folder);
        let mut cached = self.cached.lock();
        if let Some((of, set)) = &*cached
            && *of == stamp
        {
            return set.clone();
        }
        let mut set = ObjectiveSet::default();
        for (path, _, _) in &stamp {
            let read = std::fs::read_to_string(path).map_err(|e| e.to_string());
            match read.and_then(|text| parse(&text).map_err(|e| e.to_string())) {
                Ok(objectives) => set.objectives.extend(objectives),
                Err(problem) => {
                    let problem = format!("{}: {problem}", path.display());
                    tracing::warn!(problem, "an objective is left out");
                    set.problems.push(problem);
                }
            }
        }
        let set = Arc::new(set);
        *cached = Some((stamp, set.clone()));
        set
    }
}

/// The YAML files of a folder with what tells a changed one.
fn stamp(folder: &Path) -> Stamp {
    let mut files: Stamp = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| matches!(e.path().extension().and_then(|x| x.to_str()), Some("yaml" | "yml")))
        .filter_map(|e| {
            let meta = e.metadata().ok()?;
            Some((e.path(), meta.modified().ok()?, meta.len()))
        })
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_folder_is_read_again_and_a_bad_document_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let objectives = Objectives::new(Some(folder.path().into()));
        assert!(objectives.current().objectives.is_empty());
        let good =
            "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec: {objectives: [{target: 0.9}]}\n";
        std::fs::write(folder.path().join("a.yaml"), good).expect("written");
        std::fs::write(folder.path().join("b.yaml"), good.replace("0.9", "9")).expect("written");
        let set = objectives.current();
        assert_eq!(set.objectives.len(), 1);
        assert!(
            set.problems[0].contains("b.yaml") && set.problems[0].contains("target"),
            "{:?}",
            set.problems
        );
    }
}
