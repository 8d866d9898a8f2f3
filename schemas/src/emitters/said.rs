//! What one span says, put together: which attributes its emitter left unsaid, and what their values are by what it said
//! in its own words.

use std::sync::LazyLock;

use super::reading;
use super::{Alias, EMITTERS, Key, Reading};
use crate::attr::{Attr, Value};

/// Google ADK's span over the calls of one turn: what it covers is already there, call by call.
const MERGED_TOOLS: &str = "(merged tools)";

/// The span's own words, beside its attributes.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub scope: &'a str,
    pub name: &'a str,
}

/// Takes notes of a span's attributes and tells what they amount to. Used again from span to span.
#[derive(Debug, Default)]
pub struct Said<'a> {
    noted: Vec<(u16, &'static Alias, Value<'a>)>,
    added: Vec<Attr>,
}

impl<'a> Said<'a> {
    pub fn clear(&mut self) {
        self.noted.clear();
        self.added.clear();
    }

    /// An attribute that was sent. `is_kept`: it stands in its own column. Its value is asked for where it says something else.
    #[inline]
    pub fn note(&mut self, key: &'static Key, is_kept: bool, value: impl FnOnce() -> Option<Value<'a>>) {
        if !key.says.is_empty() && (!is_kept || key.says_more) {
            self.note_more(key, is_kept, value);
        }
    }

    fn note_more(&mut self, key: &'static Key, is_kept: bool, value: impl FnOnce() -> Option<Value<'a>>) {
        let more = key.says.iter().filter(|(_, alias)| !is_kept || key.says_more(alias));
        if let Some(value) = value() {
            self.noted.extend(more.map(|(rank, alias)| (*rank, alias, value)));
        }
    }

    /// Calls `put` for each attribute and its value, which answers whether there was room; the operation is put here too when
    /// it was sent as such. Answers the operation that was sent and is not what was put, so that it can be kept elsewhere.
    pub fn resolve(
        &mut self,
        about: About<'a>,
        mut put: impl FnMut(Attr, Value<'a>) -> bool,
    ) -> Option<&'a str> {
        self.noted.sort_by_key(|(rank, _, _)| *rank);
        let sent = self.words(Attr::GenAiOperationName, true).next();
        let by_name = by_name(about);
        if self.noted.is_empty() && by_name.is_none() {
            return None;
        }
        let (operation, star) = self.operation(sent, by_name);
        for at in 0..self.noted.len() {
            let (_, alias, value) = self.noted[at];
            let speaks = alias.of.is_empty() || operation.is_some_and(|o| alias.of.contains(&o));
            let fits = speaks && alias.reading != Reading::Operation;
            if fits && let Some(value) = alias.reading.read(value, alias.target) {
                self.add(alias.target, value, &mut put);
            }
        }
        match operation {
            Some("execute_tool") => {
                let tool = star.unwrap_or(about.name);
                if !tool.is_empty() {
                    self.add(Attr::GenAiToolName, Value::Str(tool), &mut put);
                }
            }
            Some("invoke_agent") => {
                if let Some(agent) = star {
                    self.add(Attr::GenAiAgentName, Value::Str(agent), &mut put);
                }
            }
            _ => {}
        }
        if let Some(operation) = operation {
            let is_put = put(Attr::GenAiOperationName, Value::Str(operation));
            if is_put && sent != Some(operation) {
                self.added.push(Attr::GenAiOperationName);
            }
        }
        sent.filter(|sent| operation != Some(*sent))
    }

    /// The attributes that were put, though they were not sent so.
    pub fn added(&self) -> &[Attr] {
        &self.added
    }

