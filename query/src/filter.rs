//! The filter grammar of the HTTP API: `key op value` terms joined by ` and `, as SQL over one of the tables.
//!
//! Values never reach SQL but as literals that are quoted here; keys only as columns from a fixed list, or as text
//! within the attribute functions.

use plimsoll_schemas::objective::duration;
use plimsoll_schemas::{Attr, UnixNanos};

use crate::error::QueryError;

/// One term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    key: String,
    op: &'static str,
    value: String,
}

impl Term {
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl std::fmt::Display for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{}", self.key, self.op, self.value)
    }
}

/// Over which table a filter is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Traces,
    /// The same for whoever looks for one: a service is that of any span, not only of a run.
    Found,
    /// Spans of traces that did not settle, grouped under the name and columns of `traces`.
    Unsettled,
    StageRuns,
    Edges,
    /// Of a rollup, which knows the keys of a slice.
    Cells,
}

const OPERATORS: [&str; 7] = ["!=", ">=", "<=", "=", ">", "<", "~"];
const TERMS_MAX: usize = 32;
const DAY_NS: i64 = 86_400_000_000_000;

/// Parses a filter; an empty one has no terms.
pub fn parse(text: &str) -> Result<Vec<Term>, QueryError> {
    let mut terms = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_at(rest.find(|c: char| "!<>=~ ".contains(c)).unwrap_or(rest.len()));
        let after = after.trim_start();
        let op = OPERATORS.into_iter().find(|op| after.starts_with(op)).ok_or_else(|| {
            invalid(format!("after {key:?} there should be one of = != > >= < <= ~, as in stage=inference"))
        })?;
        let (value, after) = value(after[op.len()..].trim_start())?;
        if key.is_empty() || value.is_empty() {
            return Err(invalid(format!("{rest:?} lacks a key or a value, as in stage=inference")));
        }
        terms.push(Term { key: key.to_owned(), op, value });
        let after = after.trim_start();
        rest = match after.get(..4) {
            Some(and) if and.eq_ignore_ascii_case("and ") => after[4..].trim_start(),
            _ if after.is_empty() => "",
            _ => return Err(invalid(format!("terms are joined by \" and \"; found {after:?}"))),
        };
    }
    if terms.len() > TERMS_MAX {
        return Err(invalid(format!("at most {TERMS_MAX} terms")));
    }
    Ok(terms)
}

/// A bare word, or text in double quotes with `\"` and `\\`; and what follows.
fn value(text: &str) -> Result<(String, &str), QueryError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    Err(invalid(format!("a quote is not closed: {text}")))
}

fn invalid(problem: String) -> QueryError {
    QueryError::Invalid(format!("filter: {problem}"))
}

/// `AND …` for a `WHERE` over the table; empty for no terms.
pub fn sql(terms: &[Term], over: Over) -> Result<String, QueryError> {
    conditions(terms, over, "")
}

/// The same for traces that began at `start` or later: what a term asks of their spans and runs is not looked for in all of time.
pub fn sql_since(terms: &[Term], over: Over, start: UnixNanos) -> Result<String, QueryError> {
    conditions(terms, over, &format!(" AND x.start_unix_nano >= {}", parts_since(start)))
}

/// Before which no part of a trace that began at `start` or later is looked for: clocks differ, and what begins a trace is
/// not always what was first in it.
pub fn parts_since(start: UnixNanos) -> i64 {
    start.0.saturating_sub(DAY_NS)
}

fn conditions(terms: &[Term], over: Over, parts: &str) -> Result<String, QueryError> {
    let mut sql = String::new();
    for term in terms {
        sql.push_str(" AND ");
        sql.push_str(&condition(term, over, parts)?);
    }
    Ok(sql)
}

