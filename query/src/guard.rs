//! The one guard that every statement passes: it only reads, and planning can bear its size.
//!
//! Size is judged on tokens, before parsing: a flat chain of a few thousand operators overflows the stack of
//! whoever walks its tree (datafusion#22229).

use datafusion::common::DataFusionError;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Query, SetExpr, Statement as SqlStatement, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::ops::ControlFlow;

use crate::error::QueryError;

/// Bytes of one statement: far above what people write, below what stalls the parser.
pub const TEXT_BYTES_MAX: usize = 256 << 10;
/// Operators, set operations and joins of one statement.
pub const OPERATORS_MAX: usize = 1_000;
/// Nesting of parentheses.
pub const DEPTH_MAX: usize = 100;

const ALLOWED: &str = "SELECT, EXPLAIN, SHOW and DESCRIBE";

/// Parses `sql` and answers the statement if it is one that only reads.
pub fn check(sql: &str) -> Result<Statement, QueryError> {
    bound(sql)?;
    let invalid = |e: DataFusionError| QueryError::from(e);
    let mut statements =
        DFParserBuilder::new(sql).build().and_then(|mut p| p.parse_statements()).map_err(invalid)?;
    let statement = statements.pop_front().ok_or_else(|| {
        QueryError::Invalid("the statement is empty; try SELECT count(*) FROM spans".into())
    })?;
    if !statements.is_empty() {
        return Err(QueryError::Refused(
            "one statement at a time, please: there is text after the first ;".into(),
        ));
    }
    reads_only(&statement)?;
    Ok(statement)
}

fn bound(sql: &str) -> Result<(), QueryError> {
    if sql.len() > TEXT_BYTES_MAX {
        let problem = format!("the statement is {} bytes long; the limit is {TEXT_BYTES_MAX}", sql.len());
        return Err(QueryError::Refused(problem));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize()
        .map_err(|e| QueryError::Invalid(format!("SQL: {e}")))?;
    let (mut operators, mut depth, mut deepest) = (0_usize, 0_usize, 0_usize);
    for token in &tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            other => operators += usize::from(is_operator(other)),
        }
    }
    if operators > OPERATORS_MAX {
        return Err(QueryError::Refused(format!(
            "the statement has {operators} operators; the limit is {OPERATORS_MAX}; \
             a long OR chain can be written as column IN (…)"
        )));
    }
    if deepest > DEPTH_MAX {
        let problem = format!("the statement nests {deepest} parentheses; the limit is {DEPTH_MAX}");
        return Err(QueryError::Refused(problem));
    }
    Ok(())
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::XOR
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::JOIN
                | Keyword::CASE
                | Keyword::WHEN
                | Keyword::SELECT
                | Keyword::AT
                | Keyword::COLLATE
        ),
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::Whitespace(_)
        | Token::Comma
        | Token::SemiColon
        | Token::Period
        | Token::EOF => false,
        _ => true,
    }
}

fn reads_only(statement: &Statement) -> Result<(), QueryError> {
    let refused = |what: String| {
        let word = what.split_whitespace().next().unwrap_or("this").to_uppercase();
        QueryError::Refused(format!("{word} is not allowed here: only {ALLOWED} are, which change nothing"))
    };
    match statement {
        Statement::Explain(explain) => reads_only(&explain.statement),
        Statement::Statement(sql) => match &**sql {
            SqlStatement::Query(query) => query_reads_only(query),
            SqlStatement::Explain { statement, .. } => reads_only(&Statement::Statement(statement.clone())),
            SqlStatement::ExplainTable { .. }
            | SqlStatement::ShowTables { .. }
            | SqlStatement::ShowColumns { .. }
            | SqlStatement::ShowFunctions { .. }
            | SqlStatement::ShowVariable { .. }
            | SqlStatement::ShowSchemas { .. }
            | SqlStatement::ShowDatabases { .. } => Ok(()),
            other => Err(refused(other.to_string())),
        },
        other => Err(refused(other.to_string())),
    }
}

/// A query may hide a writing statement in a CTE, a subquery or `SELECT … INTO`.
fn query_reads_only(query: &Query) -> Result<(), QueryError> {
    struct Writes;
    impl Visitor for Writes {
        type Break = &'static str;

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<&'static str> {
            match &*query.body {
                SetExpr::Insert(_) => ControlFlow::Break("INSERT"),
                SetExpr::Update(_) => ControlFlow::Break("UPDATE"),
                SetExpr::Delete(_) => ControlFlow::Break("DELETE"),
                SetExpr::Merge(_) => ControlFlow::Break("MERGE"),
                SetExpr::Select(select) if select.into.is_some() => ControlFlow::Break("SELECT INTO"),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    match query.visit(&mut Writes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(what) => Err(QueryError::Refused(format!(
            "{what} is not allowed here: only {ALLOWED} are, which change nothing"
        ))),
    }
}

#[cfg(test)]
mod tests;
