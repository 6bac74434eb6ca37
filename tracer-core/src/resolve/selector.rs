//! Label selectors, as `kubectl -l` takes them and as workloads write them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

/// Longest name, prefix aside, and longest value of a label.
const LONGEST: usize = 63;

/// Why a text is no selector.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("cannot understand the selector {text:?}: {problem}")]
pub struct SelectorError {
    /// As typed.
    pub text: String,
    /// What is wrong with it.
    pub problem: SelectorProblem,
}

/// What is wrong with a selector.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SelectorProblem {
    /// A requirement without a key.
    #[error("a label is missing (KEY=VALUE, KEY!=VALUE, KEY, !KEY, KEY in (A,B), KEY notin (A,B))")]
    NoKey,
    /// A key that no label can have.
    #[error("{0:?} is no label")]
    Key(String),
    /// A value that no label can have.
    #[error("{0:?} is no value of a label")]
    Value(String),
    /// A word where an operator should be.
    #[error("{0:?} is no operator (=, ==, !=, in, notin)")]
    Operator(String),
    /// A list of values that does not begin or end.
    #[error("{0} needs values in parentheses: (A,B)")]
    List(&'static str),
}

/// Requirements that labels meet all together; without any, every object is selected.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Requirement {
    key: String,
    rule: Rule,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Rule {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    IsAbsent,
}

impl Selector {
    /// Whether labels meet all requirements.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.rule {
                Rule::In(values) => value.is_some_and(|value| values.contains(value)),
                // One without the label has no value that is ruled out.
                Rule::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Rule::Exists => value.is_some(),
                Rule::IsAbsent => value.is_none(),
            }
        })
    }

    /// Whether it selects every object.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Keys that have to have one of some values.
    pub(super) fn wanted_keys(&self) -> impl Iterator<Item = &str> {
        let wanted = self.requirements.iter().filter(|each| matches!(each.rule, Rule::In(_)));
        wanted.map(|requirement| requirement.key.as_str())
    }

    pub(super) fn of_labels(labels: BTreeMap<String, String>) -> Self {
        let requirement = |(key, value)| Requirement { key, rule: Rule::In(BTreeSet::from([value])) };
        Self { requirements: labels.into_iter().map(requirement).collect() }
    }
}

/// How the API writes the selector of a workload.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelSelector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Deserialize)]
struct Expression {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl From<LabelSelector> for Selector {
    fn from(selector: LabelSelector) -> Self {
        let mut all = Self::of_labels(selector.match_labels);
        all.requirements.extend(selector.match_expressions.into_iter().map(|expression| Requirement {
            key: expression.key,
            rule: match expression.operator {
                Operator::In => Rule::In(expression.values),
                Operator::NotIn => Rule::NotIn(expression.values),
                Operator::Exists => Rule::Exists,
                Operator::DoesNotExist => Rule::IsAbsent,
            },
        }));
        all
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let requirements: Result<_, _> = parts(text).into_iter().map(requirement).collect();
        let refused = |problem| SelectorError { text: text.to_owned(), problem };
        Ok(Self { requirements: requirements.map_err(refused)? })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, rule }) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let list = |values: &BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>().join(",");
            match rule {
                Rule::In(values) if values.len() == 1 => write!(f, "{comma}{key}={}", list(values)),
                Rule::NotIn(values) if values.len() == 1 => write!(f, "{comma}{key}!={}", list(values)),
                Rule::In(values) => write!(f, "{comma}{key} in ({})", list(values)),
                Rule::NotIn(values) => write!(f, "{comma}{key} notin ({})", list(values)),
                Rule::Exists => write!(f, "{comma}{key}"),
                Rule::IsAbsent => write!(f, "{comma}!{key}"),
            }?;
        }
        Ok(())
    }
}

/// The requirements of a text: what commas outside of parentheses divide.
fn parts(text: &str) -> Vec<&str> {
    let mut is_inside = false;
    text.split(|letter| {
        match letter {
            '(' => is_inside = true,
            ')' => is_inside = false,
            _ => {}
        }
        letter == ',' && !is_inside
    })
    .collect()
}

