//! `kflow capture`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use thiserror::Error;
use tracer_core::capture::SNAP_WHOLE;
use tracer_core::units::SnapLength;

use crate::capture::{self, CaptureFailure, Destination, Limits, Plan, Selection, SelectionError};
use crate::error::{Exit, ExitStatus};
use crate::kernel::attach::AttachMode;
use crate::kernel::filter::{AddressSet, AddressSetError, Layers, PortRule};
use crate::kernel::netns::NetnsRef;

/// Capture packets of interfaces of one network namespace as pcapng.
///
/// Ends on Ctrl-C, when the reader of its output goes away, or at a limit.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Interface, or a pattern of names; `any` is all but loopback. May be repeated.
    #[arg(short, long = "interface", value_name = "IFACE", default_value = "any")]
    interface: Vec<String>,
    /// Network namespace to enter: a path, or the id of a process in it.
    #[arg(long, value_name = "PATH|PID")]
    netns: Option<NetnsRef>,
    /// Name of this node in the capture.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Name of the pod that the network namespace belongs to.
    #[arg(long, value_name = "NAME")]
    pod: Option<String>,
    /// Only packets from or to this address, also inside tunnels and ICMP errors. May be repeated.
    #[arg(long, value_name = "ADDR[:PORT[/PROTO]]")]
    host: Vec<HostSpec>,
    /// Like --host, but not as the carrier of a tunnel: for the addresses of nodes. May be repeated.
    #[arg(long, value_name = "ADDR[:PORT[/PROTO]]")]
    inner_host: Vec<HostSpec>,
    /// Bytes kept of each packet; 0 keeps all.
    #[arg(short, long = "snapshot-length", value_name = "BYTES", default_value_t = SNAP_WHOLE.0)]
    snap: u32,
    /// File to write; `-` is standard output.
    #[arg(short, long = "write", visible_short_alias = 'o', value_name = "FILE|-", default_value = "-")]
    write: PathBuf,
    /// Size of the buffer between kernel and kflow.
    #[arg(short = 'B', long = "buffer-size", value_name = "KIB", default_value_t = 8192)]
    buffer: u32,
    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// End after so many packets.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_packets: Option<u64>,
    /// UDP port that carries VXLAN, besides 4789 and 8472.
    #[arg(long, value_name = "PORT")]
    vxlan_port: Option<u16>,
    /// How programs are attached: auto, tcx or clsact.
    #[arg(long, value_name = "MODE", default_value = "auto")]
    attach: AttachMode,
    /// Print what the eBPF programs log.
    #[arg(long)]
    debug_bpf: bool,
    /// End when standard input ends.
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
    /// Print nothing but errors.
    #[arg(long, hide = true)]
    quiet: bool,
}

/// Captures as the arguments say.
pub fn run(arguments: Arguments) -> Result<Exit, CaptureCommandError> {
    let quiet = arguments.quiet;
    let summary = capture::run(arguments.plan()?)?;
    if !quiet {
        eprintln!("{summary}");
    }
    Ok(summary.exit())
}

impl Arguments {
    fn plan(self) -> Result<Plan, CaptureCommandError> {
        let addresses = address_set(&self.host, &self.inner_host)?;
        let destination =
            if self.write.as_os_str() == "-" { Destination::Stdout } else { Destination::File(self.write) };
        Ok(Plan {
            selection: Selection::parse(&self.interface)?,
            netns: self.netns,
            node: self.node.unwrap_or_else(host_name),
            pod: self.pod,
            addresses,
            snap: if self.snap == 0 { SNAP_WHOLE } else { SnapLength(self.snap.min(SNAP_WHOLE.0)) },
            ring_kib: self.buffer,
            destination,
            limits: Limits {
                duration: self.duration,
                packets: self.max_packets,
                stdin: self.until_stdin_closes,
            },
            vxlan_port: self.vxlan_port,
            attach: self.attach,
            debug: self.debug_bpf,
            quiet: self.quiet,
        })
    }
}

/// Why `kflow capture` failed.
#[derive(Debug, Error)]
pub enum CaptureCommandError {
    /// The capture itself.
    #[error(transparent)]
    Capture(#[from] CaptureFailure),
    /// A pattern of interface names that is none.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// Too many addresses or ports.
    #[error(transparent)]
    Addresses(#[from] AddressSetError),
}

impl ExitStatus for CaptureCommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Capture(error) => error.exit(),
            Self::Selection(_) | Self::Addresses(_) => Exit::Usage,
        }
    }
}

