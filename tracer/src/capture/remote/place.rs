//! Where packets are captured: per node the pods' host interfaces, or the node's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Words for the arguments of an agent that are longer are sent to its standard input instead: arguments travel in an
/// address (URL), which proxies limit.
const MOST_WORDS: usize = 2048;

/// What is captured on one node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Place {
    /// Pods with addresses of their own, by namespace and name.
    pub(super) pods: BTreeMap<String, Vec<IpAddr>>,
    /// Pods on the node's network, by namespace and name, with the node's addresses.
    pub(super) host_pods: BTreeMap<String, Vec<IpAddr>>,
    /// All packets of the node.
    pub(super) is_whole: bool,
}

/// How a place is captured. A capture cannot change from one to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// At the host interfaces of pods.
    Links,
    /// At interfaces of the node, packets of some addresses.
    Addresses,
    /// At interfaces of the node, all packets.
    Whole,
}

impl Place {
    /// How it is captured, where interfaces were named or not.
    pub(super) fn kind(&self, are_interfaces_named: bool) -> Kind {
        if self.is_whole {
            Kind::Whole
        } else if are_interfaces_named || !self.host_pods.is_empty() {
            Kind::Addresses
        } else {
            Kind::Links
        }
    }

    /// The pod that has an address of its own.
    pub(super) fn pod_at(&self, address: IpAddr) -> Option<&str> {
        let pod = self.pods.iter().find(|(_, addresses)| addresses.contains(&address))?;
        Some(pod.0)
    }

    /// The flags that change when pods come and go, and take the place of those before.
    pub(super) fn words(&self, kind: Kind) -> Vec<String> {
        let own: BTreeSet<&IpAddr> = self.pods.values().flatten().collect();
        let nodes: BTreeSet<&IpAddr> = self.host_pods.values().flatten().collect();
        let flags = |flag: &'static str, addresses: &BTreeSet<&IpAddr>| {
            let word = |address: &&IpAddr| [flag.to_owned(), address.to_string()];
            addresses.iter().flat_map(word).collect::<Vec<_>>()
        };
        let link_of = if own.is_empty() { none("--link-of") } else { flags("--link-of", &own) };
        let mut host = [flags("--host", &own), flags("--inner-host", &nodes)].concat();
        if host.is_empty() {
            host = none("--host");
        }
        match kind {
            Kind::Whole => Vec::new(),
            Kind::Links => [link_of, host].concat(),
            Kind::Addresses => host,
        }
    }
}

/// An empty set of addresses, as agents understand it.
fn none(flag: &str) -> Vec<String> {
    vec![flag.to_owned(), "none".to_owned()]
}

/// The flags with which a capture of a place begins, and the first line for it where they are too many.
pub(super) fn beginning(place: &Place, kind: Kind) -> (Vec<String>, Option<String>) {
    let words = place.words(kind);
    if words.iter().map(|word| word.len() + 1).sum::<usize>() <= MOST_WORDS {
        return (words, None);
    }
    let begin = match kind {
        Kind::Links => [none("--link-of"), none("--host")].concat(),
        Kind::Addresses | Kind::Whole => none("--host"),
    };
    (begin, Some(words.join(" ")))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.is_whole {
            parts.push("the node".to_owned());
        }
        match self.pods.len() + self.host_pods.len() {
            0 => {}
            1 => parts.extend(self.pods.keys().chain(self.host_pods.keys()).cloned()),
            count => parts.push(format!("{count} pods")),
        }
        f.write_str(&parts.join(", "))
    }
}

/// Places by the names of their nodes.
pub(super) type Places = BTreeMap<String, Place>;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(pods: &[(&str, &str)], host_pods: &[(&str, &str)], is_whole: bool) -> Place {
        let of = |pods: &[(&str, &str)]| {
            let pod = |(name, address): &(&str, &str)| ((*name).to_owned(), vec![address.parse().unwrap()]);
            pods.iter().map(pod).collect()
        };
        Place { pods: of(pods), host_pods: of(host_pods), is_whole }
    }

    #[test]
    fn each_kind_has_its_flags() {
        let pods = [("demo/a", "10.0.0.1"), ("demo/b", "fd00::2")];
        let host = [("kube-system/proxy", "192.168.77.11")];
        let table = [
            (
                place(&pods, &[], false),
                false,
                Kind::Links,
                "--link-of 10.0.0.1 --link-of fd00::2 --host 10.0.0.1 --host fd00::2",
            ),
            (place(&pods[..1], &[], false), true, Kind::Addresses, "--host 10.0.0.1"),
            (
                place(&pods[..1], &host, false),
                false,
                Kind::Addresses,
                "--host 10.0.0.1 --inner-host 192.168.77.11",
            ),
            (place(&[], &host, false), false, Kind::Addresses, "--inner-host 192.168.77.11"),
            (place(&[], &[], false), false, Kind::Links, "--link-of none --host none"),
            (place(&[], &[], false), true, Kind::Addresses, "--host none"),
            (place(&pods, &host, true), false, Kind::Whole, ""),
        ];
        for (place, named, kind, words) in table {
            assert_eq!(place.kind(named), kind);
            assert_eq!(place.words(kind).join(" "), words);
        }
    }

    #[test]
    fn many_addresses_are_sent_as_a_line() {
        let mut many = Place::default();
        for number in 0..110 {
            many.pods.insert(format!("demo/pod{number}"), vec![IpAddr::from([10, 0, 0, number])]);
        }
        let (words, line) = beginning(&many, Kind::Links);
        assert_eq!(words.join(" "), "--link-of none --host none");
        let line = line.unwrap();
        assert_eq!(line.matches("--link-of ").count(), 110);
        assert!(!line.contains('\n'));
        let few = place(&[("demo/a", "10.0.0.1")], &[], false);
        assert_eq!(beginning(&few, Kind::Links).1, None);
    }

    #[test]
    fn places_are_told_shortly() {
        assert_eq!(place(&[("demo/a", "10.0.0.1")], &[], false).to_string(), "demo/a");
        let two = place(&[("demo/a", "10.0.0.1"), ("demo/b", "10.0.0.2")], &[], true);
        assert_eq!(two.to_string(), "the node, 2 pods");
    }
}
