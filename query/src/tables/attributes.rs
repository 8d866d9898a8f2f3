//! Files that no row of which can meet a condition on an attribute, by the tokens of their sidecars: `service_name = 'a'`,
//! `attributes['k'] = 'v'`, `attr(resource_attributes, 'k') IN ('v', 'w')`.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Operator};
use plimsoll_store::lake::{Sidecar, Tokenized};

/// One of these values is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    column: String,
    /// Of a map; empty elsewhere.
    key: String,
    values: Vec<String>,
}

impl Condition {
    /// False only if no row of the file meets it.
    pub fn may_hold(&self, sidecar: &Sidecar) -> bool {
        self.values.iter().any(|value| sidecar.may_hold_value(&self.column, &self.key, value))
    }
}

/// What all of the filters together ask of attributes, as far as tokens tell.
pub fn conditions(filters: &[Expr]) -> Vec<Condition> {
    filters.iter().flat_map(split_conjunction).filter_map(condition).collect()
}

fn condition(expr: &Expr) -> Option<Condition> {
    let (place, values) = match expr {
        Expr::BinaryExpr(binary) if binary.op == Operator::Eq => match text(&binary.right) {
            Some(value) => (place(&binary.left), vec![value]),
            None => (place(&binary.right), vec![text(&binary.left)?]),
        },
        Expr::InList(list) if !list.negated => {
            (place(&list.expr), list.list.iter().map(text).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let (column, key) = place?;
    let values = values.into_iter().map(str::to_owned).collect();
    Some(Condition { column: column.to_owned(), key: key.to_owned(), values })
}

/// A column of text, or an entry of a map.
fn place(expr: &Expr) -> Option<(&str, &str)> {
    match expr {
        Expr::Column(column) if Tokenized::of(&column.name) == Some(Tokenized::Text) => {
            Some((&column.name, ""))
        }
        // Text as another kind of text: any other type may write the same value in another way.
        Expr::Cast(cast) if is_text(cast.field.data_type()) => place(&cast.expr),
        Expr::ScalarFunction(call) if matches!(call.name(), "attr" | "get_field") => {
            let [Expr::Column(column), key] = call.args.as_slice() else { return None };
            let is_map = Tokenized::of(&column.name) == Some(Tokenized::Map);
            is_map.then_some((column.name.as_str(), text(key)?))
        }
        _ => None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => ScalarValue::try_as_str(value).flatten(),
        _ => None,
    }
}
