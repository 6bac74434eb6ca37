//! Flags of `kflow capture` that say where on a cluster: kubectl's letters with kubectl's meaning, and ksniff's.

use std::io::{self, IsTerminal as _};

use clap::Args;
use thiserror::Error;
use tracer_core::resolve::Selector;

use crate::capture::remote::{RemoteFailure, RemotePlan, Targets, run};
use crate::capture::{Product, Verbosity};
use crate::cli::cluster::{AgentArgs, ClusterArgs};
use crate::error::{Exit, ExitStatus};
use crate::kernel::interfaces;

/// Bytes kept of each packet on a cluster, where nothing else is asked for: all headers of most packets.
pub(super) const SNAP: u32 = 128;
/// Of each node's agent, where nothing else is asked for: packets are cut short, and there are many nodes.
pub(super) const BUFFER_KIB: u32 = 8192;

/// Where on a cluster.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags as they are typed")]
pub(super) struct TargetArgs {
    /// Pods and nodes of a cluster to capture on, instead of this machine: POD, NAMESPACE/POD, pod/NAME, svc/NAME, deploy/NAME,
    /// ds/NAME, sts/NAME, node/NAME, NAMESPACE/TYPE/NAME, IP.
    #[arg(
        value_name = "TARGET",
        conflicts_with_all = ["netns", "node", "pod", "host", "inner_host", "read", "list_interfaces"]
    )]
    targets: Vec<String>,
    /// Capture on the pods with these labels.
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        help_heading = "Cluster",
        conflicts_with_all = ["netns", "node", "pod", "host", "inner_host", "read", "list_interfaces"]
    )]
    selector: Option<Selector>,
    /// Capture on all pods of all nodes, with -n on those of a namespace; with -l, choose among those of all namespaces.
    #[arg(
        short = 'A',
        long,
        help_heading = "Cluster",
        conflicts_with_all = ["netns", "node", "pod", "host", "inner_host", "read", "list_interfaces"]
    )]
    all_namespaces: bool,
    /// Container of the pod: all of a pod's share its network, so that it makes no difference.
    #[arg(short = 'c', long, value_name = "NAME", help_heading = "Cluster")]
    container: Option<String>,
    /// Accepted for those who know ksniff: no privileged pod is needed.
    #[arg(short = 'p', long, help_heading = "Cluster")]
    privileged: bool,
    /// Capture on a node also the connections by which its packets come here: each packet then makes another one.
    #[arg(long, help_heading = "Cluster")]
    own_traffic: bool,
    /// Tell what would be captured where, and end.
    #[arg(long, help_heading = "Cluster")]
    dry_run: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    agents: AgentArgs,
}

/// Flags of a cluster without anything of a cluster to capture on.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum TargetArgsError {
    /// What fingers that know tcpdump type.
    #[error("{flag} goes with TARGET, -l or -A ({meaning}); {instead}")]
    NoTarget {
        /// The flag.
        flag: &'static str,
        /// What it means.
        meaning: &'static str,
        /// What may have been meant.
        instead: String,
    },
    /// Several words that are an expression rather than targets.
    #[error("`{0}` begins a filter expression: it is put after `--`, or with -f in quotes")]
    Expression(String),
}

/// What of a plan comes from here.
pub(super) struct Where {
    pub(super) targets: Targets,
    pub(super) own_traffic: bool,
    pub(super) dry_run: bool,
}

impl TargetArgs {
    /// Whether a cluster is meant.
    pub(super) fn is_cluster(&self) -> bool {
        !self.targets.is_empty() || self.selector.is_some() || self.all_namespaces
    }

    /// Fails for flags of a cluster where this machine is meant.
    pub(super) fn check_local(&self) -> Result<(), TargetArgsError> {
        let refused =
            |flag, meaning, instead: String| Err(TargetArgsError::NoTarget { flag, meaning, instead });
        if let Some(namespace) = &self.cluster.namespace {
            let instead = if namespace == "n" { "-nn" } else { "-n" };
            return refused(
                "-n",
                "a namespace",
                format!("addresses and ports are always printed as numbers: leave out tcpdump's {instead}"),
            );
        }
        if let Some(container) = &self.container {
            let instead = format!("`--max-packets {container}` ends after so many packets");
            return refused("-c", "a container", instead);
        }
        if self.privileged {
            let instead = "no interface is made promiscuous: leave it out".to_owned();
            return refused("-p", "a privileged pod, which is not needed", instead);
        }
        for (is_given, flag) in [(self.dry_run, "--dry-run"), (self.own_traffic, "--own-traffic")] {
            if is_given {
                return refused(
                    flag,
                    "a cluster",
                    "without these it is this machine that is captured on".to_owned(),
                );
            }
        }
        Ok(())
    }