    fn add(&mut self, attr: Attr, value: Value<'a>, put: &mut impl FnMut(Attr, Value<'a>) -> bool) {
        if put(attr, value) {
            self.added.push(attr);
        }
    }

    /// What was said of an attribute, in the conventions' name or in others.
    fn words(&self, target: Attr, conventional: bool) -> impl Iterator<Item = &'a str> {
        let noted = self.noted.iter().filter(move |(_, alias, _)| {
            alias.target == target && (alias.key == target.info().name) == conventional
        });
        noted.filter_map(|(_, _, value)| match value {
            Value::Str(text) if !text.is_empty() => Some(*text),
            _ => None,
        })
    }

    /// What is done, and whom or what the span's name names.
    fn operation(
        &self,
        sent: Option<&'a str>,
        by_name: Option<(&'static str, Option<&'a str>)>,
    ) -> (Option<&'a str>, Option<&'a str>) {
        let tools = self
            .noted
            .iter()
            .filter(|(_, alias, _)| alias.target == Attr::GenAiToolName && alias.reading == Reading::Name);
        let mut tools = tools.filter_map(|(_, alias, value)| alias.reading.read(*value, alias.target));
        let tool = tools.find_map(|value| if let Value::Str(tool) = value { Some(tool) } else { None });
        let mcp = self.words(Attr::McpMethodName, true).next();
        // A word of the conventions' own attribute that nobody knows is an operation all the same.
        let by_sent = sent.map(|word| reading::operation(word).unwrap_or(word)).filter(|o| !o.is_empty());
        let by_others = || {
            let mut operations = self.words(Attr::GenAiOperationName, false).filter_map(reading::operation);
            operations.find(|o| !o.is_empty())
        };
        let operation: Option<&'a str> = by_sent
            .or_else(by_others)
            .or(by_name.map(|(operation, _)| operation))
            .or((mcp == Some("tools/call")).then_some("execute_tool"))
            .or((mcp.is_none() && tool.is_some()).then_some("execute_tool"));
        let star = by_name.filter(|(by_name, _)| Some(*by_name) == operation).and_then(|(_, star)| star);
        if operation == Some("execute_tool") && tool.or(star) == Some(MERGED_TOOLS) {
            return (None, None);
        }
        (operation, star)
    }
}

/// A [`super::Named`], taken apart at its `*`.
#[derive(Clone, Copy)]
struct Pattern {
    scope: &'static str,
    begin: &'static str,
    /// `None`: nothing follows, the beginning is all of it.
    end: Option<&'static str>,
    operation: &'static str,
}

/// For each first byte of a span's name, what the name may be like: most are like none.
static PATTERNS: LazyLock<[Vec<Pattern>; 256]> = LazyLock::new(|| {
    let named = EMITTERS.iter().flat_map(|e| e.names);
    let patterns = named.map(|named| {
        let (begin, end) = match named.name.split_once('*') {
            Some((begin, end)) => (begin, Some(end)),
            None => (named.name, None),
        };
        Pattern { scope: named.scope, begin, end, operation: named.operation }
    });
    let patterns: Vec<Pattern> = patterns.collect();
    let may_begin = |pattern: &&Pattern, byte| {
        pattern.begin.bytes().next().is_none_or(|begin| usize::from(begin) == byte)
    };
    std::array::from_fn(|byte| patterns.iter().filter(|pattern| may_begin(pattern, byte)).copied().collect())
});

impl Pattern {
    /// What stands in the name for the `*`, if the name is like it.
    fn matches<'a>(&self, about: About<'a>) -> Option<Option<&'a str>> {
        let rest = about.name.strip_prefix(self.begin)?;
        if !about.scope.starts_with(self.scope) {
            return None;
        }
        match self.end {
            None => rest.is_empty().then_some(None),
            Some(end) => Some(Some(rest.strip_suffix(end)?).filter(|star| !star.is_empty())),
        }
    }
}

/// What the span's name tells, and what stands in it for the `*`.
fn by_name(about: About<'_>) -> Option<(&'static str, Option<&str>)> {
    let first = about.name.bytes().next().unwrap_or_default();
    let mut patterns = PATTERNS[usize::from(first)].iter();
    patterns.find_map(|pattern| Some((pattern.operation, pattern.matches(about)?)))
}

