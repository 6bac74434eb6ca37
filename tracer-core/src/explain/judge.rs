//! What is wrong with a packet's way, whoever it is for.

use super::course::{Course, End};
use super::listen::Listener;
use super::world::World;
use super::{Findings, ProblemKind};

/// Says what stops packets of a course. `what` names them: `TCP packets from pod-src to 10.107.94.97:8080`.
pub(super) fn judge(world: &World<'_>, what: &str, course: &Course, findings: &mut Findings) {
    let place = place(course);
    match &course.end {
        End::Delivered { .. } | End::Handed { .. } => {}
        End::Sent { link, to, .. } => led_astray(world, what, course, (link, to.as_deref()), findings),
        End::Dropped { rule, policy: Some(policy) } => findings.problem(
            ProblemKind::NetworkPolicy,
            format!("{place} drops {what} by the network policy {policy}: {rule}"),
            format!("allow them in {policy}, or add a policy that allows them"),
        ),
        End::Dropped { rule, policy: None } => findings.problem(
            ProblemKind::FirewallDrop,
            format!("{place} drops {what}: {rule}"),
            "remove the rule, or put one that accepts them before it".to_owned(),
        ),
        End::Rejected { rule, with } => findings.problem(
            ProblemKind::FirewallReject,
            format!("{place} refuses {what} with {with}: {rule}"),
            "remove the rule, or put one that accepts them before it".to_owned(),
        ),
        End::NotForwarded { interface } => findings.problem(
            ProblemKind::ForwardingDisabled,
            format!("{place} does not forward what comes in by {interface}: {what} end there"),
            format!("set {}=1 (and for the interface) on {place}", forwarding(course)),
        ),
        End::RouteRefuses { how: "blackhole", route } => findings.problem(
            ProblemKind::BlackholeRoute,
            format!("{place} lets {what} vanish: blackhole route {route}"),
            format!("see why {place} has no better route to {}", course.packet.destination.address),
        ),
        End::RouteRefuses { how, route } => findings.problem(
            ProblemKind::RouteRefuses,
            format!("{place} refuses {what}: {how} by {route}"),
            "remove the route or the routing rule".to_owned(),
        ),
        End::NoRoute => findings.problem(
            ProblemKind::NoRoute,
            format!("{place} has no route to {}: {what} end there", course.packet.destination.address),
            "see whether the network plugin runs on this node and has written its routes".to_owned(),
        ),
        End::LinkDown { link } => findings.problem(
            ProblemKind::InterfaceDown,
            format!("{link} of {place} is down: {what} would leave by it"),
            format!("`ip link set {link} up` on {place}, and see who took it down"),
        ),
        End::NeighbourFailed { link, next_hop } => findings.problem(
            ProblemKind::NeighbourFailed,
            format!("nobody answers {place} for {} on {link}: {what} end there", world.named(*next_hop)),
            format!("see whether {next_hop} is up and in the network of {link}"),
        ),
        End::Unknown { why } => findings.note(format!("where {what} go cannot be told at {place}: {why}")),
    }
}

/// A next hop that is another node than the one that the destination is on.
fn led_astray(
    world: &World<'_>,
    what: &str,
    course: &Course,
    (link, to): (&str, Option<&str>),
    findings: &mut Findings,
) {
    let address = course.packet.destination.address;
    let Some((to, home)) = to.zip(world.state.node_of_address(address)).filter(|(to, home)| to != home)
    else {
        return;
    };
    // A node may route for others; where it was asked, its own routes tell.
    if course.pod.is_some() || world.of_node(to).is_some() {
        return;
    }
    findings.problem(
        ProblemKind::TunnelPeerWrong,
        format!("{} sends {what} by {link} to {to}, and {} is on {home}", course.node, world.named(address)),
        format!("see which route, neighbour or forwarding entry of {} names {to} for {address}", course.node),
    );
}

/// What is wrong with who listens at the end of a course.
pub(super) fn judge_listener(world: &World<'_>, course: &Course, findings: &mut Findings) {
    let End::Delivered { listener } = &course.end else { return };
    let to = course.packet.destination;
    let protocol = course.packet.protocol;
    let whose = course.pod.as_deref().map_or_else(
        || format!("node {}", course.node),
        |pod| format!("pod {}", super::world::pod_label(pod)),
    );
    match listener {
        Listener::There | Listener::Unknown => {}
        Listener::Nobody => findings.problem(
            ProblemKind::TargetPortUnserved,
            format!(
                "nobody in {whose} listens on {protocol} port {} at {}",
                to.port.0,
                world.named(to.address)
            ),
            "correct the targetPort, or let the container listen on it".to_owned(),
        ),
        Listener::Elsewhere(own) => {
            let own: Vec<String> = own.iter().map(ToString::to_string).collect();
            findings.problem(
                ProblemKind::ListensElsewhere,
                format!(
                    "in {whose} {protocol} port {} is listened on at {} only, and packets come for {}",
                    to.port.0,
                    own.join(", "),
                    to.address
                ),
                "let the container listen on 0.0.0.0 (or ::)".to_owned(),
            );
        }
    }
}

/// Where a course ends.
fn place(course: &Course) -> String {
    match &course.pod {
        Some(pod) => format!("pod {}", super::world::pod_label(pod)),
        None => course.node.clone(),
    }
}

fn forwarding(course: &Course) -> &'static str {
    if course.packet.destination.address.is_ipv4() {
        "net.ipv4.ip_forward"
    } else {
        "net.ipv6.conf.all.forwarding"
    }
}
