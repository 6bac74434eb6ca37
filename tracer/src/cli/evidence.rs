//! `kflow evidence`.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::error::Exit;
use crate::evidence::{self, EvidenceError, Place, Request};
use crate::kernel::netns::NetnsRef;

/// Print what the kernel says about the way of packets: links, routes, neighbours, rules, connections, counters.
///
/// One JSON object on one line, of one network namespace of this machine. What could not be read is listed in it under
/// `missing`. `kflow trace` asks for the same before and after, and `--bundle` keeps it.
#[derive(Args, Clone, Debug)]
pub struct EvidenceArgs {
    /// Network namespace: a file as below /run/netns, a process id, or address:ADDR of one of its interfaces
    #[arg(long, value_name = "NETNS")]
    netns: Option<NetnsRef>,
    /// Name of the node [default: this machine's]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// The pod whose namespace it is
    #[arg(long, value_name = "NAMESPACE/POD")]
    pod: Option<String>,
    /// List tracked connections of this address as well (repeatable)
    #[arg(long = "address", value_name = "ADDR")]
    addresses: Vec<IpAddr>,
    /// Print a second snapshot when standard input ends
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
    /// End when standard input has no line for so many seconds
    #[arg(long, value_name = "SECONDS", hide = true, requires = "until_stdin_closes", value_parser = super::capture::seconds)]
    heartbeat: Option<Duration>,
    /// Compress standard output
    #[arg(long, value_name = "HOW", hide = true)]
    compress: Option<Compression>,
    /// Who the cluster takes the user for, for the agent's log
    #[arg(long, value_name = "NAME", hide = true)]
    for_user: Option<String>,
}

/// How output is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Compression {
    /// RFC 8878.
    Zstd,
}

/// Takes snapshots.
pub fn run(args: EvidenceArgs) -> Result<Exit, EvidenceError> {
    evidence::run(&Request {
        netns: args.netns,
        place: Place { node: args.node.unwrap_or_else(super::capture::host_name), pod: args.pod },
        addresses: args.addresses,
        is_led: args.until_stdin_closes,
        heartbeat: args.heartbeat,
        for_user: args.for_user,
        is_compressed: args.compress == Some(Compression::Zstd),
    })
}
