//! Label and field selectors, and the query of a request.

use serde_json::Value;

use super::answer::Refusal;

/// Words behind the question mark, decoded, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    /// The first value; absent where it is empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn all(&self, key: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| matches!(value, "true" | "1"))
    }
}

/// Percent-encoding and plus signs undone.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let coded =
            rest.first_chunk::<2>().and_then(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok());
        match (first, coded) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &rest[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Which objects of a list are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    /// Absent where only the presence of the key counts.
    values: Option<Vec<String>>,
    is_wanted: bool,
}

/// Fields that pods and others can be selected by, and where they are.
const FIELDS: [(&str, &str); 4] = [
    ("metadata.name", "/metadata/name"),
    ("metadata.namespace", "/metadata/namespace"),
    ("spec.nodeName", "/spec/nodeName"),
    ("status.phase", "/status/phase"),
];

impl Selection {
    pub(super) fn of(query: &Query) -> Result<Self, Refusal> {
        let labels = terms(query.get("labelSelector").unwrap_or_default());
        let fields = query.get("fieldSelector").unwrap_or_default();
        let fields =
            fields.split(',').filter(|term| !term.is_empty()).map(field).collect::<Result<_, _>>()?;
        Ok(Self { labels: labels.iter().map(|term| requirement(term)).collect(), fields })
    }

    pub(super) fn takes(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|each| each.holds(labels[&each.key].as_str()))
            && self.fields.iter().all(|(pointer, is_wanted, value)| {
                (object.pointer(pointer).and_then(Value::as_str).unwrap_or_default() == value) == *is_wanted
            })
    }
}

impl Requirement {
    fn holds(&self, label: Option<&str>) -> bool {
        let is_met = match (&self.values, label) {
            (Some(values), Some(label)) => values.iter().any(|value| value == label),
            (None, label) => label.is_some(),
            (Some(_), None) => false,
        };
        is_met == self.is_wanted
    }
}

/// At the commas that are in no parentheses.
fn terms(selector: &str) -> Vec<String> {
    let mut depth = 0;
    let parts = selector.split(|letter| {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && depth == 0
    });
    parts.map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
}

fn requirement(term: &str) -> Requirement {
    let one = |(key, value): (&str, &str), is_wanted| Requirement {
        key: key.trim().to_owned(),
        values: Some(vec![value.trim().to_owned()]),
        is_wanted,
    };
    let set = |(key, values): (&str, &str), is_wanted| Requirement {
        key: key.trim().to_owned(),
        values: Some(
            values.trim().trim_matches(['(', ')']).split(',').map(|each| each.trim().to_owned()).collect(),
        ),
        is_wanted,
    };
    if let Some(pair) = term.split_once(" notin ") {
        return set(pair, false);
    }
    if let Some(pair) = term.split_once(" in ") {
        return set(pair, true);
    }
    if let Some(pair) = term.split_once("!=") {
        return one(pair, false);
    }
    if let Some(pair) = term.split_once("==").or_else(|| term.split_once('=')) {
        return one(pair, true);
    }
    Requirement {
        key: term.trim_start_matches('!').to_owned(),
        values: None,
        is_wanted: !term.starts_with('!'),
    }
}

fn field(term: &str) -> Result<(String, bool, String), Refusal> {
    let unequal = term.split_once("!=").map(|pair| (pair, false));
    let pair = unequal.or_else(|| term.split_once('=').map(|pair| (pair, true)));
    let ((key, value), is_wanted) = pair.unwrap_or(((term, ""), true));
    let known = FIELDS.into_iter().find(|(name, _)| *name == key);
    let (_, pointer) = known.ok_or_else(|| Refusal::bad(format!("field label not supported: {key}")))?;
    Ok((pointer.to_owned(), is_wanted, value.trim_start_matches('=').to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Query, Selection};

    #[test]
    fn selectors_are_read_as_kubectl_writes_them() {
        let object = json!({ "metadata": { "name": "a", "labels": { "app": "web", "tier": "front" } } });
        for (selector, is_taken) in [
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app!=web", false),
            ("app in (web, db),tier", true),
            ("app notin (web)", false),
            ("!app", false),
            ("!zone", true),
            ("zone!=x", true),
        ] {
            let query = Query(vec![("labelSelector".to_owned(), selector.to_owned())]);
            assert_eq!(Selection::of(&query).unwrap().takes(&object), is_taken, "{selector}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("command=sh&command=-c&labelSelector=app%3Dweb%2Cx&watch=1&continue=");
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["sh", "-c"]);
        assert_eq!(query.get("labelSelector"), Some("app=web,x"));
        assert!(query.is_true("watch"));
        assert_eq!(query.get("continue"), None);
    }
}
