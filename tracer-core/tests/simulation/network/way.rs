//! From client to server and back, station by station.

use tracer_core::flow::FlowKey;
use tracer_core::packet::TunnelKind;
use tracer_core::units::Direction;

use super::address::underlay;
use super::nat::{Translation, translation};
use super::{Network, Passage, Station, Tunnel, VNI, Way};
use crate::plan::{Client, Encapsulation, Family, Flow, Plan, Target};

const FIRST_TTL: u8 = 64;

impl Network {
    /// The way from client to server.
    pub(super) fn forward(&mut self, plan: &Plan, number: usize, flow: &Flow) -> Way {
        let server = flow.target.pod();
        let home = plan.pods[server].node;
        let Translation { outside, inside } = translation(plan, number, flow);
        let mut way = Vec::new();
        let entry = match (flow.client, flow.target) {
            (Client::Pod(client), _) => {
                let node = plan.pods[client].node;
                let inner = self.interface(plan, node, Some(client), "eth0".to_owned());
                let outer = self.interface(plan, node, None, format!("cali{client}"));
                way.push(station(inner, Direction::Egress, outside, FIRST_TTL));
                way.push(station(outer, Direction::Ingress, outside, FIRST_TTL));
                node
            }
            (Client::Outside, Target::NodePort { node, .. }) => {
                let uplink = self.interface(plan, node, None, "eth0".to_owned());
                way.push(station(uplink, Direction::Ingress, outside, FIRST_TTL - 3));
                node
            }
            (Client::Outside, _) => panic!("who is outside reaches node ports only"),
        };
        let mut ttl = way[way.len() - 1].ttl - 1;
        if entry != home {
            self.across(plan, flow.family, [entry, home], inside, ttl, &mut way);
            ttl -= 1;
        }
        let outer = self.interface(plan, home, None, format!("cali{server}"));
        let inner = self.interface(plan, home, Some(server), "eth0".to_owned());
        way.push(station(outer, Direction::Egress, inside, ttl));
        way.push(station(inner, Direction::Ingress, inside, ttl));
        way
    }

    /// From node to node, through the tunnels.
    fn across(
        &mut self,
        plan: &Plan,
        family: Family,
        nodes: [usize; 2],
        tuple: FlowKey,
        ttl: u8,
        way: &mut Way,
    ) {
        let mut worn: Vec<Tunnel> = Vec::new();
        let mut devices = Vec::new();
        for (level, encapsulation) in plan.tunnels.iter().enumerate() {
            let name = match encapsulation {
                Encapsulation::Ipip => format!("tunl{level}"),
                Encapsulation::Vxlan => format!("vxlan{level}"),
                Encapsulation::Geneve => format!("geneve{level}"),
                Encapsulation::Gre => format!("gre{level}"),
            };
            devices.push((name.clone(), worn.clone()));
            let device = self.interface(plan, nodes[0], None, name);
            way.push(Station { tunnels: worn.clone(), ..station(device, Direction::Egress, tuple, ttl) });
            let is_v6 = worn.is_empty() && family == Family::V6;
            let kind = match encapsulation {
                Encapsulation::Ipip if is_v6 => TunnelKind::Ip6,
                Encapsulation::Ipip => TunnelKind::Ipip,
                Encapsulation::Vxlan => TunnelKind::Vxlan { vni: VNI },
                Encapsulation::Geneve => TunnelKind::Geneve { vni: VNI },
                Encapsulation::Gre => TunnelKind::Gre,
            };
            let (source, destination) =
                (underlay(plan.underlay, nodes[0], level), underlay(plan.underlay, nodes[1], level));
            worn.insert(0, Tunnel { kind, source, destination });
        }
        let out = self.interface(plan, nodes[0], None, "eth0".to_owned());
        way.push(Station { tunnels: worn.clone(), ..station(out, Direction::Egress, tuple, ttl) });
        let into = self.interface(plan, nodes[1], None, "eth0".to_owned());
        let ingress = station(into, Direction::Ingress, tuple, ttl);
        way.push(Station { tunnels: worn, before: Passage::Wire, ..ingress });
        for (name, tunnels) in devices.into_iter().rev() {
            let device = self.interface(plan, nodes[1], None, name);
            let ingress = station(device, Direction::Ingress, tuple, ttl);
            way.push(Station { tunnels, before: Passage::Decapsulation, ..ingress });
        }
    }
}

fn station(interface: usize, direction: Direction, tuple: FlowKey, ttl: u8) -> Station {
    Station { interface, direction, tuple, tunnels: Vec::new(), ttl, before: Passage::Local }
}

/// The same way in the other direction.
pub(super) fn backward(forward: &Way) -> Way {
    let mut way: Way = Vec::with_capacity(forward.len());
    for (index, there) in forward.iter().enumerate().rev() {
        let fallen = there.ttl - forward[forward.len() - 1].ttl;
        let swap =
            |tunnel: &Tunnel| Tunnel { source: tunnel.destination, destination: tunnel.source, ..*tunnel };
        let before = match forward.get(index + 1) {
            Some(next) if next.before == Passage::Wire => Passage::Wire,
            // What was encapsulated between two stations of the way there is decapsulated on the way back.
            Some(next) if next.tunnels.len() > there.tunnels.len() => Passage::Decapsulation,
            _ => Passage::Local,
        };
        way.push(Station {
            interface: there.interface,
            direction: there.direction.reversed(),
            tuple: there.tuple.reversed(),
            tunnels: there.tunnels.iter().map(swap).collect(),
            ttl: FIRST_TTL - fallen,
            before,
        });
    }
    way
}
