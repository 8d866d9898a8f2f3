//! Real traces of ten agent frameworks, imported, against what Langfuse itself made of them: whatever the dialect, SQL finds the
//! model calls, their models and tokens, and the tools, in the same columns.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::harness::plimsoll;

/// What Langfuse shows of one observation.
#[derive(Debug, PartialEq)]
struct Shown {
    model: Option<String>,
    input: Option<i64>,
    output: Option<i64>,
}

#[test]
fn ten_dialects_become_one() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/langfuse-framework-traces");
    if !data.is_dir() {
        eprintln!("skipped: {} is not there", data.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    let done = plimsoll().arg("import").arg(&data).arg("--home").arg(&home).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let statement = "SELECT span_id, name, gen_ai_operation_name, gen_ai_request_model, gen_ai_response_model, gen_ai_usage_input_tokens, \
         gen_ai_usage_output_tokens, gen_ai_tool_name FROM spans";
    let asked = plimsoll().args(["sql", statement, "--format", "json", "--home"]).arg(&home).output();
    let answer: Value = serde_json::from_slice(&asked.expect("it runs").stdout).expect("JSON");
    let rows: Vec<Vec<Value>> = serde_json::from_value(answer["rows"].clone()).expect("rows");
    let rows: BTreeMap<&str, &Vec<Value>> =
        rows.iter().map(|row| (row[0].as_str().expect("an id"), row)).collect();
    let (mut model_calls, mut tool_calls) = (0, 0);
    for entry in std::fs::read_dir(&data).expect("a folder") {
        let path = entry.expect("a file").path();
        let file: Value = serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("JSON");
        for observation in file["observations"].as_array().expect("observations") {
            let name = observation["name"].as_str().expect("a name");
            let about = format!("{}: {name}", path.display());
            let row = rows[observation["id"].as_str().expect("an id")];
            // Langfuse takes the AI SDK's loop over its calls for one more call.
            if name == "ai.generateText" {
                assert_eq!(row[2], "invoke_agent", "{about}");
                continue;
            }
            match observation["type"].as_str() {
                Some("GENERATION") => {
                    assert_eq!(row[2], "chat", "{about}");
                    let model = observation["model"].as_str().map(str::to_owned);
                    assert!(
                        [&row[3], &row[4]].iter().any(|m| m.as_str() == model.as_deref()),
                        "{about}: {row:?}"
                    );
                    let usage = &observation["usageDetails"];
                    let shown =
                        Shown { model, input: usage["input"].as_i64(), output: usage["output"].as_i64() };
                    let found =
                        Shown { model: shown.model.clone(), input: row[5].as_i64(), output: row[6].as_i64() };
                    assert_eq!(found, shown, "{about}");
                    model_calls += 1;
                }
                Some("TOOL") => {
                    assert_eq!(row[2], "execute_tool", "{about}");
                    let tool = row[7].as_str().expect("its name");
                    assert!(!tool.is_empty() && name.ends_with(tool), "{about}: {tool}");
                    tool_calls += 1;
                }
                Some("AGENT") => assert_eq!(row[2], "invoke_agent", "{about}"),
                _ => assert_ne!(row[2], "chat", "{about}"),
            }
        }
    }
    // Beside those that Langfuse marks there are tools of Agno and LangGraph, which it took for plain spans.
    assert_eq!((model_calls, tool_calls), (25, 11));
    let tools = rows.values().filter(|row| row[2] == "execute_tool").count();
    assert_eq!(tools, tool_calls + 2);
}
