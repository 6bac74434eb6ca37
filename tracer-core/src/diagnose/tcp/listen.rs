//! Listeners at which more connections wait than they take.

use crate::diagnose::case::Case;
use crate::diagnose::failure::Failure;
use crate::diagnose::finding::{Finding, Rank};
use crate::diagnose::service::{Aim, Far};
use crate::diagnose::verdict::{Cause, Fact, Outcome, Source};
use crate::diagnose::words;
use crate::evidence::{Evidence, Snapshot, Socket, SocketState};
use crate::flow::{Endpoint, Protocol};
use crate::report::{FlowReport, LaneReport};

/// Counters of connections that a listener had no room for, by the names of `nstat` (net/ipv4/proc.c).
const COUNTERS: [&str; 3] = ["TcpExtListenOverflows", "TcpExtTCPReqQFullDrop", "TcpExtTCPReqQFullDoCookies"];
/// Counts connections that were not taken for any reason: want of room, of memory, of a route back
/// (`tcp_conn_request` in `net/ipv4/tcp_input.c`).
const GENERAL_COUNTER: &str = "TcpExtListenDrops";
const REASONS: &[&str] = &["TCP_LISTEN_OVERFLOW"];

/// A listener did not take a connection in time:
///
/// 1. SYNs arrived and were not answered, or what opens the connection was sent again although it had arrived.
/// 2. The kernel says that it dropped one of them for that, or as many wait at the listener as it takes: proof.
/// 3. Counters of such connections rose meanwhile where it listens: strong. Only the one of connections not taken for any
///    reason did: a hint.
/// 4. Where it listens could not be asked; SYNs arrived again and again, nobody dropped or refused them, and others to the
///    same port were answered: strong. A kernel swallows a SYN without a word only where there is no room for it.
pub(super) fn overflow(case: &Case<'_>) -> Vec<Finding> {
    let Some(tcp) = case.flow.tcp.as_ref().filter(|tcp| tcp.opened && tcp.reset.is_none()) else {
        return Vec::new();
    };
    let (forward, reply) = (&case.flow.forward, &case.flow.reply);
    let is_unanswered = !tcp.answered && forward.delivered > 0;
    let is_repeated = repeated_though_arrived(forward) || repeated_though_arrived(reply);
    let dropped = case.failures.iter().find(|failure| failure.has_reason(REASONS));
    if !is_unanswered && !is_repeated && dropped.is_none() {
        return Vec::new();
    }
    let aim = Aim::of(case);
    let end = aim.end();
    let far = Far::of(case, end.address);
    let evidence = far.node.and_then(|node| case.evidence(node, far.pod));
    // What counted in between tells only a namespace that was asked twice.
    let is_unasked = evidence.is_none_or(|evidence| evidence.after.is_none());
    let listener = far.snapshot.and_then(|snapshot| listener(snapshot, end));
    let crowded = listener.filter(|socket| socket.receive_queue >= socket.send_queue.max(1));
    let risen = evidence.map(risen).unwrap_or_default();
    let rank = match (dropped, crowded, risen.is_empty()) {
        (Some(_), _, _) | (None, Some(_), false) => Rank::Proof,
        (None, Some(_), true) | (None, None, false) => Rank::Strong,
        (None, None, true) if evidence.is_some_and(|evidence| evidence.rise(GENERAL_COUNTER) > 0) => {
            Rank::Hint
        }
        (None, None, true) if is_unasked && is_unanswered && is_swallowed(case, end) => Rank::Strong,
        (None, None, true) => return Vec::new(),
    };
    let who = far.name(end.address);
    let queue = crowded
        .map(|socket| format!(" ({} wait, and {} may)", socket.receive_queue, socket.send_queue))
        .unwrap_or_default();
    let summary = format!(
        "{who} does not take the connection: too many wait at its listener on port {}{queue}",
        end.port.0
    );
    let outcome = if tcp.answered { Outcome::Slow } else { Outcome::Dropped };
    let mut finding = match dropped {
        Some(failure) => Finding::of(failure, Cause::ListenOverflow, rank, outcome, summary),
        None => Finding::new(Cause::ListenOverflow, rank, outcome, summary),
    };
    if let (None, Some(mut spot)) = (dropped, far.spot()) {
        spot.after = forward.hops.last().map(crate::report::Hop::place);
        finding = finding.at(spot);
    }
    finding.packets = finding.packets.max(forward.packets);
    if is_unasked && dropped.is_none() {
        let text = format!(
            "other connections to {end} were answered, {} of this one arrived and were not, and no kernel says that it \
             dropped them",
            words::count(forward.delivered, "SYN")
        );
        finding = finding.fact(Fact::general(Source::Packets, text));
    }
    if let Some(snapshot) = far.snapshot {
        let general = evidence.map_or(0, |evidence| evidence.rise(GENERAL_COUNTER));
        let general = (general > 0).then_some((GENERAL_COUNTER, general));
        for (name, rise) in risen.into_iter().chain(general) {
            finding = finding.fact(Fact::of(Source::Counters, snapshot, format!("{name} rose by {rise}")));
        }
        if let Some(socket) = crowded {
            finding = finding.fact(Fact::of(Source::Sockets, snapshot, queue_words(socket)));
        }
    }
    vec![finding.remedy(format!(
        "let the server in {who} accept faster, or let more wait: the backlog that it gives to listen(2), and \
         net.core.somaxconn where it runs, whichever is less; SYN floods are met by net.ipv4.tcp_syncookies"
    ))]
}

/// Whether SYNs came to a port that answers others, and vanished there although kernels tell what they drop.
fn is_swallowed(case: &Case<'_>, end: Endpoint) -> bool {
    let tells_drops = |snapshot: &Snapshot| snapshot.missing.iter().all(|missing| missing.what != "drops");
    let is_told = case.snapshots().next().is_some() && case.snapshots().all(tells_drops);
    let forward = &case.flow.forward;
    let arrived = forward.delivered > 1 && forward.stopped.is_empty();
    let is_silent = case.failures.iter().all(Failure::is_silent) && case.flow.icmp_errors.is_empty();
    let answers = |flow: &&FlowReport| {
        let is_there = flow.tuples.iter().any(|tuple| tuple.destination == end);
        is_there && flow.tcp.as_ref().is_some_and(|tcp| tcp.answered)
    };
    is_told && arrived && is_silent && case.report.flows.iter().any(|flow| answers(&flow))
}

fn repeated_though_arrived(lane: &LaneReport) -> bool {
    lane.retransmitted.iter().any(|again| again.stopped_after.is_none() && !again.unknown)
}

fn risen(evidence: &Evidence) -> Vec<(&'static str, u64)> {
    let rises = COUNTERS.into_iter().map(|name| (name, evidence.rise(name)));
    rises.filter(|(_, rise)| *rise > 0).collect()
}

fn listener(snapshot: &Snapshot, end: Endpoint) -> Option<&Socket> {
    snapshot.sockets.iter().find(|socket| {
        socket.protocol == Protocol::TCP
            && socket.state == SocketState::Listen
            && socket.local_port == end.port.0
            && (socket.local.is_unspecified() || socket.local == end.address)
    })
}

fn queue_words(socket: &Socket) -> String {
    format!(
        "{} wait at the listener on {}:{}, whose backlog is {}",
        words::count(socket.receive_queue.into(), "connection"),
        socket.local,
        socket.local_port,
        socket.send_queue
    )
}
