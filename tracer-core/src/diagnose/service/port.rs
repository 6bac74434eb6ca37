//! Ports that nobody listens on: the far end itself refuses.

use std::fmt::Write as _;

use super::sockets::{Listening, listening, ports};
use super::{Aim, Far, refusal, refusal_fact, spot_of};
use crate::diagnose::case::Case;
use crate::diagnose::failure::Failure;
use crate::diagnose::finding::{Finding, Rank};
use crate::diagnose::verdict::{Cause, Fact, Outcome, Source, Spot};
use crate::diagnose::words;
use crate::flow::{Endpoint, Protocol};
use crate::timeline::Orientation;

const NO_SOCKET: &[&str] = &["NO_SOCKET"];

/// The far end refuses what arrives:
///
/// 1. A RST answers the SYN, or an ICMP error "port unreachable" of the far end a datagram, and packets arrived there; or the
///    kernel says that it had no socket for what opens the flow, and its answer was not seen.
/// 2. Its sockets say that nobody listens, or the kernel drops for want of a socket: proof. Neither could be asked: a hint.
/// 3. Somebody listens, or packets ended on their way: it is something else.
/// 4. A service led there: the port that it sends to is not served. Else the port is closed.
pub(super) fn closed(case: &Case<'_>) -> Vec<Finding> {
    let aim = Aim::of(case);
    let end = aim.end();
    let far = Far::of(case, end.address);
    let unwanted = case.failures_of(Orientation::Forward).find(|failure| failure.has_reason(NO_SOCKET));
    let has_no_socket = unwanted.is_some();
    let silent = || unwanted.filter(|_| !case.is_answered()).and_then(Refused::silently);
    let Some(refused) = Refused::of(case, end).or_else(silent) else { return Vec::new() };
    let told =
        far.snapshot.map_or(Listening::Unknown, |snapshot| listening(snapshot, case.flow.protocol, end));
    let rank = match &told {
        Listening::Yes => return Vec::new(),
        _ if has_no_socket => Rank::Proof,
        Listening::Nobody | Listening::OtherAddress(_) => Rank::Proof,
        Listening::Unknown if arrived(case) => Rank::Hint,
        Listening::Unknown => return Vec::new(),
    };
    vec![finding(case, &aim, &far, &refused, &told, rank)]
}

/// How the far end says that it does not want it.
struct Refused {
    spot: Spot,
    fact: Fact,
}

impl Refused {
    fn of(case: &Case<'_>, end: Endpoint) -> Option<Self> {
        if let Some(tcp) = &case.flow.tcp {
            let from = tcp.reset_from.as_ref()?;
            if tcp.reset != Some(Orientation::Reply) || tcp.answered || !tcp.opened {
                return None;
            }
            let text = format!("a RST answers the SYN, first seen at {}", words::place(from));
            let (node, pod) = (Some(from.node.clone()), from.pod.clone());
            let fact = Fact { source: Source::Packets, node: node.clone(), pod: pod.clone(), text };
            return Some(Self { spot: Spot { node, pod, after: Some(from.clone()), before: None }, fact });
        }
        let error = refusal(case)?;
        let is_port =
            matches!((error.icmp, error.kind, error.code), (Protocol::ICMP, 3, 3) | (Protocol::ICMPV6, 1, 4));
        let is_its_own = error.sender.endpoint.address == end.address;
        (is_port && is_its_own).then(|| Self { spot: spot_of(error), fact: refusal_fact(error) })
    }
}

impl Refused {
    /// By the kernel's word alone.
    fn silently(failure: &Failure<'_>) -> Option<Self> {
        let fact = failure.facts().into_iter().next()?;
        Some(Self { spot: failure.spot.clone(), fact })
    }
}

/// Whether what was sent came to its end, as far as it was seen.
fn arrived(case: &Case<'_>) -> bool {
    let forward = &case.flow.forward;
    forward.delivered > 0 && forward.stopped.iter().all(|stop| stop.uncertain.is_some())
}

fn finding(
    case: &Case<'_>,
    aim: &Aim,
    far: &Far<'_>,
    refused: &Refused,
    told: &Listening<'_>,
    rank: Rank,
) -> Finding {
    let end = aim.end();
    let protocol = case.flow.protocol;
    let is_service = aim.target.is_some() && !aim.entries.is_empty();
    let reason = if is_service { Cause::TargetPortUnserved } else { Cause::ClosedPort };
    let who = far.name(end.address);
    let mut summary = match aim.entry().filter(|_| is_service) {
        Some(entry) => format!(
            "service {} sends to port {} of {who}, and nobody listens there",
            entry.name(),
            end.port.0
        ),
        None => format!("{who} refuses: nobody listens on {protocol} port {}", end.port.0),
    };
    if let Listening::OtherAddress(socket) = told {
        let _ = write!(summary, " at {}: only at {}", end.address, socket.local);
    }
    // Whoever sends the refusal is at the far end, whether its namespace is watched or not.
    let spot = far
        .spot()
        .map_or_else(|| refused.spot.clone(), |spot| Spot { after: refused.spot.after.clone(), ..spot });
    let mut finding = Finding::new(reason, rank, Outcome::Refused, summary)
        .at(spot)
        .packets(case.flow.forward.packets.max(1))
        .fact(refused.fact.clone())
        .remedy(remedy(aim, told, &who, is_service));
    for fact in facts(case, far, told, end) {
        finding = finding.fact(fact);
    }
    finding
}

fn facts(case: &Case<'_>, far: &Far<'_>, told: &Listening<'_>, end: Endpoint) -> Vec<Fact> {
    let protocol = case.flow.protocol;
    let mut facts: Vec<Fact> = case
        .failures
        .iter()
        .filter(|failure| failure.has_reason(NO_SOCKET))
        .flat_map(Failure::facts)
        .collect();
    if let Some(snapshot) = far.snapshot {
        let text = match told {
            Listening::OtherAddress(socket) => {
                Some(format!("{protocol} port {} is listened on at {} only", end.port.0, socket.local))
            }
            Listening::Nobody => Some(match ports(snapshot, protocol) {
                Some(ports) => {
                    format!("no socket for {protocol} port {}; somebody listens on {ports}", end.port.0)
                }
                None => format!("no socket for {protocol} port {}, nor for any other", end.port.0),
            }),
            Listening::Yes | Listening::Unknown => None,
        };
        facts.extend(text.map(|text| Fact::of(Source::Sockets, snapshot, text)));
    }
    facts
}

fn remedy(aim: &Aim, told: &Listening<'_>, who: &str, is_service: bool) -> String {
    let port = aim.end().port.0;
    match (told, aim.entry().filter(|_| is_service)) {
        (Listening::OtherAddress(socket), _) => {
            format!("let the server in {who} listen on all addresses instead of {}", socket.local)
        }
        (_, Some(entry)) => format!(
            "set targetPort of service {} to the port that {who} listens on, or let {who} listen on {port}",
            short_name(entry)
        ),
        _ => format!("start the server in {who}, or use the port that it listens on instead of {port}"),
    }
}

fn short_name(entry: &super::Entry) -> &str {
    crate::resolve::short(&entry.service.name)
}