/// Text as an SQL literal.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `parts` bounds rows `x` of a trace's parts.
fn condition(term: &Term, over: Over, parts: &str) -> Result<String, QueryError> {
    let key = term.key.as_str();
    // Traces are told apart by tenant too: clients choose trace ids.
    let any = |table: &str, condition: String| {
        let same = "x.tenant = traces.tenant AND x.trace_id = traces.trace_id";
        format!("EXISTS (SELECT 1 FROM {table} x WHERE {same}{parts} AND {condition})")
    };
    match (key, over) {
        ("service", Over::Found | Over::Unsettled) => Ok(any("spans", text("x.service_name", term))),
        (_, Over::Found) => condition(term, Over::Traces, parts),
        ("trace_id", Over::Cells) => Err(invalid("trace_id cannot be filtered by here".into())),
        ("trace_id" | "tenant" | "workload_class" | "model" | "hardware", _) => Ok(text(key, term)),
        ("outcome", Over::Traces | Over::Unsettled | Over::StageRuns) => Ok(text(key, term)),
        ("driver" | "runtime" | "model_digest" | "tokenizer_digest", Over::Traces | Over::StageRuns) => {
            Ok(text(key, term))
        }
        ("concurrency", Over::Traces | Over::StageRuns) => number(key, term, false),
        ("task_id" | "session_id", Over::Traces) => Ok(text(key, term)),
        // What settling will find is not known yet.
        (
            "driver" | "runtime" | "model_digest" | "tokenizer_digest" | "concurrency" | "task_id",
            Over::Unsettled,
        ) => Ok("false".to_owned()),
        ("stage" | "service", Over::StageRuns) => Ok(text(key, term)),
        ("name", Over::StageRuns) => Ok(text("name", term)),
        ("service", Over::Edges) => Ok(text("caller", term)),
        ("caller" | "callee" | "operation", Over::Edges) => Ok(text(key, term)),
        ("stage" | "service", Over::Traces) => Ok(any("stage_runs", text(&format!("x.{key}"), term))),
        // Not every span is a run.
        ("name", Over::Traces | Over::Unsettled) => Ok(any("spans", text("x.name", term))),
        ("stage", Over::Unsettled) => Ok(any("spans", text("x.stage", term))),
        ("kind", Over::Traces | Over::Unsettled) => Ok(any("spans", text("x.kind", term))),
        ("root_service" | "root_name", Over::Traces | Over::Unsettled) => Ok(text(key, term)),
        ("status", Over::Traces | Over::Unsettled) => match term.value.as_str() {
            "error" => Ok(format!("error_count {} 0", if term.op == "!=" { "=" } else { ">" })),
            "ok" => Ok(format!("error_count {} 0", if term.op == "!=" { ">" } else { "=" })),
            other => Err(invalid(format!("status is ok or error, not {other:?}"))),
        },
        ("duration", Over::Traces | Over::Unsettled | Over::StageRuns) => number("duration_ns", term, true),
        ("queue", Over::Traces | Over::Unsettled) => number("path_queue_ns", term, true),
        ("queue", Over::StageRuns) => number("queue_ns", term, true),
        ("wasted", Over::Traces | Over::Unsettled) => number("wasted_ns", term, true),
        ("attempts" | "retries", Over::Traces | Over::Unsettled) => number(key, term, false),
        ("attempts", Over::StageRuns) => number(key, term, false),
        ("errors", Over::Traces | Over::Unsettled | Over::StageRuns) => number("error_count", term, false),
        (_, Over::Traces | Over::Unsettled)
            if key.starts_with("attributes.") || key.starts_with("resource.") =>
        {
            Ok(any("spans", attribute(term)))
        }
        _ => Err(invalid(format!("{key:?} cannot be filtered by here"))),
    }
}

fn attribute(term: &Term) -> String {
    text(&attribute_value(&term.key), term)
}

/// The text of `attributes.NAME` or `resource.NAME` of a row `x` of `spans`.
pub fn attribute_value(key: &str) -> String {
    let (promoted, name, map) = match key.split_once('.') {
        Some(("resource", "service.name")) => return "x.service_name".to_owned(),
        Some(("resource", name)) => (Attr::resource(name), name, "resource_attributes"),
        Some((_, name)) => (Attr::span(name), name, "attributes"),
        None => (None, "", "attributes"),
    };
    match promoted {
        Some(attr) => format!("CAST(x.{} AS VARCHAR)", attr.info().column),
        None => format!("attr(x.{map}, {})", quote(name)),
    }
}

fn text(column: &str, term: &Term) -> String {
    let value = quote(&term.value);
    match term.op {
        "~" => format!("{column} ~ {value}"),
        // Unknown differs from every value.
        "!=" => format!("{column} IS DISTINCT FROM {value}"),
        op => format!("{column} {op} {value}"),
    }
}

fn number(column: &str, term: &Term, is_duration: bool) -> Result<String, QueryError> {
    let value = match term.value.parse::<i64>() {
        Ok(n) => Some(n),
        Err(_) if is_duration => duration(&term.value).map(|d| d.0),
        Err(_) => None,
    };
    let value = value.ok_or_else(|| {
        let example = if is_duration { "250ms or 2s" } else { "3" };
        invalid(format!("{} takes a value such as {example}, got {:?}", term.key, term.value))
    })?;
    match term.op {
        "~" => Err(invalid(format!("{} is a number: ~ does not apply", term.key))),
        "!=" => Ok(format!("{column} <> {value}")),
        op => Ok(format!("{column} {op} {value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(filter: &str, expected: &str) {
        let sql = parse(filter).and_then(|terms| sql(&terms, Over::StageRuns)).expect("valid");
        assert_eq!(sql, expected, "{filter}");
    }

    #[test]
    fn terms_become_conditions() {
        check("", "");
        check("stage=inference", " AND stage = 'inference'");
        check(r#"service="a b" and duration >= 250ms"#, " AND service = 'a b' AND duration_ns >= 250000000");
        check("model!=x'y", " AND model IS DISTINCT FROM 'x''y'");
        check("name~^chat", " AND name ~ '^chat'");
    }

    #[test]
    fn mistakes_are_named() {
        for (filter, part) in [
            ("stage", "one of ="),
            ("stage=", "lacks"),
            ("stage=a or x=b", "joined by"),
            ("color=red", "cannot be filtered"),
            ("duration=fast", "250ms"),
            ("name=\"x", "not closed"),
        ] {
            let error = parse(filter).and_then(|t| sql(&t, Over::StageRuns)).expect_err(filter).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
