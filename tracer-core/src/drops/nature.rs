//! What it means that a packet was dropped: most socket buffers that kernels call dropped did what they were sent for.

use super::Notice;
use crate::flow::Protocol;
use crate::packet::{Packet, TcpFlags, Transport};

/// What it means that a packet was dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Nature {
    /// It was delivered, or was of no use any more, or another copy of it goes on.
    Benign,
    /// It reached the end of its way, and nobody there wanted it: whoever sent it is told, or sees no answer.
    Refused,
    /// It is lost.
    Lost,
}

/// Reasons of packets that were delivered, or of no use: (net/core/dropreason-core.h).
///
/// * `CONSUMED`, `NOT_DROPPED_YET`: no drop at all.
/// * `OTHERHOST`, `LOCAL_MAC`: a frame for another station, which a bridge or switch has flooded.
/// * `TCP_OLD_DATA`, `TCP_OLD_SEQUENCE`, `TCP_OFOMERGE`, `DUP_FRAG`: a repetition of what is there already.
/// * `TCP_OLD_ACK`, `TCP_TOO_OLD_ACK`, `TCP_RFC7323_PAWS_ACK`: an acknowledgement that a later one has overtaken.
/// * `TCP_RESET`: a RST, which the socket has obeyed.
/// * `QUEUE_PURGE`: data that a socket had received when it was closed.
/// * `PACKET_SOCK_ERROR`, `TAP_FILTER`, `TAP_TXFILTER`: the copy for somebody who looks on, as tcpdump does.
const BENIGN: [&str; 15] = [
    "CONSUMED",
    "DUP_FRAG",
    "LOCAL_MAC",
    "NOT_DROPPED_YET",
    "OTHERHOST",
    "PACKET_SOCK_ERROR",
    "QUEUE_PURGE",
    "TAP_FILTER",
    "TAP_TXFILTER",
    "TCP_OFOMERGE",
    "TCP_OLD_ACK",
    "TCP_OLD_DATA",
    "TCP_OLD_SEQUENCE",
    "TCP_RESET",
    "TCP_TOO_OLD_ACK",
];
const OLD_ACK: &str = "TCP_RFC7323_PAWS_ACK";

/// Reasons that a socket, or its absence, gives: the packet had arrived.
const OF_SOCKETS: [&str; 9] = [
    "IP_NOPROTO",
    "NO_SOCKET",
    "SOCKET_CLOSE",
    "SOCKET_FILTER",
    "TCP_ABORT_ON_DATA",
    "TCP_CLOSE",
    "TCP_FLAGS",
    "TCP_INVALID_SYN",
    "TCP_ZEROWINDOW",
];

/// Of these a packet that carries nothing is of no use to a socket that is closed.
const OF_CLOSED: [&str; 3] = ["SOCKET_CLOSE", "TCP_ABORT_ON_DATA", "TCP_CLOSE"];

/// A kernel says this where nobody has looked yet why.
const UNSPECIFIED: &str = "NOT_SPECIFIED";

/// Functions that let go, without a reason, of what a socket has taken: states of connections that end (`tcp_v4_rcv` for
/// `TIME_WAIT`, `net/ipv4/tcp_ipv4.c`), acknowledgements, queues that are emptied.
const TAKEN_BY: [&str; 17] = [
    "__skb_queue_purge",
    "inet_sock_destruct",
    "kfree_skb_list",
    "skb_queue_purge",
    "skb_rbtree_purge",
    "sk_stream_kill_queues",
    "tcp_ack",
    "tcp_clean_rtx_queue",
    "tcp_data_queue",
    "tcp_drop",
    "tcp_rcv_established",
    "tcp_rcv_state_process",
    "tcp_rcv_synsent_state_process",
    "tcp_v4_do_rcv",
    "tcp_v6_do_rcv",
    "tcp_v4_rcv",
    "tcp_v6_rcv",
];

/// Functions that hand copies to those who look on (`net/packet/af_packet.c`).
const ONLOOKERS: [&str; 3] = ["packet_rcv", "packet_rcv_spkt", "tpacket_rcv"];

/// Function that lets go of the buffers that hang on another one, whose own end tells what became of all of them
/// (`net/core/skbuff.c`, of packets that GRO joined).
const FOLLOWER: &str = "skb_release_data";

