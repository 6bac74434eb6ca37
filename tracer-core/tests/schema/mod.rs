//! What is printed as JSON is what the schema says, and docs/output.md explains all of it.

mod document;
mod judged;

use std::collections::BTreeSet;
use std::time::Duration;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};
use tracer_core::loss::{BrokenStream, LossReport};
use tracer_core::output;
use tracer_core::report::Report;

use super::stories;

const SCHEMA: &str = include_str!("../../schema/trace.schema.json");

/// The schema as it stands.
fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// Each line that the stories tell, from captures of our own and of other tools, and the summary of a trace of which
/// a capture broke off, which no story is about.
fn lines() -> Vec<Value> {
    let told = stories().into_iter().flat_map(|written| {
        let story = written.story();
        [story.tell(&[Duration::ZERO]).json(), story.tell_foreign().json()]
    });
    let told = told.chain([broken_off(), judged::told()]);
    told.flat_map(|told| told.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>())
        .collect()
}

fn broken_off() -> String {
    let broken = BrokenStream { node: "node1".to_owned(), reason: "eth0: it ended".to_owned() };
    let loss = LossReport { broken_streams: vec![broken], ..LossReport::default() };
    let report = Report {
        flows: Vec::new(),
        others: 0,
        nearest: Vec::new(),
        clock_steps: Vec::new(),
        missing_evidence: Vec::new(),
        loss,
    };
    let mut told = Vec::new();
    output::json::report(&mut told, &report).unwrap();
    String::from_utf8(told).unwrap()
}

/// Tells whether a line fits the schema.
struct Validator {
    schemas: Schemas,
    trace: SchemaIndex,
}

impl Validator {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("urn:kflow:trace", schema()).unwrap();
        let trace = compiler.compile("urn:kflow:trace", &mut schemas).unwrap();
        Self { schemas, trace }
    }

    /// Why a line does not fit; absent where it does.
    fn refusal(&self, line: &Value) -> Option<String> {
        self.schemas.validate(line, self.trace).err().map(|error| format!("{line}\n{error:#}"))
    }
}

/// Every name of a field, at any depth.
fn names(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            into.insert(name.clone());
            names(value, into);
        }),
        Value::Array(values) => values.iter().for_each(|value| names(value, into)),
        _ => {}
    }
}

/// Copies of a line, each with one field more in one of its objects.
fn with_a_field_more(line: &Value) -> Vec<Value> {
    let mut copies = Vec::new();
    let mut pointers = vec![String::new()];
    while let Some(pointer) = pointers.pop() {
        match line.pointer(&pointer).unwrap() {
            Value::Object(fields) => {
                pointers.extend(fields.keys().map(|name| format!("{pointer}/{name}")));
                let mut copy = line.clone();
                copy.pointer_mut(&pointer).unwrap()["undocumented"] = json!(1);
                copies.push(copy);
            }
            Value::Array(values) => {
                pointers.extend((0..values.len()).map(|index| format!("{pointer}/{index}")));
            }
            _ => {}
        }
    }
    copies
}

#[test]
fn every_line_fits_the_schema() {
    let validator = Validator::new();
    let wrong: Vec<String> = lines().iter().filter_map(|line| validator.refusal(line)).collect();
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong[..wrong.len().min(3)].join("\n\n"));
}

#[test]
fn a_field_that_is_not_in_the_schema_is_refused() {
    let (validator, lines) = (Validator::new(), lines());
    for kind in ["event", "flow", "summary"] {
        let line = lines.iter().find(|line| line["type"] == kind).unwrap();
        let copies = with_a_field_more(line);
        assert!(copies.len() > 1);
        for copy in copies {
            assert!(validator.refusal(&copy).is_some(), "{copy}");
        }
    }
}

#[test]
fn every_field_of_the_schema_is_told_in_some_story() {
    let mut told = BTreeSet::new();
    for line in lines() {
        names(&line, &mut told);
    }
    let schema = schema();
    let mut missing = BTreeSet::new();
    for (definition, body) in schema["$defs"].as_object().unwrap() {
        let fields = body["properties"].as_object().into_iter().flatten();
        missing.extend(
            fields.filter(|(name, _)| !told.contains(*name)).map(|(name, _)| format!("{definition}.{name}")),
        );
    }
    assert!(missing.is_empty(), "{missing:?}");
}
