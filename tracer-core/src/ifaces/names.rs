//! Who is who: names of links in other namespaces, and pods.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Interface, Room, Survey};
use crate::resolve::{ClusterState, Names, Owner};
use crate::way::LinkIndex;

impl Survey {
    /// Writes the names of links that others refer to by their numbers.
    pub fn join(&mut self) {
        let mut names: BTreeMap<(u64, LinkIndex), String> = BTreeMap::new();
        for room in &self.namespaces {
            for interface in &room.interfaces {
                names.insert((room.netns, interface.link.index), interface.link.name.clone());
            }
        }
        for room in &mut self.namespaces {
            for interface in &mut room.interfaces {
                let link = &interface.link;
                let find =
                    |netns: Option<u64>, index: Option<LinkIndex>| names.get(&(netns?, index?)).cloned();
                let far = if link.is_peer_elsewhere { link.peer_netns } else { Some(room.netns) };
                interface.peer_name = find(far, link.peer);
                interface.master_name = find(Some(room.netns), link.master);
            }
        }
    }

    /// Writes the pods of a cluster's state to the namespaces and interfaces that are theirs.
    ///
    /// A namespace is a pod's whose address one of its interfaces has, or, where no address tells, the pod's whose
    /// identifier is in the control groups of its processes: not the node's own, in which are the pods on the host's
    /// network. An interface is of the pods of its namespace; else of those at its far end; else of those whose addresses
    /// are behind it.
    pub fn name(&mut self, state: &ClusterState) {
        let names = Names::of(state);
        let uids = uids(state);
        for room in &mut self.namespaces {
            let own = room.interfaces.iter().flat_map(Interface::addresses);
            room.pods = pods(&names, own);
            if room.pods.is_empty() && !room.is_own && !room.is_of_init {
                room.pods = room.pod_uids.iter().filter_map(|uid| uids.get(uid).cloned()).collect();
            }
        }
        let far: BTreeMap<u64, Vec<String>> =
            self.namespaces.iter().map(|room| (room.netns, room.pods.clone())).collect();
        for room in &mut self.namespaces {
            for interface in &mut room.interfaces {
                let far = interface
                    .link
                    .peer_netns
                    .and_then(|netns| far.get(&netns))
                    .filter(|pods| !pods.is_empty());
                interface.pods = match far {
                    _ if !room.pods.is_empty() => room.pods.clone(),
                    Some(far) => far.clone(),
                    None => pods(&names, interface.behind.iter().copied()),
                };
            }
        }
    }
}

impl Interface {
    /// Its own addresses, those that every namespace has aside.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.link.addresses.iter().map(|own| own.address).filter(|address| !address.is_loopback())
    }
}

impl Room {
    /// What it is called: its names, else how it is known.
    pub fn label(&self) -> String {
        match (&self.names[..], self.is_own, self.is_of_init) {
            ([], true, _) => "(own)".to_owned(),
            ([], _, true) => "(machine)".to_owned(),
            ([], false, false) => "-".to_owned(),
            (names, ..) => names.join(","),
        }
    }
}

/// Pods by their identifiers.
fn uids(state: &ClusterState) -> BTreeMap<String, String> {
    let all = state.node_names().flat_map(|node| state.pods_on(node));
    all.filter_map(|pod| Some((pod.uid?, pod.name))).collect()
}

/// The pods that have one of the addresses, each once, as `namespace/name`.
fn pods(names: &Names, addresses: impl Iterator<Item = IpAddr>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for address in addresses {
        found.extend(names.owners(address).filter_map(|owner| match owner {
            Owner::Pod { name, .. } => Some(name.clone()),
            _ => None,
        }));
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::interface;
    use super::*;
    use crate::evidence::LinkAddress;

    const UID: &str = "8dd1b1a4-5c0a-4f5c-9c2b-0a1b2c3d4e5f";

    fn state() -> ClusterState {
        let pod = |name: &str, uid: &str, address: &str, is_host: bool| {
            serde_json::json!({"kind": "Pod", "metadata": {"name": name, "namespace": "n", "uid": uid},
                "spec": {"nodeName": "node1", "hostNetwork": is_host},
                "status": {"phase": "Running", "podIP": address}})
        };
        let node = serde_json::json!({"kind": "Node", "metadata": {"name": "node1"},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}});
        let pods = [
            pod("a", "u-a", "10.244.0.5", false),
            pod("b", UID, "10.244.0.6", false),
            pod("proxy", "u-p", "10.0.0.1", true),
        ];
        ClusterState::from_items(std::iter::once(node).chain(pods)).unwrap()
    }

    fn with_address(mut interface: Interface, address: &str) -> Interface {
        let address = address.parse().unwrap();
        interface.link.addresses.push(LinkAddress { address, prefix: 32, is_duplicate: false });
        interface
    }

    /// A node with an interface to pod `a`, whose namespace is in sight, one to a pod whose is not, and pod `b`'s
    /// namespace, which has no address yet.
    fn survey() -> Survey {
        let mut to_a = interface(3, "cali1", "veth");
        (to_a.link.peer, to_a.link.peer_netns, to_a.link.is_peer_elsewhere) =
            (Some(LinkIndex(2)), Some(22), true);
        let mut to_b = interface(4, "cali2", "veth");
        to_b.behind = vec!["10.244.0.6".parse().unwrap()];
        let mut eth0 = with_address(interface(2, "eth0", "veth"), "10.244.0.5");
        (eth0.link.peer, eth0.link.peer_netns, eth0.link.is_peer_elsewhere) =
            (Some(LinkIndex(3)), Some(11), true);
        let uplink = with_address(interface(2, "eth0", "physical"), "10.0.0.1");
        let node = Room {
            netns: 11,
            is_own: true,
            pod_uids: vec![UID.to_owned()],
            interfaces: vec![uplink, to_a, to_b],
            ..Room::default()
        };
        let a = Room { netns: 22, interfaces: vec![interface(1, "lo", "loopback"), eth0], ..Room::default() };
        let b = Room {
            netns: 33,
            pod_uids: vec![UID.to_owned()],
            interfaces: vec![interface(1, "lo", "loopback")],
            ..Room::default()
        };
        Survey { namespaces: vec![node, a, b], ..Survey::default() }
    }

    #[test]
    fn pods_by_addresses_far_ends_and_identifiers() {
        let mut survey = survey();
        survey.join();
        survey.name(&state());
        let found: Vec<_> = survey
            .namespaces
            .iter()
            .flat_map(|room| &room.interfaces)
            .map(|one| (one.link.name.as_str(), one.pods.join(","), one.peer_name.as_deref()))
            .collect();
        let expected = [
            ("eth0", String::new(), None),
            ("cali1", "n/a".to_owned(), Some("eth0")),
            ("cali2", "n/b".to_owned(), None),
            ("lo", "n/a".to_owned(), None),
            ("eth0", "n/a".to_owned(), Some("cali1")),
            ("lo", "n/b".to_owned(), None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn without_a_cluster_nobody_has_a_name() {
        let mut survey = survey();
        survey.name(&ClusterState::default());
        assert!(survey.namespaces.iter().flat_map(|room| &room.interfaces).all(|one| one.pods.is_empty()));
    }
}
