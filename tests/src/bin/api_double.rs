//! `api_double`: a lab with an API server in front of it, to try kflow's cluster commands on by hand.

use std::{io, os::fd::AsFd as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::SignalFd,
    },
};
use tests::{
    Lab, LabConfig,
    cluster::{ApiDouble, DoubleConfig, Rule, User},
    lab::topology::{POD_DEST, POD_PORT, POD_SRC},
    traffic::HttpServer,
};

/// A lab of three nodes and two pods with a double of a Kubernetes API server; ends at Ctrl-C or the end of input.
#[derive(Parser)]
struct Arguments {
    /// The program that agents run [default: the `kflow` beside this program]
    #[arg(long)]
    program: Option<PathBuf>,
    /// Print every request to standard error, at the end
    #[arg(long)]
    verbose: bool,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match up(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("api_double: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn up(arguments: Arguments) -> Result<(), Failure> {
    // Before there are threads, so that no thread takes the signal.
    let mut ending = SigSet::empty();
    ending.extend([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    ending.thread_block()?;
    let lab = Lab::up(&LabConfig::default())?;
    let _server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
    let program = arguments.program.unwrap_or_else(tests::kflow::program);
    let users = vec![User::admin(), User::new("nobody", []), User::new("viewer", [viewer()])];
    let double = ApiDouble::on(
        &lab,
        DoubleConfig { program, users, anonymous: Some(User::admin()), ..DoubleConfig::default() },
    )?;
    let path = lab.directory().join("kubeconfig");
    double.kubeconfig(&path)?;
    println!("export KUBECONFIG={}", path.display());
    println!("# contexts: admin, nobody (no rights), viewer (reads everything)");
    let source = lab.pod(POD_SRC.name).path().display();
    println!("# nsenter --net={source} curl -so /dev/null http://{}:{POD_PORT}/bytes/1000", POD_DEST.address);
    wait(&SignalFd::new(&ending)?)?;
    if arguments.verbose {
        let requests = double.requests();
        let first = requests.first().map(|entry| entry.at);
        for entry in &requests {
            let at = first.map(|first| entry.at.duration_since(first)).unwrap_or_default();
            let (method, path, query) = (&entry.method, &entry.path, &entry.query);
            eprintln!("{at:>12.3?} {} {} {method} {path} {query}", entry.user, entry.status);
        }
    }
    Ok(())
}

fn viewer() -> Rule {
    Rule::everywhere("*", &["*"], &["get", "list", "watch"])
}

/// Until a signal comes or standard input ends.
fn wait(signals: &SignalFd) -> io::Result<()> {
    let stdin = io::stdin();
    loop {
        let mut waiting = [signals.as_fd(), stdin.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        poll(&mut waiting, PollTimeout::NONE)?;
        let [signalled, typed] = waiting.map(|fd| fd.any().unwrap_or_default());
        if signalled || (typed && stdin.read_line(&mut String::new())? == 0) {
            return Ok(());
        }
    }
}
