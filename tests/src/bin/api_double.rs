//! `api_double`: a lab with an API server in front of it, to try kflow's cluster commands on by hand.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use tests::{
    Lab, LabConfig,
    cluster::{ApiDouble, DoubleConfig, Rule, User},
    ending::Ending,
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
    let ending = Ending::take()?;
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
    ending.wait()?;
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
