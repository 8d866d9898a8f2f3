//! Real exports, where they are at hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plimsoll_import::Format;

use crate::{Read, attribute, read};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is missing", folder.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    files.sort();
    files
}

fn read_file(path: &Path) -> Read {
    let got = read(&std::fs::read(path).expect("readable"));
    assert_eq!(got.error, None, "{}", path.display());
    assert!(got.rejected.is_empty(), "{}: {:?}", path.display(), got.rejected);
    got
}

#[test]
fn traces_of_ten_frameworks() {
    for path in files("langfuse-framework-traces") {
        let got = read_file(&path);
        assert_eq!(got.format, Some(Format::Langfuse), "{}", path.display());
        let chats = got.spans.iter().filter(|(s, _)| {
            let is = |key: &str| attribute(s, key).is_some();
            is("gen_ai.request.model") || is("llm.model_name") || is("gen_ai.response.model")
        });
        assert!(chats.count() > 0, "{}: no model is named", path.display());
    }
}

#[test]
fn uber_traces_are_jaegers() {
    for path in files("uber-crisp") {
        let got = read(&std::fs::read(&path).expect("readable"));
        assert_eq!(got.format, Some(Format::JaegerJson), "{}: {:?}", path.display(), got.error);
        assert!(!got.spans.is_empty(), "{}", path.display());
    }
}

#[test]
fn sessions_and_their_judges() {
    let mut labels: BTreeMap<String, usize> = BTreeMap::new();
    for path in files("tau2-bench") {
        let got = read_file(&path);
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with("judge_") && name.contains("jsonl") {
            assert_eq!((got.format, got.verdicts.len()), (Some(Format::Tau2Judge), 50), "{name}");
            for verdict in &got.verdicts {
                *labels.entry(verdict.evaluator.clone().unwrap_or_default()).or_default() +=
                    usize::from(verdict.label.as_deref() == Some("pass"));
            }
        } else {
            assert_eq!(got.format, Some(Format::Tau2), "{name}");
            let roots = got.spans.iter().filter(|(s, _)| s["parentSpanId"] == "").count();
            assert_eq!(roots, got.verdicts.len(), "{name}: every session has a root and a reward");
        }
    }
    if !labels.is_empty() {
        let passed: Vec<(&str, usize)> = labels.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(
            passed,
            [
                ("customer_outcome_v1", 35),
                ("policy_chain_of_thought_v1", 10),
                ("policy_conversation_v1", 29),
                ("quick_triage_v1", 46)
            ]
        );
    }
}