#[cfg(test)]
mod tests {
    use super::super::key;
    use super::*;

    /// What a span amounts to, by column, and the operation that stays aside.
    fn said<'a>(
        scope: &'a str,
        name: &'a str,
        sent: &[(&'static str, Value<'a>)],
    ) -> (Vec<(&'static str, Value<'a>)>, Option<&'a str>) {
        let mut said = Said::default();
        let mut columns: Vec<(Attr, Value<'a>)> = Vec::new();
        for (name, value) in sent {
            let key = key(name.as_bytes()).expect("known");
            let kept = key.column.filter(|c| *c != Attr::GenAiOperationName);
            let kept = kept.filter(|c| Reading::Number.read(*value, *c).is_none_or(|v| v == *value));
            columns.extend(kept.map(|c| (c, *value)));
            said.note(key, kept.is_some(), || Some(*value));
        }
        let aside = said.resolve(About { scope, name }, |attr, value| {
            let is_free = columns.iter().all(|(a, _)| *a != attr);
            if is_free {
                columns.push((attr, value));
            }
            is_free
        });
        let added = |a: Attr| said.added().contains(&a) || a == Attr::GenAiOperationName;
        let columns = columns.into_iter().filter(|(a, _)| added(*a));
        let mut columns: Vec<_> = columns.map(|(a, v)| (a.info().name, v)).collect();
        columns.sort_by_key(|(name, _)| *name);
        (columns, aside)
    }

    #[test]
    fn what_was_sent_is_not_said_again() {
        let sent = [("gen_ai.operation.name", Value::Str("chat")), ("gen_ai.request.model", Value::Str("m"))];
        let (added, aside) = said("", "chat m", &[sent[0], sent[1], ("llm.model_name", Value::Str("other"))]);
        assert_eq!(added, [sent[0]]);
        assert_eq!(aside, None);
    }

    #[test]
    fn another_word_for_an_operation_is_kept_aside() {
        let (added, aside) = said("langsmith", "search", &[("gen_ai.operation.name", Value::Str("tool"))]);
        let expected = [
            ("gen_ai.operation.name", Value::Str("execute_tool")),
            ("gen_ai.tool.name", Value::Str("search")),
        ];
        assert_eq!(added, expected);
        assert_eq!(aside, Some("tool"));
        let (added, aside) = said("x", "x", &[("gen_ai.operation.name", Value::Str("dream"))]);
        assert_eq!(added, [("gen_ai.operation.name", Value::Str("dream"))]);
        assert_eq!(aside, None);
    }

    #[test]
    fn merged_tools_are_no_call() {
        let merged = ("gen_ai.tool.name", Value::Str("(merged tools)"));
        let operation = ("gen_ai.operation.name", Value::Str("execute_tool"));
        let (added, aside) = said("gcp.vertex.agent", "execute_tool (merged tools)", &[operation, merged]);
        assert_eq!(added, []);
        assert_eq!(aside, Some("execute_tool"));
    }

    #[test]
    fn names_speak_only_in_their_scope() {
        let (added, _) = said("pydantic-ai", "joke_agent run", &[]);
        let agent = ("gen_ai.agent.name", Value::Str("joke_agent"));
        assert_eq!(added, [agent, ("gen_ai.operation.name", Value::Str("invoke_agent"))]);
        assert_eq!(said("mine", "test run", &[]).0, []);
    }

    #[test]
    fn an_entity_is_a_tool_only_where_a_tool_is_called() {
        let entity = ("traceloop.entity.name", Value::Str("search"));
        let (added, _) = said("", "search.tool", &[("traceloop.span.kind", Value::Str("tool")), entity]);
        assert!(added.contains(&("gen_ai.tool.name", Value::Str("search"))));
        let (added, _) = said("", "search.task", &[("traceloop.span.kind", Value::Str("task")), entity]);
        assert_eq!(added, []);
    }
}
