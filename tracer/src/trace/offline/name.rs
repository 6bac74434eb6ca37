//! What the name of a file tells of where it was captured.
//!
//! In this order, the ending (`.pcap`, `.pcapng`, `.cap`, `.dmp`, with a number behind it as of tcpdump's rotation)
//! and dumpcap's number and date taken off:
//!
//! 1. `NODE_IFACE`: split at the first `_`, which no name of a Kubernetes node has (RFC 1123).
//! 2. `NODE-IFACE`: split at the last `-`, if what follows has the shape of an interface's name.
//! 3. `NODE/IFACE`: a name that has that shape as a whole is in a folder that is named after the node.
//! 4. `NODE`: everything else. The interface is called the same where the file does not name it either.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const ENDINGS: [&str; 5] = ["pcap", "pcapng", "cap", "dmp", "ntar"];
/// Names of interfaces that are always the same.
const INTERFACES: [&str; 6] = ["any", "lo", "vxlan.calico", "wireguard.cali", "weave", "nodelocaldns"];
/// What a name of an interface begins with, a number following: of the kernel, of systemd, of network plugins.
const NUMBERED: [&str; 26] = [
    "bond", "br", "cbr", "cni", "docker", "dummy", "em", "eno", "enp", "ens", "eth", "flannel.", "geneve",
    "gre", "ib", "ipip", "tap", "team", "tun", "tunl", "vlan", "vxlan", "wg", "wlan", "wlp", "wwan",
];
/// The same with a hexadecimal number.
const HEXADECIMAL: [&str; 6] = ["azv", "cali", "enx", "gke", "lxc", "veth"];

/// What a file is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct FileName {
    /// The folder, as far as it was typed.
    directory: PathBuf,
    stem: String,
    pub(super) node: String,
    pub(super) interface: Option<String>,
}

impl FileName {
    pub(super) fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        let stem = without_ring_number(without_ending(&name)).to_owned();
        let (node, interface) = parts(&stem, directory.file_name());
        Self { directory, stem, node, interface }
    }

    /// Whether two files are parts of one capture: their names differ by what tcpdump or dumpcap add when a file is
    /// full.
    pub(super) fn continues(&self, other: &Self) -> bool {
        (&self.directory, &self.stem) == (&other.directory, &other.stem)
    }

    /// The name without its ending.
    pub(super) fn stem(&self) -> &str {
        &self.stem
    }
}

/// Node and interface.
fn parts(stem: &str, directory: Option<&OsStr>) -> (String, Option<String>) {
    let both = |node: &str, interface: &str| (node.to_owned(), Some(interface.to_owned()));
    let is_whole = |parts: &(&str, &str)| !parts.0.is_empty() && !parts.1.is_empty();
    if let Some((node, interface)) = stem.split_once('_').filter(is_whole) {
        return both(node, interface);
    }
    if let Some((node, interface)) = stem.rsplit_once('-').filter(is_whole)
        && is_shaped_as_interface(interface)
    {
        return both(node, interface);
    }
    match directory {
        Some(directory) if is_shaped_as_interface(stem) => both(&directory.to_string_lossy(), stem),
        _ => (stem.to_owned(), None),
    }
}

fn is_shaped_as_interface(name: &str) -> bool {
    let after = |beginnings: &[&str], is_number: fn(&str) -> bool| {
        beginnings.iter().filter_map(|beginning| name.strip_prefix(beginning)).any(is_number)
    };
    let begins_with_digit = |rest: &str| rest.starts_with(|digit: char| digit.is_ascii_digit());
    let is_hexadecimal = |rest: &str| !rest.is_empty() && rest.bytes().all(|digit| digit.is_ascii_hexdigit());
    INTERFACES.contains(&name) || after(&NUMBERED, begins_with_digit) || after(&HEXADECIMAL, is_hexadecimal)
}

fn without_ending(name: &str) -> &str {
    let ending = |end: &str| ENDINGS.contains(&end.trim_end_matches(|digit: char| digit.is_ascii_digit()));
    name.rsplit_once('.').filter(|(stem, end)| !stem.is_empty() && ending(end)).map_or(name, |(stem, _)| stem)
}

/// Less the `_00001_20240131235959` that dumpcap puts before the ending of each file of a ring.
fn without_ring_number(stem: &str) -> &str {
    let is_number =
        |text: &str, len: usize| text.len() == len && text.bytes().all(|digit| digit.is_ascii_digit());
    let ring = || {
        let (rest, _) = stem.rsplit_once('_').filter(|(_, date)| is_number(date, 14))?;
        let (rest, _) = rest.rsplit_once('_').filter(|(_, number)| is_number(number, 5))?;
        Some(rest)
    };
    ring().unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_node_and_interface() {
        for (path, node, interface) in [
            ("node2_cali1.pcap", "node2", Some("cali1")),
            ("/tmp/k8s-node2_cilium_host.pcapng", "k8s-node2", Some("cilium_host")),
            ("ip-10-0-0-1.ec2.internal_eth0.pcap", "ip-10-0-0-1.ec2.internal", Some("eth0")),
            ("node2_eth0.pcap12", "node2", Some("eth0")),
            ("node2_eth0_00003_20240131235959.pcapng", "node2", Some("eth0")),
            ("node2_0003_20240131235959.pcapng", "node2", Some("0003_20240131235959")),
            ("k8s-node2-eth0.pcapng", "k8s-node2", Some("eth0")),
            ("k8s-node2-calib8c6d5407e3.cap", "k8s-node2", Some("calib8c6d5407e3")),
            ("k8s-node2-any.pcap", "k8s-node2", Some("any")),
            ("k8s-node2-vxlan.calico.pcap", "k8s-node2", Some("vxlan.calico")),
            ("captures/node2/eth0.pcap", "node2", Some("eth0")),
            ("node2/tunl0", "node2", Some("tunl0")),
            // No folder was typed.
            ("eth0.pcap", "eth0", None),
            ("captures/k8s-node2.pcap", "k8s-node2", None),
            ("node.example.org", "node.example.org", None),
            ("node.cap.7", "node.cap.7", None),
            ("k8s-brazil.pcap", "k8s-brazil", None),
            ("us-california.pcap", "us-california", None),
            ("_eth0.pcap", "_eth0", None),
            (".pcap", ".pcap", None),
            ("-", "-", None),
        ] {
            let name = FileName::of(Path::new(path));
            assert_eq!((name.node.as_str(), name.interface.as_deref()), (node, interface), "{path}");
        }
    }

    #[test]
    fn rotated_files_continue_one_another() {
        let continues = |a: &str, b: &str| FileName::of(Path::new(a)).continues(&FileName::of(Path::new(b)));
        assert!(continues("x/node1_eth0.pcap", "x/node1_eth0.pcap1"));
        assert!(continues("n_e_00001_20240131235959.pcapng", "n_e_00002_20240201000000.pcapng"));
        assert!(!continues("x/node1_eth0.pcap", "y/node1_eth0.pcap"));
        assert!(!continues("node1_eth0.pcap", "node1_eth1.pcap"));
    }
}
