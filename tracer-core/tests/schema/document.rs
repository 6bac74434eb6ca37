//! docs/output.md beside the schema: below a heading with the name of each definition there is a table of its fields,
//! `| field | type | meaning |`, in the schema's words.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::super::stories;
use super::schema;

/// The lines below the heading that ends with this name, up to the next heading.
fn section<'a>(document: &'a str, name: &str) -> Vec<&'a str> {
    let is_heading = |line: &str| line.starts_with('#') && line.ends_with(&format!("# `{name}`"));
    let below = document.lines().skip_while(|line| !is_heading(line)).skip(1);
    below.take_while(|line| !line.starts_with('#')).collect()
}

/// A field's type as the document has it.
fn kind(property: &Value) -> String {
    if let Some(definition) = property["$ref"].as_str() {
        let name = definition.trim_start_matches("#/$defs/");
        return format!("[`{name}`](#{name})");
    }
    match &property["type"] {
        Value::String(name) if name == "array" => format!("array of {}", kind(&property["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => values(property).join(", "),
    }
}

/// The values that a field may have.
fn values(property: &Value) -> Vec<String> {
    let listed = property["enum"].as_array().cloned().unwrap_or_else(|| vec![property["const"].clone()]);
    listed.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect()
}

fn document() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/output.md")).unwrap()
}

#[test]
fn the_document_has_a_row_for_each_field_and_no_other() {
    let (schema, document) = (schema(), document());
    let mut wrong = Vec::new();
    for (definition, body) in schema["$defs"].as_object().unwrap() {
        let section = section(&document, definition);
        let fields = body["properties"].as_object().into_iter().flatten();
        let expected: BTreeSet<String> = fields
            .map(|(name, property)| {
                format!("| `{name}` | {} | {} |", kind(property), property["description"].as_str().unwrap())
            })
            .collect();
        let rows: BTreeSet<String> =
            section.iter().filter(|line| line.starts_with("| `")).map(ToString::to_string).collect();
        let (missing, stale) = (expected.difference(&rows), rows.difference(&expected));
        wrong.extend(missing.map(|row| format!("missing in {definition}: {row}")));
        wrong.extend(stale.map(|row| format!("not in the schema of {definition}: {row}")));
        let description = body["description"].as_str().unwrap();
        if !section.contains(&description) {
            wrong.push(format!("missing in {definition}: {description}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is printed as text or JSON in the document's examples.
fn examples(document: &str) -> Vec<String> {
    let is_example = |line: &&str| line.starts_with("    ");
    let mut examples = Vec::new();
    let mut lines = document.lines().peekable();
    while lines.peek().is_some() {
        let example: Vec<&str> = std::iter::from_fn(|| lines.next_if(is_example)).collect();
        if example.is_empty() {
            lines.next();
        } else {
            examples.push(example.iter().flat_map(|line| [&line[4..], "\n"]).collect());
        }
    }
    examples
}

#[test]
fn the_examples_are_what_a_story_tells() {
    let dropped = stories().into_iter().find(|written| written.path.ends_with("one_of_many_dropped.txt"));
    let told = dropped.unwrap().story().tell(&[Duration::ZERO]);
    let all = [told.events(), told.report(), told.json()].concat();
    let examples = examples(&document());
    assert!(examples.len() >= 3, "{} examples", examples.len());
    for example in examples {
        assert!(all.contains(&example), "no longer told:\n{example}\nbut:\n{all}");
    }
}

#[test]
fn a_field_that_may_be_absent_says_when() {
    for (definition, body) in schema()["$defs"].as_object().unwrap() {
        let required = body["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in body["properties"].as_object().into_iter().flatten() {
            let is_optional = !required.contains(&Value::from(name.as_str()));
            let says_when = property["description"].as_str().is_some_and(|text| text.contains("Absent "));
            assert_eq!(is_optional, says_when, "{definition}.{name}");
        }
    }
}

#[test]
fn a_field_in_nanoseconds_says_so() {
    for (definition, body) in schema()["$defs"].as_object().unwrap() {
        for (name, property) in body["properties"].as_object().into_iter().flatten() {
            let is_time = name == "ns" || name.ends_with("_ns");
            let description = property["description"].as_str().unwrap().to_lowercase();
            assert!(!is_time || description.contains("nanoseconds"), "{definition}.{name}");
        }
    }
}
