//! `lab up`: a lab to try kflow on by hand. `lab sweep`: removes what a killed lab left.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tests::{
    Lab, LabConfig, Overlay,
    ending::Ending,
    lab::topology::{
        K8S_MASTER, K8S_NODE2, NODES, POD_DEST, POD_PORT, POD_SRC, PODS, SVC_CLUSTERIP, SVC_NODEPORT,
    },
    traffic::{HttpServer, UdpEcho},
};

/// A Calico-like cluster in network namespaces of this machine.
#[derive(Parser)]
enum Arguments {
    /// Raise a lab and keep it until Ctrl-C, SIGTERM or the end of standard input.
    Up {
        /// How packets of pods travel between nodes.
        #[arg(long, value_enum, default_value_t = OverlayName::Ipip)]
        overlay: OverlayName,
    },
    /// Remove what labs left whose processes were killed.
    Sweep,
}

#[derive(Clone, Copy, ValueEnum)]
enum OverlayName {
    Ipip,
    Vxlan,
    None,
}

impl From<OverlayName> for Overlay {
    fn from(name: OverlayName) -> Self {
        match name {
            OverlayName::Ipip => Self::Ipip,
            OverlayName::Vxlan => Self::Vxlan,
            OverlayName::None => Self::None,
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let done = match Arguments::parse() {
        Arguments::Up { overlay } => up(overlay.into()),
        Arguments::Sweep => sweep(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(failure.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn up(overlay: Overlay) -> Result<(), Failure> {
    let ending = Ending::take()?;
    let lab = Lab::up(&LabConfig { overlay, ..LabConfig::default() })?;
    let _http = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
    let _udp = UdpEcho::start(lab.pod(POD_DEST.name), POD_PORT)?;
    describe(&lab);
    ending.wait()?;
    Ok(())
}

fn sweep() -> Result<(), Failure> {
    println!("{} namespaces removed", Lab::sweep_stale()?);
    Ok(())
}

fn describe(lab: &Lab) {
    println!("namespaces, to enter with `nsenter --net=PATH COMMAND`:");
    for name in NODES.map(|node| node.name).into_iter().chain(PODS.map(|pod| pod.name)) {
        println!("  {name:10} {}", lab.of(name).path().display());
    }
    let source = lab.pod(POD_SRC.name).path().display();
    let master = lab.node(K8S_MASTER.name).path().display();
    println!("\nrequests; pod-dest answers /bytes/N with N bytes, and echoes UDP:");
    for (path, address, port) in [
        (&source, POD_DEST.address, POD_PORT),
        (&source, SVC_CLUSTERIP.cluster_ip, POD_PORT),
        (&master, K8S_NODE2.address, SVC_NODEPORT.node_port.unwrap_or_default()),
    ] {
        println!("  nsenter --net={path} curl -o /dev/null http://{address}:{port}/bytes/1000");
    }
    let args: Vec<_> = lab.kflow_node_args().iter().map(|arg| arg.display().to_string()).collect();
    println!("\ntrace:\n  kflow trace {} pod-src pod-dest", args.join(" "));
    println!("\nCtrl-C removes everything.");
}

fn report(failure: &dyn std::error::Error) {
    eprintln!("lab: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}