/// An address as typed, with a port and a protocol or without.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HostSpec {
    address: IpAddr,
    rule: Option<PortRule>,
}

/// Why a text is no [`HostSpec`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HostSpecError {
    /// No address.
    #[error("expected an address: 10.0.0.1, 10.0.0.1:80, 10.0.0.1:53/udp, fd00::1 or [fd00::1]:443/tcp")]
    Address,
    /// No port.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// No protocol.
    #[error("the protocol is not tcp, udp, sctp, icmp, icmp6 or a number from 1 to 255")]
    Protocol,
}

impl FromStr for HostSpec {
    type Err = HostSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, protocol)) => (rest, Some(protocol_number(protocol)?)),
            None => (text, None),
        };
        let (address, port) = split_port(rest)?;
        let address = address.parse().map_err(|_| HostSpecError::Address)?;
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port)) if port != 0 => Some(port),
            Some(_) => return Err(HostSpecError::Port),
        };
        let any = port.is_none() && protocol.is_none();
        Ok(Self { address, rule: (!any).then_some(PortRule { port, protocol }) })
    }
}

/// An IPv6 address has a port behind brackets only.
fn split_port(text: &str) -> Result<(&str, Option<&str>), HostSpecError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(HostSpecError::Address)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, Some(port))),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(HostSpecError::Address),
        };
    }
    match text.split_once(':') {
        Some((address, port)) if !port.contains(':') => Ok((address, Some(port))),
        _ => Ok((text, None)),
    }
}

fn protocol_number(text: &str) -> Result<u8, HostSpecError> {
    match text.to_ascii_lowercase().as_str() {
        "icmp" => Ok(1),
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmp6" | "icmpv6" => Ok(58),
        "sctp" => Ok(132),
        number => number.parse().ok().filter(|number| *number != 0).ok_or(HostSpecError::Protocol),
    }
}

fn address_set(hosts: &[HostSpec], inner: &[HostSpec]) -> Result<AddressSet, AddressSetError> {
    if hosts.is_empty() && inner.is_empty() {
        return Ok(AddressSet::everything());
    }
    let mut set = AddressSet::nothing();
    for host in hosts {
        set.add(host.address, Layers::Any, host.rule)?;
    }
    for host in inner {
        set.add(host.address, Layers::Innermost, host.rule)?;
    }
    Ok(set)
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let refused = || "expected a number of seconds above 0".to_owned();
    let seconds: f64 = text.parse().map_err(|_| refused())?;
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero()).ok_or_else(refused)
}

pub(crate) fn host_name() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| "localhost".to_owned(), |name| name.nodename().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_as_people_type_them() {
        let rule = |port, protocol| Some(PortRule { port, protocol });
        let table = [
            ("10.0.0.1", "10.0.0.1", None),
            ("10.0.0.1:80", "10.0.0.1", rule(Some(80), None)),
            ("10.0.0.1:53/udp", "10.0.0.1", rule(Some(53), Some(17))),
            ("10.0.0.1/icmp", "10.0.0.1", rule(None, Some(1))),
            ("fd00::1", "fd00::1", None),
            ("fd00::1/TCP", "fd00::1", rule(None, Some(6))),
            ("[fd00::1]", "fd00::1", None),
            ("[fd00::1]:443/132", "fd00::1", rule(Some(443), Some(132))),
        ];
        for (text, address, rule) in table {
            let expected = HostSpec { address: address.parse().unwrap(), rule };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_told_apart() {
        let table = [
            ("", HostSpecError::Address),
            ("pod-a", HostSpecError::Address),
            ("[fd00::1", HostSpecError::Address),
            ("[fd00::1]x", HostSpecError::Address),
            ("10.0.0.1:0", HostSpecError::Port),
            ("10.0.0.1:65536", HostSpecError::Port),
            ("10.0.0.1:http", HostSpecError::Port),
            ("10.0.0.1:80/quic", HostSpecError::Protocol),
            ("10.0.0.1/0", HostSpecError::Protocol),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<HostSpec>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn no_host_means_every_packet() {
        assert_eq!(address_set(&[], &[]), Ok(AddressSet::everything()));
        assert_ne!(address_set(&["10.0.0.1".parse().unwrap()], &[]), Ok(AddressSet::everything()));
    }

    #[test]
    fn durations() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["0", "-1", "nan", "1e30", "soon"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
