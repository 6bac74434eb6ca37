//! Who asked nodes for what is noted where the environment names a log.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tests::{Namespace, kflow};

use crate::support::Test;

/// A log that is removed with its folder.
struct Noted(PathBuf);

impl Noted {
    fn new(name: &str) -> Result<Self, std::io::Error> {
        let folder = std::env::temp_dir().join(format!("kflow-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        File::create(folder.join("log"))?;
        Ok(Self(folder))
    }

    fn run(&self, words: &[&str]) -> Result<Vec<Value>, Box<dyn std::error::Error>> {
        let log = self.0.join("log");
        let output = Command::new(kflow::program()).args(words).env("KFLOW_AUDIT", &log).output()?;
        assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
        let text = fs::read_to_string(&log)?;
        Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn evidence_has_a_line_at_its_beginning_and_its_end() -> Test {
    let noted = Noted::new("evidence")?;
    let namespace = Namespace::create(format!("ke-{}", std::process::id()))?;
    let path = namespace.path().to_string_lossy().into_owned();
    let words = ["evidence", "--node", "n1", "--netns", &path, "--address", "10.1.2.3", "--for-user", "jane"];
    let lines = noted.run(&words)?;
    let [begin, end] = &lines[..] else { panic!("{lines:?}") };
    for (line, event) in [(begin, "begin"), (end, "end")] {
        assert_eq!(
            (&line["audit"], &line["what"], &line["user"]),
            (&json!(event), &json!("evidence"), &json!("jane"))
        );
        assert_eq!(line["session"], begin["session"]);
    }
    assert_eq!((&begin["node"], &begin["netns"]), (&json!("n1"), &json!(path)));
    assert_eq!(begin["addresses"], json!(["10.1.2.3"]));
    assert!(end["bytes"].as_u64() > Some(1000) && end["error"].is_null(), "{end}");
    Ok(())
}

#[test]
fn interfaces_have_a_line_where_an_agent_lists_them() -> Test {
    let noted = Noted::new("ifaces")?;
    let lines = noted.run(&["ifaces", "--here", "-o", "json", "--for-user=jane"])?;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(
        (&line["audit"], &line["what"], &line["user"]),
        (&json!("end"), &json!("ifaces"), &json!("jane"))
    );
    assert!(line["namespaces"].as_u64() >= Some(1), "{line}");
    Ok(())
}
