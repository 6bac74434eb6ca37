//! What `kflow trace -o json` wrote, line by line.

use serde_json::Value;

use super::{KflowError, Outcome};

/// The JSON Lines of one trace, by their type.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What happened while it ran.
    pub events: Vec<Value>,
    /// The flows between the two ends.
    pub flows: Vec<Value>,
    /// The last line.
    pub summary: Value,
}

impl Outcome {
    /// Its standard output as JSON Lines.
    pub fn told(&self) -> Result<Told, KflowError> {
        let mut told = Told::default();
        for line in self.stdout.lines() {
            let value: Value = serde_json::from_str(line)
                .map_err(|source| KflowError::Line { line: line.to_owned(), source })?;
            match value["type"].as_str() {
                Some("event") => told.events.push(value),
                Some("flow") => told.flows.push(value),
                _ => told.summary = value,
            }
        }
        Ok(told)
    }
}
