//! Captures of a steady flow, looked at all the while: `cargo xtask soak` runs this.
//!
//! 1. 50,000 datagrams a second cross a veth pair between two namespaces of this program.
//! 2. Two kflows capture them: one into a ring of files, one prints a line for each.
//! 3. What each holds and has counted is sampled: memory, descriptors, kernel memory, packets seen and lost.
//! 4. It is flat, and everything is accounted for, or the exit code is 1.

#![expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
#![cfg_attr(
    test,
    expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "made-up memory is a small positive number"
    )
)]

mod flat;
mod table;
mod traffic;
mod verdict;
mod watched;

use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use tests::pair::Pair;

use crate::watched::{Sample, Watched};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PORT: u16 = 9;
/// Bytes kept of each packet.
const SNAP: &str = "96";
/// Size of a file (in millions of bytes) and how many there are: half of what the disk may be taken for.
const FILE: &str = "50";
const FILES: &str = "10";
/// Seconds between two samples of a run of at least ten minutes; shorter ones have as many.
const INTERVAL: f64 = 10.0;
const LEAST_SAMPLES: f64 = 60.0;

/// Captures of a steady flow, looked at all the while. Needs root.
#[derive(Parser)]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 3600)]
    seconds: u32,
    /// Packets a second.
    #[arg(long, default_value_t = 50_000)]
    rate: u32,
    /// A folder for the ring of files; made and emptied.
    #[arg(long)]
    folder: PathBuf,
    /// The program kflow.
    #[arg(long)]
    kflow: PathBuf,
}

fn main() -> ExitCode {
    let done = soak(&Arguments::parse());
    match done {
        Ok(wrong) if wrong.is_empty() => {
            println!("\nflat, and every packet accounted for");
            ExitCode::SUCCESS
        }
        Ok(wrong) => {
            for line in wrong {
                println!("not as it should be: {line}");
            }
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("soak: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// One run; returns what is not as it should be.
fn soak(arguments: &Arguments) -> Result<Vec<String>, Failure> {
    let pair = Pair::up()?;
    let (sender, sink) = pair.sockets(PORT)?;
    nix::sys::socket::setsockopt(&sink, nix::sys::socket::sockopt::RcvBuf, &0)?;
    let _ = fs::remove_dir_all(&arguments.folder);
    fs::create_dir_all(&arguments.folder)?;
    let file = arguments.folder.join("soak.pcapng").display().to_string();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let start = |name, words: &[String]| Watched::start(name, &arguments.kflow, &pair.near, words);
    let captures = [
        start("files", &words(&["-s", SNAP, "-w", &file, "-C", FILE, "-W", FILES]))?,
        start("lines", &words(&["-s", SNAP]))?,
    ];
    let (sent, samples) = watch(arguments, &sender, &captures)?;
    let mut wrong = Vec::new();
    for (capture, samples) in captures.into_iter().zip(&samples) {
        let name = capture.name;
        let told = capture.stop()?;
        println!("\n`kflow capture` to {name}\n\n{}", table::quarters(samples));
        wrong.extend(verdict::of(name, samples, told, sent.packets));
    }
    println!("sent: {} packets, {} ms left out", sent.packets, sent.missed);
    wrong.extend(verdict::files(&arguments.folder, &arguments.kflow)?);
    Ok(wrong)
}

/// Sends, and samples meanwhile.
fn watch(
    arguments: &Arguments,
    sender: &UdpSocket,
    captures: &[Watched; 2],
) -> Result<(traffic::Sent, [Vec<Sample>; 2]), Failure> {
    let is_over = AtomicBool::new(false);
    let (sent, samples) = thread::scope(|scope| {
        let sending = scope.spawn(|| traffic::send(sender, arguments.rate, &is_over));
        let samples = sample(arguments, captures, &arguments.folder);
        is_over.store(true, Ordering::Release);
        (sending.join(), samples)
    });
    Ok((sent.map_err(|_| "the sender failed")??, samples?))
}

fn sample(
    arguments: &Arguments,
    captures: &[Watched; 2],
    folder: &Path,
) -> Result<[Vec<Sample>; 2], Failure> {
    let seconds = f64::from(arguments.seconds);
    let interval = INTERVAL.min(seconds / LEAST_SAMPLES);
    let begin = Instant::now();
    let mut samples = [Vec::new(), Vec::new()];
    for number in 0_u32.. {
        let due = f64::from(number) * interval;
        if due > seconds {
            break;
        }
        thread::sleep(Duration::from_secs_f64(due).saturating_sub(begin.elapsed()));
        let at = begin.elapsed().as_secs_f64();
        for (capture, samples) in captures.iter().zip(&mut samples) {
            samples.push(capture.sample(at)?);
        }
        tell(at, captures, &samples, folder)?;
    }
    Ok(samples)
}

/// A line a sample, for who watches.
fn tell(at: f64, captures: &[Watched; 2], samples: &[Vec<Sample>; 2], folder: &Path) -> Result<(), Failure> {
    let mut line = format!("{at:7.0} s");
    for (capture, samples) in captures.iter().zip(samples) {
        let Some(last) = samples.last() else { continue };
        write!(
            line,
            "  {}: {} KiB resident, {} descriptors, {} KiB of maps, seen {}, lost {};",
            capture.name,
            last.held.resident,
            last.held.descriptors,
            last.held.map_bytes >> 10,
            last.counters.seen,
            last.counters.lost()
        )?;
    }
    println!("{line} {} MiB of files", verdict::disk(folder)? >> 20);
    Ok(())
}
