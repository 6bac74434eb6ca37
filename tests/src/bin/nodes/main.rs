//! What a client takes that many nodes stream to, measured once: `cargo xtask bench nodes` runs this several times.
//!
//! A double of an API server stands for the nodes. Their streams are made before and compressed as agents do, and played
//! at their pace; the client is the real one, alone on the last core. What is printed is one line of JSON.

#![expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]

mod client;
mod heard;
mod site;
mod streams;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use tests::cores;
use tokio::sync::watch;

use client::Client;
use site::Site;
use streams::Streams;

type Failure = Box<dyn std::error::Error>;

/// Measures a client that nodes stream to. Needs root.
#[derive(Parser)]
struct Arguments {
    /// How many nodes, an even number.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u8).range(2..=128))]
    nodes: u8,
    /// What each node sees in a second.
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// How long.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// What the client does.
    #[arg(long, value_enum, default_value_t = What::Lines)]
    what: What,
    /// A folder for the kubeconfig and what is written.
    #[arg(long)]
    folder: PathBuf,
    /// The program kflow.
    #[arg(long)]
    kflow: PathBuf,
}

/// What the client does with the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// `kflow capture`: a line for each.
    Lines,
    /// `kflow capture -w`: one file.
    File,
    /// `kflow trace`: flows, and a line for what happens to them.
    Trace,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("nodes: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// How long the streams have after their last part until the client is asked to end.
const SETTLE: Duration = Duration::from_millis(200);
/// How long they may be late in all before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

fn run(arguments: &Arguments) -> Result<Value, Failure> {
    cores::first()?;
    let pairs = arguments.nodes / 2;
    let (begin, known) = watch::channel(None);
    let streams = Streams::make(pairs, arguments.rate, arguments.seconds, &known)?;
    let site = Site::up(pairs, &streams, &arguments.folder)?;
    let client = Client::start(arguments, pairs, site.kubeconfig())?;
    let before = client.used()?;
    let at = Instant::now();
    client.begin(at);
    begin.send_replace(Some(at));
    let end = at + Duration::from_secs(arguments.seconds);
    thread::sleep(end + SETTLE - Instant::now());
    let used = client.used()? - before;
    while !streams.are_played() && end.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    let took = at.elapsed().as_secs_f64();
    let memory = client.memory()?;
    let told = client.stop()?;
    Ok(json!({
        "nodes": arguments.nodes,
        "rate": arguments.rate,
        "observations": streams.observations(),
        "bytes": streams.bytes(),
        "used": used,
        "processor": told.processor - before,
        "took": took,
        "memory": memory,
        "late": streams.latest().as_secs_f64(),
        "taken": told.taken,
        "lines": told.lines,
        "latency": told.latency.map(|[median, p99, most]| json!({ "median": median, "p99": p99, "max": most })),
        "code": told.code,
    }))
}
