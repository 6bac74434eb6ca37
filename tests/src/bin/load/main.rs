//! What a capture costs those who send, measured once: `cargo xtask bench` runs this several times.
//!
//! Each command makes network namespaces of its own, which go with this process, and prints one line of JSON.

#![expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]

mod attach;
mod capture;
mod flood;
mod floor;
mod net;
mod pods;
mod stream;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, ValueEnum};
use serde_json::{Value, json};
use tests::cores;

use capture::{Capture, Tool};

type Failure = Box<dyn std::error::Error>;

/// Measures what captures cost. Needs root.
#[derive(Parser)]
enum Arguments {
    /// Datagrams from a sender that never waits, over a link that is captured on, by one tool after the other, and over
    /// one that is not.
    Flood {
        /// How many datagrams.
        #[arg(long, default_value_t = 1_000_000)]
        count: u64,
        /// Bytes of a frame.
        #[arg(long, default_value_t = 1442)]
        frame: usize,
        /// All of them over the link that is captured on, without pause: what a capture loses then.
        #[arg(long)]
        alone: bool,
        /// Interfaces of pods beside it, which kflow is attached to as well.
        #[arg(long, default_value_t = 0)]
        pods: u32,
        #[command(flatten)]
        captured: Captured,
    },
    /// A TCP stream of iperf3, likewise.
    Stream {
        /// How many bytes.
        #[arg(long, default_value_t = 60_000_000)]
        bytes: u64,
        #[command(flatten)]
        captured: Captured,
    },
    /// From the start of a capture on many interfaces to its readiness, and from SIGINT to its end.
    Attach {
        /// Interfaces, an even number.
        #[arg(long, default_value_t = 250)]
        interfaces: u32,
        /// How kflow attaches.
        #[arg(long, default_value = "auto")]
        mode: String,
        /// The program kflow.
        #[arg(long)]
        kflow: PathBuf,
    },
    /// A node with the interfaces of so many pods: what captures and traces take there until they are ready, and to end.
    Pods {
        /// How many pods.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        pods: u32,
        /// Which of them.
        #[arg(long, value_enum)]
        what: pods::What,
        /// The program kflow.
        #[arg(long)]
        kflow: PathBuf,
    },
    /// What this machine takes at least: for reading the clock, and for copying bytes.
    Floor {
        /// The program kflow, which is not needed.
        #[arg(long)]
        kflow: Option<PathBuf>,
    },
    /// From the start of each tool on the loopback interface to its readiness.
    Start {
        /// The program kflow.
        #[arg(long)]
        kflow: PathBuf,
    },
}

/// What is captured, and how.
#[derive(Args)]
struct Captured {
    /// Bytes kept of a packet; 0 for all.
    #[arg(long, default_value_t = 96)]
    snap: u32,
    /// A filter expression.
    #[arg(long)]
    filter: Option<String>,
    /// Captures where packets go out or come in.
    #[arg(long, value_enum, default_value_t = Side::Sender)]
    side: Side,
    /// A folder for the captures.
    #[arg(long)]
    folder: PathBuf,
    /// The program kflow.
    #[arg(long)]
    kflow: PathBuf,
}

/// An end of the veth pair.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Sender,
    Receiver,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("load: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<Value, Failure> {
    match arguments {
        Arguments::Flood { count, frame, alone, pods, captured } => {
            let flood = flood::Flood::new(count, frame, alone)?;
            pods::add(&flood.pair.sender, &flood.pair.receiver, pods)?;
            in_turn(&captured, &flood.pair, (pods > 0).then_some(pods::PATTERN), || flood.run())
        }
        Arguments::Stream { bytes, captured } => {
            let stream = stream::Stream::new(bytes)?;
            in_turn(&captured, &stream.pair, None, || stream.run())
        }
        Arguments::Attach { interfaces, mode, kflow } => attach::many(&kflow, interfaces, &mode),
        Arguments::Pods { pods, what, kflow } => pods::measure(&kflow, pods, what),
        Arguments::Floor { .. } => Ok(floor::measure()),
        Arguments::Start { kflow } => attach::start(&kflow),
    }
}

/// What a load took.
struct Load {
    /// Packets over the link that is captured on.
    packets: u64,
    turns: Vec<Turn>,
}

/// The same on both links, one after the other.
struct Turn {
    /// Seconds of the processor for the link that is captured on.
    watched: f64,
    /// For the other one.
    bare: f64,
    packets: u64,
}

impl Load {
    /// What a packet takes longer where it is captured, nanoseconds; what it takes elsewhere.
    ///
    /// The outermost tenths of the turns do not count: something else was done in them.
    fn added(&self) -> (f64, f64) {
        let each = |seconds: f64, turn: &Turn| seconds * 1e9 / turn.packets as f64;
        let added = self.turns.iter().map(|turn| each(turn.watched - turn.bare, turn)).collect();
        let bare = self.turns.iter().map(|turn| each(turn.bare, turn)).collect();
        (trimmed_mean(added), trimmed_mean(bare))
    }
}

fn trimmed_mean(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let cut = values.len() / 10;
    let kept = &values[cut..values.len() - cut];
    kept.iter().sum::<f64>() / kept.len() as f64
}

/// Once with kflow, once with tcpdump.
fn in_turn(
    captured: &Captured,
    pair: &net::Pair,
    beside: Option<&str>,
    load: impl Fn() -> Result<Load, Failure>,
) -> Result<Value, Failure> {
    let (net, interface) = match captured.side {
        Side::Sender => (&pair.sender, net::WATCHED.sender),
        Side::Receiver => (&pair.receiver, net::WATCHED.receiver),
    };
    let mut result = json!({});
    for tool in [Tool::Kflow(&captured.kflow), Tool::Tcpdump] {
        let file = captured.folder.join(format!("load-{}.capture", tool.name()));
        let capture =
            Capture { tool, snap: captured.snap, filter: captured.filter.as_deref(), file: &file, beside };
        let running = net.inside(|| capture.start(interface))??;
        let load = load();
        let told = running.stop()?;
        let load = load?;
        let (added, bare) = load.added();
        result[tool.name()] = json!({
            "packets": load.packets,
            "bare": bare,
            "added": added,
            "processor": told.processor * 1e9 / load.packets as f64,
            "memory": told.memory,
            "captured": told.captured,
            "received": told.received,
            "dropped": told.dropped,
        });
    }
    Ok(result)
}
