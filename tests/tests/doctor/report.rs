//! What `kflow doctor --json` said.

use std::process::{Command, Output};

use serde_json::Value;

use crate::scene::Netns;

pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    pub(crate) json: Value,
}

impl Report {
    /// Runs it inside a namespace.
    pub(crate) fn inside(netns: &Netns, command: &mut Command) -> Self {
        Self::of(&netns.run(command))
    }

    pub(crate) fn of(output: &Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        assert_eq!(stderr, "");
        Self { code: output.status.code(), json }
    }

    pub(crate) fn check(&self, name: &str) -> &Value {
        let mut checks = self.json["checks"].as_array().unwrap().iter();
        checks.find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}"))
    }

    pub(crate) fn state(&self, name: &str) -> &str {
        self.check(name)["state"].as_str().unwrap()
    }

    pub(crate) fn remedy(&self, name: &str) -> &str {
        self.check(name)["remedy"].as_str().unwrap_or_else(|| panic!("no remedy: {}", self.json))
    }

    pub(crate) fn works(&self, name: &str) -> bool {
        self.ability(name)["works"].as_bool().unwrap()
    }

    /// What stands in the way of something.
    pub(crate) fn blockers(&self, name: &str) -> Vec<&str> {
        self.ability(name)["blockers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
    }

    fn ability(&self, name: &str) -> &Value {
        let mut abilities = self.json["abilities"].as_array().unwrap().iter();
        abilities.find(|ability| ability["name"] == name).unwrap_or_else(|| panic!("no ability {name}"))
    }

    /// Names of a list's entries, in order.
    pub(crate) fn names(&self, list: &str) -> Vec<&str> {
        self.json[list].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
    }
}
