//! The programs that demo and tests call.

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::{Result, anyhow};

use super::apt::Apt;
use super::report::{Provided, Report};
use crate::workspace::find_program;

struct Tool {
    program: &'static str,
    package: &'static str,
    purpose: &'static str,
}

const fn tool(program: &'static str, package: &'static str, purpose: &'static str) -> Tool {
    Tool { program, package, purpose }
}

const TOOLS: &[Tool] = &[
    tool("ip", "iproute2", "builds the lab"),
    tool("iptables-restore", "iptables", "kube-proxy's chains in the lab"),
    tool("nft", "nftables", "kube-proxy's nftables mode, and to look at rules"),
    tool("ethtool", "ethtool", "offloads of the lab's links"),
    tool("ping", "iputils-ping", "ICMP traffic"),
    tool("iperf3", "iperf3", "bulk traffic"),
    tool("tcpdump", "tcpdump", "captures beside kflow, opens its files"),
    tool("tshark", "tshark", "opens its files"),
    tool("capinfos", "tshark", "opens its files"),
    tool("dumpcap", "wireshark-common", "captures beside kflow"),
];

/// A program that is there.
struct Present<'a> {
    path: PathBuf,
    tool: &'a Tool,
}

/// Notes each program in `report`, after all missing ones were installed in one go.
pub(crate) fn provide(apt: &Apt, report: &mut Report) {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| find_program(tool.program).is_none()).collect();
    let failure = install(apt, &missing).err();
    for tool in TOOLS {
        let was_missing = missing.iter().any(|other| other.program == tool.program);
        report.part(tool.program, present(tool, was_missing, failure.as_ref()));
    }
}

fn install(apt: &Apt, missing: &[&Tool]) -> Result<()> {
    let mut packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    apt.install(&packages, &format!("demo and tests run {}", programs.join(", ")))
}

fn present<'a>(
    tool: &'a Tool,
    was_missing: bool,
    failure: Option<&anyhow::Error>,
) -> Result<Provided<Present<'a>>> {
    match find_program(tool.program) {
        Some(path) if was_missing => Ok(Provided::installed(Present { path, tool })),
        Some(path) => Ok(Provided::found(Present { path, tool })),
        None => Err(remedy(tool, failure)),
    }
}

fn remedy(tool: &Tool, failure: Option<&anyhow::Error>) -> anyhow::Error {
    let Tool { package, purpose, .. } = tool;
    let reason = failure.map_or_else(|| "it is not on the path".to_owned(), |error| format!("{error:#}"));
    anyhow!("{purpose}: apt-get install {package}, or your system's package of it ({reason})")
}

impl Display for Present<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path.display(), self.tool.purpose)
    }
}
