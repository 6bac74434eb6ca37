//! The table for people: a line for each interface, so that `grep` finds all that belongs together.

use std::fmt::Display;
use std::io;

use super::{Interface, Room, Survey};
use crate::evidence::{Program, ProgramHook, Tunnel};
use crate::output::{columns, printable};

const TITLES: [&str; 13] = [
    "NETNS",
    "INODE",
    "INDEX",
    "INTERFACE",
    "POD",
    "STATE",
    "KIND",
    "MTU",
    "ADDRESSES",
    "LEADS TO",
    "PROGRAMS",
    "PROCESSES",
    "CONTAINERS",
];
/// Things of a kind that are shown: kube-proxy's IPVS mode gives one interface thousands of addresses.
const MAX_SHOWN: usize = 3;
/// Digits of a container's identifier that are shown, as container runtimes do.
const ID_LEN: usize = 12;

/// Writes the table; a column that nobody fills is left out.
pub fn table(survey: &Survey, out: &mut impl io::Write) -> io::Result<()> {
    let rows: Vec<_> = survey
        .namespaces
        .iter()
        .flat_map(|room| room.interfaces.iter().map(|one| row(room, one, survey)))
        .collect();
    columns(out, TITLES, &rows)
}

fn row(room: &Room, interface: &Interface, survey: &Survey) -> [String; 13] {
    let link = &interface.link;
    let processes = room.processes.iter().map(|process| format!("{} {}", process.pid, process.name));
    let count = room.process_count.unwrap_or(0).max(room.processes.len());
    let containers = room.containers.iter().map(|container| container.id.chars().take(ID_LEN).collect());
    let addresses = link.addresses.iter().map(|own| {
        let duplicate = if own.is_duplicate { " (duplicate)" } else { "" };
        format!("{}/{}{duplicate}", own.address, own.prefix)
    });
    let cells = [
        room.label(),
        room.netns.to_string(),
        link.index.0.to_string(),
        link.name.clone(),
        some(
            interface.pods.iter().map(|pod| pod.strip_prefix("default/").unwrap_or(pod)),
            interface.pods.len(),
        ),
        state(interface).to_owned(),
        link.kind.0.clone(),
        if link.mtu == 0 { String::new() } else { link.mtu.to_string() },
        some(addresses, link.addresses.len()),
        leads_to(interface, survey),
        some(interface.programs.iter().map(program), interface.programs.len()),
        some(processes, count),
        some(containers.map(|id: String| id), room.containers.len()),
    ];
    cells.map(|cell| printable(&cell))
}

fn state(interface: &Interface) -> &'static str {
    match (interface.link.is_up, interface.link.has_carrier) {
        (false, _) => "down",
        (true, false) => "no-carrier",
        (true, true) => "up",
    }
}

/// The first few of many, and how many more there are.
fn some(all: impl Iterator<Item = impl Display>, count: usize) -> String {
    let mut shown: Vec<_> = all.take(MAX_SHOWN).map(|one| one.to_string()).collect();
    if count > shown.len() {
        shown.push(format!("{} more", count - shown.len()));
    }
    shown.join(", ")
}