    /// Fails where words are no targets: one word may be the name of a pod, several that begin as an expression are one.
    pub(super) fn check(&self) -> Result<(), TargetArgsError> {
        match &self.targets[..] {
            [first, _, ..] if PRIMITIVES.contains(&first.as_str()) => {
                Err(TargetArgsError::Expression(first.clone()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn location(&self) -> Where {
        Where {
            targets: Targets {
                words: self.targets.clone(),
                selector: self.selector.clone(),
                all: self.all_namespaces,
                namespace: self.cluster.namespace.clone(),
            },
            own_traffic: self.own_traffic,
            dry_run: self.dry_run,
        }
    }

    /// Captures on the cluster.
    pub(super) fn run(&self, plan: &RemotePlan, is_snap_given: bool) -> Result<Exit, RemoteFailure> {
        if plan.verbosity > Verbosity::Quiet {
            for note in self.notes(plan, is_snap_given) {
                say!("kflow: {note}");
            }
        }
        let result = run(plan, &self.cluster, &self.agents);
        if let Err(error) = &result
            && let Some(advice) = self.advice(error)
        {
            say!("kflow: {advice}");
        }
        result
    }

    /// What those who come from elsewhere have to know.
    fn notes(&self, plan: &RemotePlan, is_snap_given: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(container) = &self.container {
            notes.push(format!(
                "the containers of a pod share its network: -c {container} makes no difference"
            ));
        }
        if self.privileged {
            notes.push("no privileged pod is needed: -p makes no difference".to_owned());
        }
        if !is_snap_given {
            notes.push(format!("of each packet {SNAP} bytes are kept (-s 0 keeps all)"));
        }
        if matches!(plan.product, Product::Lines(_)) && io::stdout().is_terminal() && !plan.dry_run {
            notes.push("--wireshark shows the packets in Wireshark, -w FILE writes them".to_owned());
        }
        notes
    }

    /// What may have been meant by a word that is no target.
    fn advice(&self, error: &RemoteFailure) -> Option<String> {
        if !matches!(error, RemoteFailure::Target(_) | RemoteFailure::Connect(_) | RemoteFailure::State(_)) {
            return None;
        }
        let links = interfaces::list().unwrap_or_default();
        let is_link = |word: &String| links.iter().any(|link| link.name == *word) || word == "any";
        advice(&self.targets, is_link)
    }
}

/// Words that expressions of pcap-filter(7) begin with.
const PRIMITIVES: [&str; 24] = [
    "arp",
    "broadcast",
    "dst",
    "ether",
    "greater",
    "host",
    "icmp",
    "icmp6",
    "igmp",
    "inbound",
    "ip",
    "ip6",
    "less",
    "multicast",
    "net",
    "not",
    "outbound",
    "port",
    "portrange",
    "sctp",
    "src",
    "tcp",
    "udp",
    "vlan",
];

fn advice(words: &[String], is_link: impl Fn(&String) -> bool) -> Option<String> {
    if let Some(link) = words.iter().find(|word| is_link(word)) {
        return Some(format!("{link} is an interface of this machine: did you mean `-i {link}`?"));
    }
    let first = words.iter().find(|word| PRIMITIVES.contains(&word.as_str()))?;
    Some(format!("`{first}` begins a filter expression: it is put after `--`, or with -f in quotes"))
}

impl ExitStatus for TargetArgsError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[expect(clippy::struct_excessive_bools, reason = "flags as they are typed")]
    #[command(group = clap::ArgGroup::new("local").args(["netns", "node", "pod", "host", "inner_host", "read", "list_interfaces"]).multiple(true))]
    struct Command {
        #[command(flatten)]
        targets: TargetArgs,
        #[arg(long)]
        netns: bool,
        #[arg(long)]
        node: bool,
        #[arg(long)]
        pod: bool,
        #[arg(long)]
        host: bool,
        #[arg(long)]
        inner_host: bool,
        #[arg(short)]
        read: bool,
        #[arg(short = 'D')]
        list_interfaces: bool,
    }

    fn parse(arguments: &str) -> Result<TargetArgs, String> {
        let command = Command::try_parse_from(["kflow"].into_iter().chain(arguments.split_whitespace()));
        command.map(|command| command.targets).map_err(|error| error.to_string())
    }

    #[test]
    fn a_target_means_a_cluster() {
        for (arguments, is_cluster) in [
            ("demo/client", true),
            ("svc/web node/kn1", true),
            ("-l app=web", true),
            ("-A", true),
            ("-A -n demo", true),
            ("client -c app -p -n demo", true),
            ("", false),
            ("-n demo", false),
        ] {
            assert_eq!(parse(arguments).unwrap().is_cluster(), is_cluster, "{arguments}");
        }
        assert!(parse("client -D").is_err() && parse("-A --host").is_err());
        assert!(parse("-l app==").is_ok() && parse("-l app===x=").is_err());
    }

    #[test]
    fn habits_of_tcpdump_have_an_answer_without_a_target() {
        for (arguments, answer) in [
            ("-nn", "leave out tcpdump's -nn"),
            ("-c 10", "--max-packets 10"),
            ("-p", "promiscuous"),
            ("--dry-run", "this machine"),
        ] {
            let error = parse(arguments).unwrap().check_local().unwrap_err().to_string();
            assert!(error.contains(answer), "{error}");
        }
        assert_eq!(parse("").unwrap().check_local(), Ok(()));
    }

    #[test]
    fn words_that_are_no_targets_have_an_answer() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let is_link = |word: &String| word == "eth0";
        let of = |text: &str| advice(&words(text), is_link).unwrap_or_default();
        assert_eq!(of("eth0"), "eth0 is an interface of this machine: did you mean `-i eth0`?");
        assert!(of("tcp port 80").contains("after `--`"));
        assert_eq!(of("client"), "");
    }
}
