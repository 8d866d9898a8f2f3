//! The layers of the settings, and which of them each value in force came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_norway::{Mapping, Value};

use super::Settings;

/// Read where no `--config` is given, if it is there.
const DEFAULT_FILE: &str = "plimsoll.yaml";
const ENVIRONMENT_PREFIX: &str = "PLIMSOLL__";

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

/// The settings in force, and where each of them came from.
#[derive(Debug)]
pub struct Effective {
    pub settings: Settings,
    merged: Value,
    origins: BTreeMap<String, Origin>,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{}: {source}; give another file with --config", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}; `plimsoll check` prints every key", path.display())]
    File { path: PathBuf, source: serde_norway::Error },
    #[error("{origin}: {source}")]
    Value { origin: Origin, source: serde_norway::Error },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// A flag that was given: its name, the key that it sets, its value.
pub type Flag = (&'static str, &'static str, Value);

/// Lays the layers over each other.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: Vec<Flag>,
) -> Result<Effective, SettingsError> {
    let mut effective = Effective::defaults();
    if let Some((path, text)) = read(file)? {
        effective.lay_file(path, &text)?;
    }
    // Sorted, so that the same environment gives the same error.
    let variables: BTreeMap<String, String> = environment.collect();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        let key = rest.to_ascii_lowercase().replace("__", ".");
        // As in the file: `true` is a truth value, anything else that is no YAML is text.
        let value = serde_norway::from_str(&text).unwrap_or(Value::String(text));
        effective.lay_value(&key, value, Origin::Variable(name))?;
    }
    for (name, key, value) in flags {
        effective.lay_value(key, value, Origin::Flag(name))?;
    }
    Ok(effective)
}

fn read(file: Option<&Path>) -> Result<Option<(PathBuf, String)>, SettingsError> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && file.is_none() => Ok(None),
        Err(source) => Err(SettingsError::Read { path: path.to_owned(), source }),
    }
}

impl Effective {
    fn defaults() -> Self {
        let settings = Settings::default();
        let merged = serde_norway::to_value(&settings).unwrap_or_default();
        Self { settings, merged, origins: BTreeMap::new() }
    }

    fn lay_file(&mut self, path: PathBuf, text: &str) -> Result<(), SettingsError> {
        // Typed first: only this knows lines and columns.
        let typed = serde_norway::from_str::<Option<Settings>>(text);
        let at = |source| SettingsError::File { path: path.clone(), source };
        typed.map_err(at)?;
        let value: Value = serde_norway::from_str(text).map_err(at)?;
        self.lay(value, &Origin::File(path.clone())).map_err(at)
    }

    fn lay_value(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), SettingsError> {
        let nested = key.rsplit('.').fold(value, |inner, part| {
            Value::Mapping(Mapping::from_iter([(Value::String(part.to_owned()), inner)]))
        });
        self.lay(nested, &origin).map_err(|source| SettingsError::Value { origin, source })
    }

    /// Puts one layer on top; nothing changes where it does not fit.
    fn lay(&mut self, layer: Value, origin: &Origin) -> Result<(), serde_norway::Error> {
        let mut merged = self.merged.clone();
        let mut keys = Vec::new();
        merge(&mut merged, layer, String::new(), &mut keys);
        self.settings = Settings::deserialize(merged.clone())?;
        self.merged = merged;
        self.origins.extend(keys.into_iter().map(|key| (key, origin.clone())));
        Ok(())
    }

    /// One line per key: `key: value  # where it came from`.
    pub fn lines(&self) -> Vec<String> {
        let mut leaves = Vec::new();
        flatten(&self.merged, String::new(), &mut leaves);
        let width = leaves.iter().map(|(key, text)| key.len() + text.len() + 2).max().unwrap_or(0);
        leaves
            .into_iter()
            .map(|(key, text)| {
                let origin = self.origins.get(&key).unwrap_or(&Origin::Default);
                format!("{:width$}  # {origin}", format!("{key}: {text}"))
            })
            .collect()
    }
}

fn merge(into: &mut Value, layer: Value, path: String, keys: &mut Vec<String>) {
    match (into, layer) {
        (_, Value::Null) => {}
        (Value::Mapping(into), Value::Mapping(layer)) => {
            for (key, value) in layer {
                let path = join(&path, &key);
                merge(into.entry(key).or_insert(Value::Null), value, path, keys);
            }
        }
        (into @ Value::Null, Value::Mapping(layer)) => {
            *into = Value::Mapping(Mapping::new());
            merge(into, Value::Mapping(layer), path, keys);
        }
        (into, value) => {
            *into = value;
            keys.push(path);
        }
    }
}

fn flatten(value: &Value, path: String, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Mapping(entries) => {
            for (key, value) in entries {
                flatten(value, join(&path, key), leaves);
            }
        }
        Value::Null => leaves.push((path, "~".into())),
        // On one line: a list of rules, or a plain value.
        Value::Sequence(items) => leaves.push((path, serde_json::to_string(items).unwrap_or_default())),
        plain => {
            let text = serde_norway::to_string(plain).unwrap_or_default();
            leaves.push((path, text.trim_end().to_owned()));
        }
    }
}

fn join(path: &str, key: &Value) -> String {
    let key = key.as_str().unwrap_or("?");
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
