//! How long rows are kept: by table, tenant and slice, in whole days, and how many bytes of them at most. Not how they go:
//! that is the store's.

use serde::{Deserialize, Serialize};

use crate::SliceKey;
use crate::table::Table;

/// See the module's description. Nothing set: everything is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Days that a row is kept of which no rule speaks.
    pub keep_days: Option<u32>,
    /// Bytes of data files above which the oldest days go, however young.
    pub max_bytes: Option<u64>,
    /// The first that fits a row decides.
    pub rules: Vec<Rule>,
}

/// Rows that are kept for a time of their own. What a rule does not name it does not ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default, skip_serializing_if = "Option::is_none", with = "table_name")]
    pub table: Option<Table>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    pub keep_days: u32,
}

/// Whose row it is; `None` where it does not say, or its table does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Owner<'a> {
    pub tenant: &'a str,
    pub slice: crate::Slice<'a>,
}

impl Rule {
    fn slice(&self, key: SliceKey) -> Option<&str> {
        match key {
            SliceKey::WorkloadClass => self.workload_class.as_deref(),
            SliceKey::Model => self.model.as_deref(),
            SliceKey::Hardware => self.hardware.as_deref(),
        }
    }

    fn speaks_of_table(&self, table: Table) -> bool {
        self.table.is_none_or(|t| t == table)
    }

    fn speaks_of_all(&self) -> bool {
        self.tenant.is_none() && SliceKey::ALL.into_iter().all(|key| self.slice(key).is_none())
    }

    fn speaks_of(&self, owner: Owner<'_>) -> bool {
        self.tenant.as_deref().is_none_or(|tenant| tenant == owner.tenant)
            && SliceKey::ALL
                .into_iter()
                .all(|key| self.slice(key).is_none_or(|v| owner.slice.get(key) == Some(v)))
    }
}

/// Days for which rows of a table are kept; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub least: Option<u32>,
    pub most: Option<u32>,
}

impl Retention {
    /// Days that one row is kept; `None` is for ever.
    pub fn days(&self, table: Table, owner: Owner<'_>) -> Option<u32> {
        let own = self.days_of(table, owner);
        computed_of(table).iter().fold(own, |days, of| longer(days, self.days_of(*of, owner)))
    }

    fn days_of(&self, table: Table, owner: Owner<'_>) -> Option<u32> {
        let rule = self.rules.iter().find(|rule| rule.speaks_of_table(table) && rule.speaks_of(owner));
        rule.map_or(self.keep_days, |rule| Some(rule.keep_days))
    }

    /// Between which days any row of the table is kept, whoever's it is.
    pub fn span(&self, table: Table) -> Kept {
        let own = self.span_of(table);
        let others = computed_of(table).iter().map(|of| self.span_of(*of));
        others.fold(own, |all, of| Kept {
            least: shorter(all.least, of.least),
            most: longer(all.most, of.most),
        })
    }

    fn span_of(&self, table: Table) -> Kept {
        let rules: Vec<&Rule> = self.rules.iter().filter(|rule| rule.speaks_of_table(table)).collect();
        let last = rules.iter().position(|rule| rule.speaks_of_all());
        let mut all: Vec<Option<u32>> = rules
            .iter()
            .take(last.map_or(rules.len(), |at| at + 1))
            .map(|rule| Some(rule.keep_days))
            .collect();
        if last.is_none() {
            all.push(self.keep_days);
        }
        Kept {
            least: all.iter().copied().reduce(shorter).flatten(),
            most: all.iter().copied().reduce(longer).flatten(),
        }
    }
}

/// A rollup outlives what it was computed of: it could not be computed again, and would say that nothing ran where runs still are.
fn computed_of(table: Table) -> &'static [Table] {
    if table.is_rollup() { &[Table::StageRuns, Table::Traces] } else { &[] }
}

/// Of two times; none is for ever.
fn longer(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    Some(a?.max(b?))
}

fn shorter(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

mod table_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::table::Table;

    pub fn serialize<S: Serializer>(table: &Option<Table>, serializer: S) -> Result<S::Ok, S::Error> {
        match table {
            Some(table) => serializer.serialize_str(table.as_str()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Table>, D::Error> {
        let name = String::deserialize(deserializer)?;
        let table = Table::ALL.into_iter().find(|t| t.as_str() == name);
        table.map(Some).ok_or_else(|| {
            let names = Table::ALL.map(Table::as_str).join(", ");
            D::Error::custom(format!("no table is named {name:?}; there are {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(keep_days: Option<u32>, rules: &str) -> Retention {
        let rules = serde_norway::from_str(rules).expect("rules");
        Retention { keep_days, max_bytes: None, rules }
    }

    fn owner<'a>(tenant: &'a str, model: Option<&'a str>) -> Owner<'a> {
        Owner { tenant, slice: crate::Slice { model, ..crate::Slice::default() } }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let kept = rules(
            Some(30),
            "[{ table: spans, tenant: acme, keep_days: 90 }, { table: spans, keep_days: 7 }, { model: m, keep_days: 3 }]",
        );
        for (table, tenant, model, days) in [
            (Table::Spans, "acme", None, 90),
            (Table::Spans, "acme", Some("m"), 90),
            (Table::Spans, "other", Some("m"), 7),
            (Table::Traces, "other", Some("m"), 3),
            (Table::Traces, "other", None, 30),
            (Table::Verdicts, "acme", None, 30),
        ] {
            assert_eq!(kept.days(table, owner(tenant, model)), Some(days), "{table:?} {tenant} {model:?}");
        }
        // No row of spans is left to the default.
        assert_eq!(kept.span(Table::Spans), Kept { least: Some(7), most: Some(90) });
        assert_eq!(kept.span(Table::Traces), Kept { least: Some(3), most: Some(30) });
    }

    #[test]
    fn without_a_default_what_no_rule_names_is_kept() {
        let kept = rules(None, "[{ tenant: trial, keep_days: 1 }]");
        assert_eq!(kept.days(Table::Spans, owner("acme", None)), None);
        assert_eq!(kept.days(Table::Spans, owner("trial", None)), Some(1));
        assert_eq!(kept.span(Table::Spans), Kept { least: Some(1), most: None });
        assert_eq!(rules(None, "[]").span(Table::Spans), Kept { least: None, most: None });
    }

    #[test]
    fn a_rollup_outlives_what_it_was_computed_of() {
        let kept = rules(
            Some(30),
            "[{ table: stage_minutes, keep_days: 7 }, { table: stage_hours, keep_days: 400 }]",
        );
        assert_eq!(kept.days(Table::StageMinutes, owner("acme", None)), Some(30));
        assert_eq!(kept.days(Table::StageHours, owner("acme", None)), Some(400));
        assert_eq!(kept.span(Table::StageMinutes).most, Some(30));
        let kept = rules(Some(7), "[{ table: traces, keep_days: 90 }]");
        assert_eq!(kept.days(Table::StageHours, owner("acme", None)), Some(90));
        assert_eq!(kept.days(Table::StageRuns, owner("acme", None)), Some(7));
    }

    #[test]
    fn mistakes_say_what_is_expected() {
        let wrong = |text: &str| serde_norway::from_str::<Vec<Rule>>(text).expect_err("wrong").to_string();
        assert!(wrong("[{ table: span, keep_days: 1 }]").contains("there are spans, log_records"));
        assert!(wrong("[{ table: spans }]").contains("keep_days"));
        assert!(wrong("[{ team: a, keep_days: 1 }]").contains("unknown field `team`"));
    }
}
