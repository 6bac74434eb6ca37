//! Nodes as network plugins leave them, and what is watched on each.

use super::*;

/// A node in the words of `ip link`, a line each: `INDEX NAME KIND [up] [net] [master N] [elsewhere|here|over N]`.
fn links(text: &str) -> Vec<NodeLink> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(link).collect()
}

fn link(line: &str) -> NodeLink {
    let words: Vec<_> = line.split_whitespace().collect();
    let number = |word: &str| {
        let at = words.iter().position(|each| *each == word)?;
        Some(LinkIndex(words[at + 1].parse().unwrap()))
    };
    let is = |word: &str| words.contains(&word);
    let other = match number("over") {
        Some(below) => Other::Below(below),
        None if is("elsewhere") => Other::PairElsewhere,
        None if is("here") => Other::PairHere,
        None => Other::None,
    };
    NodeLink {
        index: LinkIndex(words[0].parse().unwrap()),
        name: words[1].to_owned(),
        kind: (words[2] != "-").then(|| words[2].to_owned()),
        is_loopback: words[1] == "lo",
        is_up: !is("down"),
        master: number("master"),
        other,
        has_network: is("net"),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const POD: &str = "10.244.1.5";
const UPLINK: Route = Route::Link(LinkIndex(2), None);

fn facts(text: &str, route: Option<Route>) -> Facts {
    Facts {
        links: links(text),
        routes: route.map(|route| (ip(POD), route)).into_iter().collect(),
        defaults: vec![Route::Link(LinkIndex(2), Some(ip("192.0.2.1")))],
        ..Facts::default()
    }
}

fn by(index: u32) -> Route {
    Route::Link(LinkIndex(index), None)
}

fn names(facts: &Facts, extent: Extent) -> String {
    names_after(facts, extent, &BTreeMap::new())
}

fn names_after(facts: &Facts, extent: Extent, before: &BTreeMap<IpAddr, Place>) -> String {
    let choice = choose(facts, extent, &[ip(POD)], before);
    let chosen = facts.links.iter().filter(|link| choice.links.contains(&link.index));
    let names: Vec<_> = chosen.map(|link| link.name.as_str()).collect();
    let untold = if choice.untold().next().is_some() { " ?" } else { "" };
    format!("{}{untold}", names.join(" "))
}

#[test]
fn routes_of_single_addresses_lead_to_the_pod() {
    let table = [
        (
            "Calico with IPIP",
            "1 lo -\n 2 eth0 -\n 3 tunl0 ipip\n 4 cali1 veth elsewhere\n 5 cali2 veth elsewhere",
            4,
            "eth0 tunl0 cali1",
            "cali1",
        ),
        (
            "Calico with eBPF: a pair of its own, a dummy",
            "1 lo -\n 2 eth0 -\n 3 vxlan.calico vxlan over 2\n 4 bpfin.cali veth here\n 5 bpfout.cali veth here\n \
             6 nodelocaldns dummy\n 7 cali1 veth elsewhere\n 8 cali2 veth elsewhere",
            7,
            "eth0 vxlan.calico bpfin.cali bpfout.cali cali1",
            "cali1",
        ),
        (
            "Cilium with routes for each endpoint",
            "1 lo -\n 2 eth0 -\n 3 cilium_net veth here\n 4 cilium_host veth here\n 5 cilium_vxlan vxlan\n \
             6 lxc_health veth elsewhere\n 7 lxc1 veth elsewhere\n 8 lxc2 netkit elsewhere",
            8,
            "eth0 cilium_net cilium_host cilium_vxlan lxc2",
            "lxc2",
        ),
        (
            "AWS VPC: several network cards",
            "1 lo -\n 2 ens5 - net\n 3 enib1 veth elsewhere\n 4 enib2 veth elsewhere\n 5 ens6 - net",
            3,
            "ens5 enib1 ens6",
            "enib1",
        ),
        (
            "kindnet: the node is a container, its uplink a veth",
            "1 lo -\n 2 eth0 veth elsewhere net\n 3 vethaa veth elsewhere\n 4 vethbb veth elsewhere",
            4,
            "eth0 vethbb",
            "vethbb",
        ),
        (
            "a node in a pod: its uplink has a single address and the default route",
            "1 lo -\n 2 eth0 veth elsewhere\n 3 cali1 veth elsewhere\n 4 cali2 veth elsewhere",
            3,
            "eth0 cali1",
            "cali1",
        ),
        (
            "IPVS, a VLAN on a bond",
            "1 lo -\n 2 bond0 bond net\n 3 eth0 - master 2\n 4 eth1 - master 2\n 5 bond0.7 vlan over 2\n \
             6 kube-ipvs0 dummy\n 7 cali1 veth elsewhere\n 8 cali2 veth elsewhere",
            7,
            "bond0 eth0 eth1 bond0.7 cali1",
            "cali1",
        ),
    ];
    for (what, text, oif, way, end) in table {
        let facts = facts(text, Some(by(oif)));
        assert_eq!(names(&facts, Extent::Way), way, "{what}");
        assert_eq!(names(&facts, Extent::Ends), end, "{what}");
    }
}

const BRIDGE: &str = "1 lo -\n 2 eth0 - net\n 3 flannel.1 vxlan over 2\n 4 cni0 bridge net\n \
                      5 veth1 veth elsewhere master 4\n 6 veth2 veth elsewhere master 4\n 7 docker0 bridge net\n \
                      8 veth3 veth elsewhere master 7";
const MAC: Mac = [2, 0, 0, 0, 0, 5];

fn heard(mut facts: Facts, bridge: u32, port: u32) -> Facts {
    facts.neighbours.insert((LinkIndex(bridge), ip(POD)), MAC);
    facts.stations.insert((LinkIndex(bridge), MAC), LinkIndex(port));
    facts
}

#[test]
fn bridge_tells_the_port() {
    let way = "eth0 flannel.1 cni0";
    let told = heard(facts(BRIDGE, Some(by(4))), 4, 6);
    assert_eq!(names(&told, Extent::Way), format!("{way} veth2 docker0"));
    assert_eq!(names(&told, Extent::Ends), "veth2");
    let untold = facts(BRIDGE, Some(by(4)));
    assert_eq!(names(&untold, Extent::Way), format!("{way} veth1 veth2 docker0 ?"));
    assert_eq!(names(&untold, Extent::Ends), "veth1 veth2 ?");
    let mut half = told.clone();
    half.stations.clear();
    assert_eq!(names(&half, Extent::Ends), "veth1 veth2 ?", "the neighbour alone tells nothing");
}

#[test]
fn bridge_that_forgets_a_pod_does_not_move_it() {
    let before = choose(&heard(facts(BRIDGE, Some(by(4))), 4, 6), Extent::Ends, &[ip(POD)], &BTreeMap::new());
    let forgotten = facts(BRIDGE, Some(by(4)));
    assert_eq!(names_after(&forgotten, Extent::Ends, &before.places), "veth2");
    let gone = facts(&BRIDGE.replace("6 veth2 veth elsewhere master 4", ""), Some(by(4)));
    assert_eq!(names_after(&gone, Extent::Ends, &before.places), "veth1 ?");
    let reused =
        facts(&BRIDGE.replace("6 veth2 veth elsewhere master 4", "6 veth9 veth elsewhere"), Some(by(4)));
    assert_eq!(names_after(&reused, Extent::Ends, &before.places), "veth1 ?");
}

#[test]
fn bridge_over_all_nodes() {
    let weave = "1 lo -\n 2 eth0 - net\n 3 weave bridge net\n 4 vethwe-bridge veth here master 3\n \
                 5 vethwe-datapath veth here\n 6 datapath openvswitch\n 7 vethwepl1 veth elsewhere master 3\n \
                 8 vethwepl2 veth elsewhere master 3";
    let way = "eth0 weave vethwe-bridge vethwe-datapath datapath";
    let local = heard(facts(weave, Some(by(3))), 3, 8);
    assert_eq!(names(&local, Extent::Way), format!("{way} vethwepl2"));
    let remote = heard(facts(weave, Some(by(3))), 3, 4);
    assert_eq!(names(&remote, Extent::Way), way);
    assert_eq!(names(&remote, Extent::Ends), "");
}

#[test]
fn vlan_on_a_bridge_is_the_bridge() {
    let text = "1 lo -\n 2 eth0 - master 3\n 3 br0 bridge\n 4 br0.7 vlan over 3 net\n 5 veth1 veth elsewhere master 3\n \
                6 veth2 veth elsewhere master 3";
    let mut facts = facts(text, Some(by(4)));
    assert_eq!(names(&facts, Extent::Ends), "veth1 veth2 ?");
    facts.neighbours.insert((LinkIndex(4), ip(POD)), MAC);
    facts.stations.insert((LinkIndex(3), MAC), LinkIndex(5));
    assert_eq!(names(&facts, Extent::Ends), "veth1");
}

#[test]
fn bridged_uplink_of_a_node_that_is_a_container() {
    let text = "1 lo -\n 2 br0 bridge net\n 3 eth0 veth elsewhere master 2\n 4 veth1 veth elsewhere master 2";
    let mut facts = facts(text, Some(by(2)));
    let gateway: IpAddr = ip("192.0.2.1");
    facts.neighbours.insert((LinkIndex(2), gateway), [2, 0, 0, 0, 0, 1]);
    facts.stations.insert((LinkIndex(2), [2, 0, 0, 0, 0, 1]), LinkIndex(3));
    assert_eq!(names(&heard(facts, 2, 4), Extent::Way), "br0 eth0 veth1");
}

#[test]
fn devices_of_the_plugin_hide_where_a_pod_is() {
    let cilium = "1 lo -\n 2 eth0 -\n 3 cilium_net veth here\n 4 cilium_host veth here net\n 5 lxc1 veth elsewhere\n \
                  6 lxc2 veth elsewhere";
    let own = Some(Route::Link(LinkIndex(4), Some(ip("10.244.1.1"))));
    assert_eq!(names(&facts(cilium, own), Extent::Way), "eth0 cilium_net cilium_host lxc1 lxc2 ?");
    assert_eq!(names(&facts(cilium, own), Extent::Ends), "lxc1 lxc2 ?");
    let antrea = "1 lo -\n 2 eth0 -\n 3 ovs-system openvswitch\n 4 antrea-gw0 openvswitch net\n \
                  5 antrea-tun0 geneve master 3\n 6 nginx-1 veth elsewhere master 3";
    assert_eq!(
        names(&facts(antrea, Some(by(4))), Extent::Way),
        "eth0 ovs-system antrea-gw0 antrea-tun0 nginx-1 ?"
    );
}

#[test]
fn what_is_not_here_adds_nothing() {
    let text = "1 lo -\n 2 eth0 - net\n 3 vxlan.calico vxlan over 2\n 4 cali1 veth elsewhere\n 5 gre0 gre down\n \
                6 cni0 bridge net\n 7 veth1 veth elsewhere master 6";
    let way = "eth0 vxlan.calico cni0";
    let remote = Some(Route::Link(LinkIndex(3), Some(ip("10.244.2.0"))));
    let beyond = Some(Route::Link(LinkIndex(6), Some(ip("10.244.2.0"))));
    for route in [None, Some(Route::Local), Some(UPLINK), remote, beyond, Some(by(1)), Some(by(99))] {
        assert_eq!(names(&facts(text, route), Extent::Way), way, "{route:?}");
        assert_eq!(names(&facts(text, route), Extent::Ends), "", "{route:?}");
    }
    let none = choose(&facts(text, Some(by(4))), Extent::Way, &[], &BTreeMap::new());
    assert_eq!(none.links, [2, 3, 6].map(LinkIndex).into());
}

#[test]
fn several_addresses_add_up() {
    let mut facts = heard(facts(BRIDGE, Some(by(4))), 4, 5);
    let (node, other) = (ip("192.0.2.7"), ip("fd00::5"));
    facts.routes.insert(node, Route::Local);
    facts.routes.insert(other, Route::Link(LinkIndex(7), None));
    let choice = choose(&facts, Extent::Ends, &[ip(POD), node, other], &BTreeMap::new());
    assert_eq!(choice.links, [5, 8].map(LinkIndex).into());
    assert_eq!(choice.untold().collect::<Vec<_>>(), [other]);
    assert_eq!(choice.places[&node], Place::Node);
}