impl Nature {
    /// Decides by these rules, in this order:
    ///
    /// 1. A reason that is benign whatever the packet is, a copy for an onlooker, or a buffer that hangs on another: benign.
    /// 2. To a group of hosts: benign, since nobody waits for it.
    /// 3. Without a socket: of ICMP benign, because raw sockets were served before, of a RST too, since it asks for
    ///    nothing; anything else refused.
    /// 4. By a raw socket's filter, a clone: benign, for the packet itself goes on.
    /// 5. To a closed socket: benign if it carries nothing, else refused; other reasons of sockets: refused.
    /// 6. Without a reason, by a function that lets go of what a socket has taken: benign, but for a SYN.
    /// 7. Anything else: lost.
    pub fn of(notice: &Notice, packet: &Packet<'_>) -> Self {
        let reason = notice.reason.as_deref().filter(|reason| *reason != UNSPECIFIED);
        let function = notice.function.as_deref().unwrap_or_default();
        let flags = match packet.transport {
            Transport::Tcp(tcp) => tcp.flags,
            _ => TcpFlags::default(),
        };
        let is_to_group = is_group(packet);
        match reason {
            Some(reason) if BENIGN.contains(&reason) || reason == OLD_ACK => Self::Benign,
            _ if is_to_group || ONLOOKERS.contains(&function) || function == FOLLOWER => Self::Benign,
            Some("NO_SOCKET") if is_icmp(packet) || flags.any(TcpFlags::RST) => Self::Benign,
            Some("SOCKET_FILTER" | "SOCKET_RCVBUFF") if notice.is_clone => Self::Benign,
            Some(reason) if OF_CLOSED.contains(&reason) && is_empty(packet) => Self::Benign,
            Some(reason) if OF_SOCKETS.contains(&reason) => Self::Refused,
            None if TAKEN_BY.contains(&function) && !flags.is_open() => Self::Benign,
            _ => Self::Lost,
        }
    }
}

fn is_icmp(packet: &Packet<'_>) -> bool {
    packet.flow.protocol == Protocol::ICMP || packet.flow.protocol == Protocol::ICMPV6
}

fn is_empty(packet: &Packet<'_>) -> bool {
    packet.payload_len == 0
}

/// Whether the outermost destination is a group of hosts, or all of a network.
fn is_group(packet: &Packet<'_>) -> bool {
    let outermost =
        packet.tunnels.first().map_or(packet.flow.destination.address, |tunnel| tunnel.destination);
    match outermost {
        std::net::IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        std::net::IpAddr::V6(address) => address.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Endpoint, FlowKey, Port};
    use crate::packet::{IpFacts, TcpFacts};

    fn packet(
        protocol: Protocol,
        destination: &str,
        transport: Transport,
        payload_len: u32,
    ) -> Packet<'static> {
        let endpoint = |address: &str| Endpoint { address: address.parse().unwrap(), port: Port(80) };
        Packet {
            tunnels: Vec::new(),
            flow: FlowKey { protocol, source: endpoint("10.0.0.1"), destination: endpoint(destination) },
            ip: IpFacts { identification: None, ttl: 64, fragment: None },
            transport,
            payload_len,
            is_header_cut: false,
            payload: &[],
        }
    }

    fn tcp(flags: u8, payload_len: u32) -> Packet<'static> {
        let facts = TcpFacts { flags: TcpFlags(flags), ..TcpFacts::default() };
        packet(Protocol::TCP, "10.0.0.2", Transport::Tcp(facts), payload_len)
    }

    fn nature(text: &str, packet: &Packet<'_>) -> Nature {
        Nature::of(&text.parse().unwrap(), packet)
    }

    #[test]
    fn rules_in_their_order() {
        let syn = &tcp(TcpFlags::SYN, 0);
        let ack = &tcp(TcpFlags::ACK, 0);
        let data = &tcp(TcpFlags::ACK, 9);
        let rst = &tcp(TcpFlags::RST, 0);
        let udp = &packet(Protocol::UDP, "10.0.0.2", Transport::Udp, 9);
        let group = &packet(Protocol::UDP, "224.0.0.251", Transport::Udp, 9);
        let echo = Transport::Echo { reply: true, sequence: 1 };
        let reply = &packet(Protocol::ICMP, "10.0.0.2", echo, 56);
        let table = [
            ("dropped in nf_hook_slow reason NETFILTER_DROP", syn, Nature::Lost),
            ("dropped in ip_forward", udp, Nature::Lost),
            ("dropped", udp, Nature::Lost),
            ("dropped reason CONSUMED", syn, Nature::Benign),
            ("dropped reason TCP_OLD_DATA", data, Nature::Benign),
            ("dropped reason NETFILTER_DROP", group, Nature::Benign),
            ("dropped reason NO_SOCKET", syn, Nature::Refused),
            ("dropped reason NO_SOCKET", udp, Nature::Refused),
            ("dropped reason NO_SOCKET", rst, Nature::Benign),
            ("dropped in ping_rcv reason NO_SOCKET clone", reply, Nature::Benign),
            ("dropped in raw_rcv reason SOCKET_FILTER clone", reply, Nature::Benign),
            ("dropped in udp_queue_rcv_one_skb reason SOCKET_RCVBUFF", udp, Nature::Lost),
            ("dropped reason TCP_CLOSE", ack, Nature::Benign),
            ("dropped reason TCP_CLOSE", data, Nature::Refused),
            ("dropped in tcp_v4_rcv reason NOT_SPECIFIED", ack, Nature::Benign),
            ("dropped in tcp_v4_rcv", syn, Nature::Lost),
            ("dropped in tpacket_rcv", data, Nature::Benign),
        ];
        for (text, packet, expected) in table {
            assert_eq!(nature(text, packet), expected, "{text}, {:?}", packet.transport);
        }
    }

    #[test]
    fn tables_are_in_order_and_hold_nothing_twice() {
        let is_sorted = |table: &[&str]| table.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(
            is_sorted(&BENIGN) && is_sorted(&OF_SOCKETS) && is_sorted(&OF_CLOSED) && is_sorted(&ONLOOKERS)
        );
    }
}