/// The other end, what it is a port of, what a tunnel is made of, and who is behind it.
fn leads_to(interface: &Interface, survey: &Survey) -> String {
    let link = &interface.link;
    let master = interface.master_name.as_ref().map(|name| format!("port of {name}"));
    let behind = (!interface.behind.is_empty())
        .then(|| format!("to {}", some(interface.behind.iter(), interface.behind.len())));
    let tunnel = link.tunnel.as_ref().map(tunnel).filter(|words| !words.is_empty());
    let parts = [peer(interface, survey), master, tunnel, behind];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn peer(interface: &Interface, survey: &Survey) -> Option<String> {
    let link = &interface.link;
    let index = link.peer?.0;
    let name = interface.peer_name.clone().unwrap_or_else(|| format!("index {index}"));
    if !link.is_peer_elsewhere {
        return Some(name);
    }
    let room = link.peer_netns.and_then(|netns| survey.namespaces.iter().find(|room| room.netns == netns));
    let place = match (room, link.peer_netns) {
        (Some(room), _) if room.label() != "-" => room.label(),
        (_, Some(netns)) => format!("netns {netns}"),
        (_, None) => "another netns".to_owned(),
    };
    Some(format!("{name} in {place}"))
}

fn tunnel(tunnel: &Tunnel) -> String {
    let words = [
        tunnel.vni.map(|vni| format!("vni {vni}")),
        tunnel.local.map(|local| format!("local {local}")),
        tunnel.remote.map(|remote| format!("remote {remote}")),
        tunnel.port.map(|port| format!("port {port}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// `tc-ingress 1 cil_from_netdev (id 7)`.
fn program(program: &Program) -> String {
    let hook = match program.hook {
        ProgramHook::Xdp => "xdp",
        ProgramHook::TcxIngress => "tcx-ingress",
        ProgramHook::TcxEgress => "tcx-egress",
        ProgramHook::TcIngress => "tc-ingress",
        ProgramHook::TcEgress => "tc-egress",
    };
    let name = program.name.clone().or_else(|| (program.kind != hook).then(|| program.kind.clone()));
    let id = program.id.map(|id| format!("(id {id})"));
    [Some(hook.to_owned()), name, id].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::evidence::{Link, LinkAddress, testing};
    use crate::ifaces::{Container, Process};
    use crate::way::LinkIndex;

    pub(in crate::ifaces) fn interface(index: u32, name: &str, kind: &str) -> Interface {
        let link = Link { is_peer_elsewhere: false, ..testing::link(index, name, kind, &[]) };
        Interface {
            link,
            programs: Vec::new(),
            behind: Vec::new(),
            master_name: None,
            peer_name: None,
            pods: Vec::new(),
        }
    }

    #[test]
    fn all_that_people_look_up_by_hand() {
        let mut cali = interface(3, "cali1", "veth");
        cali.link.peer = Some(LinkIndex(2));
        (cali.link.peer_netns, cali.link.is_peer_elsewhere) = (Some(22), true);
        cali.behind = vec!["10.244.0.5".parse().unwrap()];
        cali.programs = vec![Program {
            link: LinkIndex(3),
            hook: ProgramHook::TcIngress,
            id: Some(7),
            name: Some("from\x1bpod".to_owned()),
            kind: "bpf".to_owned(),
            priority: Some(1),
            is_own: false,
        }];
        let mut eth0 = interface(2, "eth0", "veth");
        let address = "10.244.0.5".parse().unwrap();
        eth0.link.addresses = vec![LinkAddress { address, prefix: 32, is_duplicate: false }];
        (eth0.link.peer, eth0.link.is_peer_elsewhere) = (Some(LinkIndex(3)), true);
        eth0.pods = vec!["default/web".to_owned()];
        let id = "0123456789abcdef".repeat(4);
        let pod = Room {
            netns: 22,
            names: vec!["cni-1".to_owned()],
            processes: vec![Process { pid: 7, name: "pause".to_owned() }],
            process_count: Some(4),
            containers: vec![Container { id, runtime: None }],
            interfaces: vec![eth0],
            ..Room::default()
        };
        let node = Room { netns: 11, is_own: true, interfaces: vec![cali], ..Room::default() };
        let mut survey = Survey { namespaces: vec![node, pod], ..Survey::default() };
        survey.join();
        let mut text = Vec::new();
        table(&survey, &mut text).unwrap();
        let expected = "\
NETNS  INODE  INDEX  INTERFACE  POD  STATE  KIND  MTU   ADDRESSES      LEADS TO                      PROGRAMS                         PROCESSES        CONTAINERS
(own)  11     3      cali1           up     veth  1500                 eth0 in cni-1; to 10.244.0.5  tc-ingress from\\u{1b}pod (id 7)
cni-1  22     2      eth0       web  up     veth  1500  10.244.0.5/32  index 3 in another netns                                       7 pause, 3 more  0123456789ab
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
