//! What becomes of an ICMP echo to a service's address: people try it first, and it tells nothing of the service.

use std::net::IpAddr;

use serde::Serialize;

use super::super::client::Client;
use super::super::course::{Course, End};
use super::super::world::World;
use crate::flow::{Endpoint, Port, Protocol};
use crate::resolve::ServiceFacts;

/// An ICMP echo.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PingStory {
    /// To which address.
    pub to: IpAddr,
    /// From whom.
    pub client: Client,
    /// Whether it gets an answer; absent where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_answered: Option<bool>,
    /// Why, in a sentence.
    pub text: String,
    /// Its ways.
    pub courses: Vec<Course>,
}

/// Pings an address of a service in thought; absent where nobody can send to it.
pub(super) fn tell(world: &World<'_>, service: &ServiceFacts, to: IpAddr) -> Option<PingStory> {
    let behind: Vec<IpAddr> = service.endpoints().map(|each| each.address).collect();
    let client = world.inside(to, &behind);
    let protocol = if to.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
    let target = Endpoint { address: to, port: Port(0) };
    let courses = world.send(&client, protocol, target);
    let course = courses.first()?;
    let (is_answered, text) = words(world, service, target, course);
    Some(PingStory { to, client, is_answered, text, courses })
}

fn words(world: &World<'_>, service: &ServiceFacts, to: Endpoint, course: &Course) -> (Option<bool>, String) {
    let address = to.address;
    if let Some(target) = course.translated(to) {
        return (None, format!("rules send it on to {}", world.named(target.address)));
    }
    let node = &course.node;
    match &course.end {
        End::Delivered { .. } => {
            let owner = world.of_node(node).and_then(|place| {
                place.links.iter().find(|link| link.addresses.iter().any(|each| each.address == address))
            });
            let who =
                owner.map_or_else(|| "a local route has".to_owned(), |link| format!("{} has", link.name));
            (Some(true), format!("{node} itself answers, whatever the service does: {who} the address there"))
        }
        End::Rejected { rule, with } => (Some(false), format!("{node} refuses it with {with}: {rule}")),
        End::Dropped { rule, .. } => (Some(false), format!("{node} drops it: {rule}")),
        End::Sent { link, next_hop, .. } => {
            let hop = next_hop.map(|hop| format!(" to {}", world.named(hop))).unwrap_or_default();
            let why = format!(
                "no answer: the service's rules are for {} only, and nothing has the address {address}; the echo leaves \
                 {node} as it is, by {link}{hop}",
                ports(service)
            );
            (Some(false), why)
        }
        End::Unknown { why } => (None, format!("what becomes of it cannot be told: {why}")),
        End::NotForwarded { .. }
        | End::RouteRefuses { .. }
        | End::NoRoute
        | End::LinkDown { .. }
        | End::NeighbourFailed { .. }
        | End::Handed { .. } => {
            let why = format!(
                "no answer: the service's rules are for {} only, nothing has the address {address}, and {node} has no way for it",
                ports(service)
            );
            (Some(false), why)
        }
    }
}

/// `TCP 80 and UDP 53`.
fn ports(service: &ServiceFacts) -> String {
    let all: Vec<String> =
        service.ports.iter().filter_map(|port| Some(format!("{} {}", port.protocol?, port.port))).collect();
    if all.is_empty() { "its ports".to_owned() } else { all.join(" and ") }
}
