//! Whether what `kflow doctor` says of this machine is what was found.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::found::{Failure, Found, Grade, Known, ensure};

/// A check of `kflow doctor`, and the feature that it is about.
const SAME: [(&str, &str); 5] = [
    ("programs", "programs"),
    ("clsact", "clsact"),
    ("tcx", "tcx"),
    ("drops", "drop reasons"),
    ("libpcap", "filter"),
];
/// What has to work wherever all checks pass.
const ABILITIES: [&str; 4] = ["capture", "capture_filter", "trace", "trace_namespaces"];

/// Its checks against the features, its abilities, its exit code.
pub(crate) fn agrees(kflow: &Path, known: &Known) -> Result<Found, Failure> {
    let output = Command::new(kflow).args(["doctor", "--json"]).output()?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure(output.status.code() == Some(0), || {
        format!("code {:?}: {}", output.status.code(), report["verdict"])
    })?;
    let state = |name: &str| {
        let checks = report["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let check = checks.iter().find(|check| check["name"] == name);
        check.and_then(|check| check["state"].as_str()).unwrap_or("absent").to_owned()
    };
    for (check, feature) in SAME {
        let Some(grade) = known.grade(feature) else { continue };
        let (works, said) = (grade == Grade::Ok, state(check));
        ensure(works == (said == "ok"), || format!("{check} is {said}, and {feature} was {}", grade.name()))?;
    }
    for name in ABILITIES {
        let abilities = report["abilities"].as_array().map(Vec::as_slice).unwrap_or_default();
        let works = abilities.iter().any(|ability| ability["name"] == name && ability["works"] == true);
        ensure(works, || format!("{name} does not work: {}", report["verdict"]))?;
    }
    let lacking = report["checks"].as_array().into_iter().flatten().filter(|check| check["state"] != "ok");
    let lacking: Vec<String> = lacking
        .map(|check| {
            format!(
                "{} {}",
                check["name"].as_str().unwrap_or_default(),
                check["state"].as_str().unwrap_or_default()
            )
        })
        .collect();
    Ok(Found::ok(lacking.join(", ")))
}
