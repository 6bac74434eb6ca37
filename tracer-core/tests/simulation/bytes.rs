//! Packets to bytes: headers in full, payload as far as the snap length reaches. Checksums are left at zero, as
//! checksum offload leaves them.

mod transport;
mod writer;

use std::net::IpAddr;

use tracer_core::packet::TunnelKind;
use transport::Transport;
use writer::{IpFields, Writer};

use crate::emission::{Emission, EmissionId, Segment};
use crate::network::{Station, Tunnel};

const ETHERNET: usize = 14;

/// The captured bytes of a packet, and how many it had.
pub(crate) struct Captured {
    pub(crate) data: Vec<u8>,
    pub(crate) original_len: u32,
}

/// The bytes of these wire segments as one packet, at a station.
pub(crate) fn capture(parts: &[EmissionId], emissions: &[Emission], at: &Station, snap: usize) -> Captured {
    let transport = Transport::of(parts, emissions, at.tuple);
    let first = &emissions[parts[0].index()];
    let fragment = match first.segment {
        Segment::Fragment { offset, is_last, .. } => Some((offset, !is_last)),
        _ => None,
    };
    let mut writer = Writer { data: Vec::with_capacity(snap), snap };
    let inner_len = transport.len + ip_header_len(at.tuple.source.address, fragment.is_some());
    let mut lens = vec![inner_len];
    for tunnel in at.tunnels.iter().rev() {
        lens.push(lens[lens.len() - 1] + encapsulation_len(tunnel));
    }
    let outermost = at.tunnels.first().map_or(at.tuple.source.address, |tunnel| tunnel.source);
    writer.ethernet(outermost);
    for (depth, tunnel) in at.tunnels.iter().enumerate() {
        let inside = at.tunnels.get(depth + 1).map_or(at.tuple.source.address, |next| next.source);
        writer.tunnel(tunnel, inside, lens[lens.len() - 1 - depth]);
    }
    let id = first.identification.unwrap_or_default();
    let ip = IpFields {
        source: at.tuple.source.address,
        destination: at.tuple.destination.address,
        protocol: at.tuple.protocol.0,
        ttl: at.ttl,
        identification: id,
        fragment,
        len: inner_len,
    };
    writer.ip(&ip);
    writer.put(&transport.head);
    transport.write_payload(&mut writer);
    Captured { data: writer.data, original_len: u32::try_from(ETHERNET + lens[lens.len() - 1]).unwrap() }
}

fn ip_header_len(address: IpAddr, is_fragment: bool) -> usize {
    match (address, is_fragment) {
        (IpAddr::V4(_), _) => 20,
        (IpAddr::V6(_), false) => 40,
        (IpAddr::V6(_), true) => 48,
    }
}

fn encapsulation_len(tunnel: &Tunnel) -> usize {
    let shim = match tunnel.kind {
        TunnelKind::Ipip | TunnelKind::Ip6 => 0,
        TunnelKind::Gre => 4,
        TunnelKind::Vxlan { .. } | TunnelKind::Geneve { .. } => 8 + 8 + ETHERNET,
    };
    shim + ip_header_len(tunnel.source, false)
}
