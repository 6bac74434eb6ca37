//! The main job on a lab: three requests between pods, each traced as a user would trace it.
//!
//! Called with the `kflow` to use and the folder for what it leaves.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
};

use tests::{
    Kflow, Lab, LabConfig,
    cluster::{ApiDouble, DoubleConfig, User},
    kflow::Outcome,
    lab::topology::{K8S_MASTER, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC, SVC_CLUSTERIP, SVC_NODEPORT},
    traffic::{HttpGet, HttpServer},
};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Interfaces that a packet passes from the one who asks to the one who answers: those of pod or node, of both
/// nodes, and of the tunnel between them.
const HOPS: usize = 8;

type Failure = Box<dyn std::error::Error>;

/// A request and the words that trace it.
struct Story {
    title: &'static str,
    from: &'static str,
    to: (Ipv4Addr, u16),
    words: [&'static str; 2],
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(kflow), Some(folder), None) = (args.next(), args.next(), args.next()) else {
        eprintln!("usage: demo KFLOW FOLDER");
        return ExitCode::from(2);
    };
    match demo(&kflow, &folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("demo: {failure}");
            let mut cause = failure.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn stories() -> [Story; 3] {
    let node_port = SVC_NODEPORT.node_port.unwrap_or_default();
    [
        Story {
            title: "pod-src asks pod-dest by its address: through the IPIP tunnel between their nodes",
            from: POD_SRC.name,
            to: (POD_DEST.address, POD_PORT),
            words: ["pod-src", "pod-dest"],
        },
        Story {
            title: "pod-src asks a ClusterIP: DNAT on the source's node, then the tunnel",
            from: POD_SRC.name,
            to: (SVC_CLUSTERIP.cluster_ip, POD_PORT),
            words: ["pod-src", "svc/svc-clusterip"],
        },
        Story {
            title: "the master asks NodePort 31080 of k8s-node2, and the pod is on k8s-node1: DNAT and SNAT at once",
            from: K8S_MASTER.name,
            to: (K8S_NODE2.address, node_port),
            words: ["node/k8s-master", "svc/svc-nodeport"],
        },
    ]
}

fn demo(program: &Path, folder: &Path) -> Result<(), Failure> {
    end_on_signals()?;
    fs::create_dir_all(folder)?;
    let lab = Lab::up(&LabConfig::default())?;
    let _server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
    let config = DoubleConfig {
        program: program.canonicalize()?,
        users: vec![User::admin()],
        anonymous: Some(User::admin()),
        ..DoubleConfig::default()
    };
    let double = ApiDouble::on(&lab, config)?;
    let kubeconfig = lab.directory().join("kubeconfig");
    double.kubeconfig(&kubeconfig)?;
    let file = folder.join("demo.pcapng");
    say(
        "A Kubernetes-like lab stands in network namespaces of this machine: three nodes, two pods, two services,",
    )?;
    say("and a stand-in for its API server, which starts kflow's agents in the namespaces of the nodes.")?;
    say("Three requests cross it, and for each one kflow tells where its packets went. To read a timeline:")?;
    say(
        "  egress leaves the interface, ingress comes in by it; \"there\" is the request, \"back\" the answer;",
    )?;
    say("  what NAT or a tunnel changed stands below the first hop that saw it.")?;
    say("The argument that names the lab's kubeconfig is left out of the commands shown.\n")?;
    let recorder = record(&lab, program, &file)?;
    for story in stories() {
        tell(&lab, program, &kubeconfig, &story)?;
    }
    check(&recorder.stop()?)?;
    say(&format!(
        "All {HOPS} hops of every packet of the three requests are in {file}; open them with\n  wireshark {file}\n  tshark -r {file} -T fields -e frame.interface_name -e ip.src -e ip.dst -e frame.comment",
        file = file.display()
    ))?;
    Ok(())
}

/// One more trace over all three stories, for the file and for the check.
fn record(lab: &Lab, program: &Path, file: &Path) -> Result<Kflow, Failure> {
    let words = ["-o", "json", POD_DEST.name, "-w"].map(OsString::from);
    let args = [OsString::from("trace")].into_iter().chain(lab.kflow_node_args()).chain(words);
    Ok(Kflow::tracing(program, args.chain([file.into()]))?)
}

fn tell(lab: &Lab, program: &Path, kubeconfig: &Path, story: &Story) -> Result<(), Failure> {
    say(&format!("=== {}\n$ kflow trace --pod-side {}", story.title, story.words.join(" ")))?;
    let args = ["trace", "--pod-side"].into_iter().chain(story.words).map(OsString::from);
    let access = [OsString::from("--kubeconfig"), kubeconfig.into()];
    let kflow = Kflow::tracing(program, args.chain(access))?;
    let reply = HttpGet::new(SocketAddr::from(story.to)).send(lab.of(story.from))?;
    let outcome = kflow.stop()?;
    say(&outcome.stdout)?;
    match outcome.code {
        Some(0) if reply.status == 200 => Ok(()),
        code => {
            Err(format!("kflow ended with {code:?}, the request with {}:\n{}", reply.status, outcome.stderr)
                .into())
        }
    }
}

/// Fails unless each story is one flow whose packets were all delivered, both ways, and seen at every hop.
fn check(outcome: &Outcome) -> Result<(), Failure> {
    let told = outcome.told()?;
    if outcome.code != Some(0) || told.summary["complete"] != true {
        return Err(format!("the recording is incomplete: {}\n{}", told.summary, outcome.stderr).into());
    }
    let stories = stories().len();
    if told.flows.len() != stories {
        return Err(format!("{stories} requests are {} flows", told.flows.len()).into());
    }
    for flow in &told.flows {
        for direction in ["forward", "reply"] {
            let lane = &flow[direction];
            let packets = &lane["packets"];
            let hops = lane["hops"].as_array().map(Vec::as_slice).unwrap_or_default();
            let is_seen_everywhere = hops.len() == HOPS && hops.iter().all(|hop| &hop["packets"] == packets);
            if packets == 0 || &lane["delivered"] != packets || !is_seen_everywhere {
                return Err(format!("flow {}, {direction}: not all delivered: {lane}", flow["flow"]).into());
            }
        }
    }
    Ok(())
}

/// Removes the lab when a signal ends the demo.
fn end_on_signals() -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let context = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(context);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        let removed = Lab::remove_own();
        eprintln!(
            "\ndemo: interrupted, {}",
            if removed.is_ok() { "the lab is removed" } else { "the lab is left" }
        );
        std::process::exit(130);
    });
    Ok(())
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
