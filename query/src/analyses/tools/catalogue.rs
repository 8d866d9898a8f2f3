//! The catalogue: which tools there should be, and whose they are. A YAML file, `catalogue.yaml`, in the home.

use plimsoll_store::Home;
use serde::Deserialize;
use serde_json::{Value, json};

const FILE: &str = "catalogue.yaml";
/// A catalogue is written by people.
const BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    tools: Vec<Entry>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub tool: String,
    /// Of this server only.
    #[serde(default)]
    pub server: Option<String>,
    #[serde(default)]
    pub owner: Option<String>,
}

#[derive(Debug, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
    is_there: bool,
    problem: Option<String>,
}

impl Catalogue {
    /// Read when it is asked for: it is small, and changes count at once. A broken one counts as none, and says why.
    pub async fn read(home: &Home) -> Self {
        let problem = |problem: String| Self {
            problem: Some(format!("{FILE}: {problem}")),
            is_there: true,
            ..Self::default()
        };
        let bytes = match home.get_at_most(FILE, BYTES_MAX).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Self::default(),
            Err(error) => return problem(error.to_string()),
        };
        match serde_norway::from_slice::<Document>(&bytes) {
            Ok(document) => Self { entries: document.tools, is_there: true, problem: None },
            Err(error) => problem(error.to_string()),
        }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a tool: of its server first, then of any.
    pub fn entry(&self, tool: &str, server: Option<&str>) -> Option<&Entry> {
        let of_tool = || self.entries.iter().filter(|e| e.tool == tool);
        of_tool()
            .find(|e| e.server.is_some() && e.server.as_deref() == server)
            .or_else(|| of_tool().find(|e| e.server.is_none()))
    }

    /// Without a catalogue nothing is shadow: it is unknown.
    pub fn word(&self, entry: Option<&Entry>) -> Option<&'static str> {
        match entry {
            _ if self.entries.is_empty() => None,
            Some(_) => Some("yes"),
            None => Some("shadow"),
        }
    }

    pub fn describe(&self) -> Value {
        json!({"file": FILE, "found": self.is_there, "tools": self.entries.len(), "problem": self.problem})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broken_catalogue_says_where() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::open(&folder.path().into()).expect("opens");
        assert_eq!(Catalogue::read(&home).await.describe()["found"], false);
        std::fs::write(folder.path().join(FILE), "tools:\n  - tool: a\n  - name: b\n").expect("written");
        let problem = Catalogue::read(&home).await.problem.expect("a problem");
        assert!(problem.contains("name") && problem.contains("line 3"), "{problem}");
    }

    #[test]
    fn a_tool_of_another_server_is_another_tool() {
        let entry =
            |server: Option<&str>| Entry { tool: "t".into(), server: server.map(str::to_owned), owner: None };
        let catalogue = Catalogue { entries: vec![entry(Some("a"))], ..Catalogue::default() };
        assert!(catalogue.entry("t", Some("a")).is_some());
        assert_eq!(catalogue.word(catalogue.entry("t", Some("b"))), Some("shadow"));
        assert_eq!(Catalogue::default().word(None), None);
    }
}
