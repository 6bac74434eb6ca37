//! Where and with what a run was made.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::Result;
use serde_json::{Value, json};

use crate::step::output;
use crate::workspace::{Workspace, find_program};

/// Above so many processes that run on average when it begins, a machine is busy with something else.
const BUSY: f64 = 0.5;

/// The machine, its kernel and the versions of what was run; no name of it.
pub(super) fn about(workspace: &Workspace, load: f64) -> Result<Value> {
    let first_line = |program: &Path, flag: &str| {
        let text = output(Command::new(program).arg(flag))?;
        anyhow::Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    };
    let mut versions = json!({});
    for (name, program) in [("tcpdump", find_program("tcpdump")), ("tshark", find_program("tshark"))] {
        if let Some(program) = program {
            versions[name] = first_line(&program, "--version")?.into();
        }
    }
    let kflow = env::var_os("KFLOW").map_or_else(|| workspace.target().join("release/kflow"), PathBuf::from);
    if kflow.exists() {
        let text = output(Command::new(&kflow).arg("--version"))?;
        let lines: Vec<_> = text.lines().take(2).collect();
        versions["kflow"] = lines.join(", ").into();
    }
    versions["rustc"] = first_line("rustc".as_ref(), "--version")?.into();
    Ok(json!({
        "date": today()?,
        "processor": processor(),
        "cores": thread::available_parallelism().map_or(1, usize::from),
        "kernel": kernel(),
        "load before": load,
        "busy": load > BUSY,
        "versions": versions,
    }))
}

/// Processes that run, on average over the last minute (proc(5)).
pub(super) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

fn today() -> Result<String> {
    Ok(output(Command::new("date").args(["--utc", "+%F"]))?.trim().to_owned())
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned()).unwrap_or_default()
}

fn kernel() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What a distributor or an owner adds behind the version is none of the kernel's.
    text.trim().split('-').next().unwrap_or_default().to_owned()
}