fn requirement(text: &str) -> Result<Requirement, SelectorProblem> {
    let text = text.trim();
    if let Some(key) = text.strip_prefix('!') {
        return Ok(Requirement { key: label(key)?, rule: Rule::IsAbsent });
    }
    // In this order: each of them holds the one after.
    for sign in ["!=", "==", "="] {
        if let Some((key, value)) = text.split_once(sign) {
            let values = BTreeSet::from([self::value(value)?]);
            let rule = if sign == "!=" { Rule::NotIn(values) } else { Rule::In(values) };
            return Ok(Requirement { key: label(key)?, rule });
        }
    }
    let end = text.find(|letter: char| letter.is_whitespace() || letter == '(').unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    let key = label(key)?;
    let rest = rest.trim();
    if rest.is_empty() {
        return Ok(Requirement { key, rule: Rule::Exists });
    }
    let end = rest.find(|letter: char| letter.is_whitespace() || letter == '(').unwrap_or(rest.len());
    let (operator, list) = rest.split_at(end);
    let rule = match operator {
        "in" => Rule::In(values("in", list)?),
        "notin" => Rule::NotIn(values("notin", list)?),
        other => return Err(SelectorProblem::Operator(other.to_owned())),
    };
    Ok(Requirement { key, rule })
}

fn values(operator: &'static str, list: &str) -> Result<BTreeSet<String>, SelectorProblem> {
    let inner = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')'));
    inner.ok_or(SelectorProblem::List(operator))?.split(',').map(value).collect()
}

/// `[prefix/]name`, as labels are called.
fn label(text: &str) -> Result<String, SelectorProblem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(SelectorProblem::NoKey);
    }
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_prefix = |prefix: &str| {
        let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-.".contains(&letter);
        !prefix.is_empty() && prefix.bytes().all(is_letter)
    };
    let is_fine = !name.is_empty() && is_word(name) && prefix.is_none_or(is_prefix);
    if is_fine { Ok(text.to_owned()) } else { Err(SelectorProblem::Key(text.to_owned())) }
}

fn value(text: &str) -> Result<String, SelectorProblem> {
    let text = text.trim();
    if is_word(text) { Ok(text.to_owned()) } else { Err(SelectorProblem::Value(text.to_owned())) }
}

/// Letters, digits, `-`, `_` and `.`, the first and the last one a letter or digit; also nothing at all.
fn is_word(text: &str) -> bool {
    let is_edge = |letter: Option<u8>| letter.is_none_or(|letter| letter.is_ascii_alphanumeric());
    text.len() <= LONGEST
        && text.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter))
        && is_edge(text.bytes().next())
        && is_edge(text.bytes().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn requirements_are_those_of_kubectl() {
        let cases = [
            ("", "app=web", true),
            ("app=web", "app=web", true),
            ("app==web", "app=web", true),
            ("app=web", "app=db", false),
            ("app=web", "", false),
            ("app!=web", "app=db", true),
            ("app!=web", "", true),
            ("app!=web", "app=web", false),
            ("app", "app=web", true),
            ("app", "tier=front", false),
            ("!app", "tier=front", true),
            ("!app", "app=web", false),
            ("app in (web, db)", "app=db", true),
            ("app in (web,db)", "app=cache", false),
            ("app in(web)", "app=web", true),
            ("app notin (web,db)", "app=db", false),
            ("app notin (web,db)", "", true),
            ("app in (web,db),tier=front", "app=web tier=front", true),
            ("app in (web,db),tier=front", "app=web tier=back", false),
            (" app = web , tier ", "app=web tier=front", true),
            ("app.kubernetes.io/name=web", "app.kubernetes.io/name=web", true),
            ("app=", "app=", true),
        ];
        for (text, of, expected) in cases {
            let selector: Selector = text.parse().unwrap();
            assert_eq!(selector.matches(&labels(of)), expected, "{text:?} of {of:?}");
            let again: Selector = selector.to_string().parse().unwrap();
            assert_eq!(again, selector, "{text:?} is written as {selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        let cases = [
            ("app=we b", "\"we b\" is no value"),
            ("app=web,", "a label is missing"),
            ("=web", "a label is missing"),
            ("app in web", "in needs values in parentheses"),
            ("app in (web", "in needs values in parentheses"),
            ("app like (web)", "\"like\" is no operator"),
            ("app>3", "\"app>3\" is no label"),
            ("-app", "\"-app\" is no label"),
            ("app/=web", "\"app/\" is no label"),
        ];
        for (text, said) in cases {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(said) && error.contains(&format!("{text:?}")), "{error}");
        }
        assert!(format!("app={}", "x".repeat(64)).parse::<Selector>().is_err());
    }
}
