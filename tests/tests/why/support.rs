//! What the tests have in common.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tests::{
    Kflow, Lab, Namespace,
    kflow::{self, KflowError, Told},
    lab::topology::{POD_DEST, POD_SRC},
};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
pub(crate) type Test = Result<()>;

/// `kflow trace -o json` of what passes between the two pods, with these words.
pub(crate) fn trace(lab: &Lab, words: &[&str]) -> std::result::Result<Kflow, KflowError> {
    let ends = [POD_SRC.name, POD_DEST.name, "-o", "json"].into_iter().chain(words.iter().copied());
    let arguments = ["trace".into()].into_iter().chain(lab.kflow_node_args()).chain(ends.map(OsString::from));
    Kflow::tracing(&kflow::program(), arguments)
}

/// The flow to a port that carried most.
pub(crate) fn largest(told: &Told, port: u16) -> &Value {
    let payload = |flow: &&Value| {
        ["forward", "reply"].iter().filter_map(|lane| flow[*lane]["payload_bytes"].as_u64()).sum::<u64>()
    };
    let flows = told.flows.iter().filter(|flow| flow["destination"]["port"] == port);
    flows.max_by_key(payload).unwrap_or_else(|| panic!("no flow to port {port}: {:#?}", told.flows))
}

/// A whole number of a JSON value.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// The elements of a JSON array.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The sum of `packets` over the elements of an array that fulfil a condition.
pub(crate) fn packets(of: &Value, is_meant: impl Fn(&Value) -> bool) -> u64 {
    list(of).iter().filter(|each| is_meant(each)).map(|each| number(&each["packets"])).sum()
}

/// A server of iperf3 that serves one test; killed when it is dropped.
pub(crate) struct Iperf {
    child: Child,
}

impl Iperf {
    /// Starts it in a namespace; it accepts connections when this returns.
    pub(crate) fn serve(ns: &Namespace) -> Result<Self> {
        let mut command = Command::new("iperf3");
        command.args(["-s", "-1", "--forceflush"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = ns.spawn(&mut command)?;
        let mut said = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        while !line.starts_with("Server listening") {
            line.clear();
            if said.read_line(&mut line)? == 0 {
                return Err("iperf3 ended before it listened".into());
            }
        }
        // What it says further goes nowhere, and must not fill the pipe.
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        Ok(Self { child })
    }
}

impl Drop for Iperf {
    fn drop(&mut self) {
        // After its one test it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
