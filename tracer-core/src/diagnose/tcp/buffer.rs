//! Sockets without room for what arrives.

use crate::diagnose::case::Case;
use crate::diagnose::finding::{Finding, Rank};
use crate::diagnose::service::{Aim, Far};
use crate::diagnose::verdict::{Cause, Fact, Outcome, Source};
use crate::diagnose::words;
use crate::evidence::{Evidence, Snapshot, Socket};
use crate::flow::{Endpoint, Protocol};

/// Reasons of the kernel for which a socket throws away what it has no room for (`enum skb_drop_reason`).
const REASONS: &[&str] =
    &["SOCKET_RCVBUFF", "SOCKET_BACKLOG", "PROTO_MEM", "TCP_OFO_QUEUE_PRUNE", "TCP_OFO_DROP"];

/// A socket had no room:
///
/// 1. The kernel says so of packets of the flow: proof.
/// 2. Datagrams arrived, fewer answers came, and the socket that they are for counted drops meanwhile: strong.
pub(super) fn full(case: &Case<'_>) -> Vec<Finding> {
    let aim = Aim::of(case);
    let told = case.failures.iter().find(|failure| failure.has_reason(REASONS));
    if let Some(failure) = told {
        let who = words::actor(&failure.spot);
        let summary = format!("{who} dropped {}: the socket has no room for more", case.subject(failure));
        let finding = Finding::of(failure, Cause::SocketBufferFull, Rank::Proof, Outcome::Dropped, summary);
        let evidence = case.evidence_of(failure);
        let facts = evidence.map(|evidence| facts(evidence, aim.end())).unwrap_or_default();
        return vec![facts.into_iter().fold(finding, Finding::fact).remedy(remedy(&who))];
    }
    counted(case, &aim).into_iter().collect()
}

fn counted(case: &Case<'_>, aim: &Aim) -> Option<Finding> {
    let (forward, reply) = (&case.flow.forward, &case.flow.reply);
    if case.flow.protocol != Protocol::UDP || forward.delivered == 0 || reply.packets >= forward.packets {
        return None;
    }
    let end = aim.end();
    let far = Far::of(case, end.address);
    let evidence = case.evidence(far.node?, far.pod)?;
    let (drops, _) = drops(evidence, end)?;
    let who = far.name(end.address);
    let summary = format!(
        "{who} dropped {} to {end}: the socket has no room for more",
        words::count(drops, "datagram")
    );
    let mut spot = far.spot()?;
    spot.after = forward.hops.last().map(crate::report::Hop::place);
    let finding = Finding::new(Cause::SocketBufferFull, Rank::Strong, Outcome::Dropped, summary)
        .at(spot)
        .packets(drops.min(forward.packets));
    Some(facts(evidence, end).into_iter().fold(finding, Finding::fact).remedy(remedy(&who)))
}

fn remedy(who: &str) -> String {
    format!(
        "let the program in {who} read faster, or give its socket more room (SO_RCVBUF, up to net.core.rmem_max)"
    )
}

fn facts(evidence: &Evidence, end: Endpoint) -> Vec<Fact> {
    let snapshot = evidence.last();
    let mut facts = Vec::new();
    if let Some((drops, socket)) = drops(evidence, end) {
        let room = socket.receive_buffer.map(|bytes| format!(", room for {bytes} bytes")).unwrap_or_default();
        let text = format!(
            "the socket at {}:{} dropped {}; {} bytes wait to be read{room}",
            socket.local,
            socket.local_port,
            words::count(drops, "packet"),
            socket.receive_queue
        );
        facts.push(Fact::of(Source::Sockets, snapshot, text));
    }
    for name in ["UdpRcvbufErrors", "Udp6RcvbufErrors", "TcpExtTCPRcvQDrop", "TcpExtTCPBacklogDrop"] {
        let rise = evidence.rise(name);
        if rise > 0 {
            facts.push(Fact::of(Source::Counters, snapshot, format!("{name} rose by {rise}")));
        }
    }
    facts
}

/// By how much the drops of the socket at an end rose, and the socket; absent where they did not, or there are not two
/// times to compare.
fn drops(evidence: &Evidence, end: Endpoint) -> Option<(u64, &Socket)> {
    let after = evidence.after.as_ref()?;
    let last = socket(after, end)?;
    // A socket that was not there before counted from nothing.
    let first = socket(&evidence.before, end).map_or(0, |socket| socket.drops);
    let rise = last.drops.saturating_sub(first);
    (rise > 0).then_some((rise, last))
}

fn socket(snapshot: &Snapshot, end: Endpoint) -> Option<&Socket> {
    snapshot.sockets.iter().find(|socket| {
        socket.protocol == Protocol::UDP
            && socket.local_port == end.port.0
            && (socket.local.is_unspecified() || socket.local == end.address)
    })
}
