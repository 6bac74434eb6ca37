//! Link layer, IP headers and encapsulations, as far as the snap length reaches.

use std::net::IpAddr;

use tracer_core::flow::Protocol;
use tracer_core::packet::TunnelKind;

use super::ip_header_len;
use super::transport::udp_header;
use crate::network::Tunnel;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const TUNNEL_TTL: u8 = 64;
const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;

pub(super) struct IpFields {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) ttl: u8,
    pub(super) identification: u32,
    /// Offset in bytes, and whether more follow.
    pub(super) fragment: Option<(u32, bool)>,
    /// Header and all that follows.
    pub(super) len: usize,
}

pub(super) struct Writer {
    pub(super) data: Vec<u8>,
    pub(super) snap: usize,
}

impl Writer {
    pub(super) fn is_full(&self) -> bool {
        self.data.len() >= self.snap
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        let room = self.snap.saturating_sub(self.data.len());
        self.data.extend(&bytes[..bytes.len().min(room)]);
    }

    pub(super) fn ethernet(&mut self, inside: IpAddr) {
        let ethertype = if inside.is_ipv4() { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
        self.put(&MAC);
        self.put(&MAC);
        self.put(&ethertype.to_be_bytes());
    }

    /// An outer IP header and what stands between it and the inner packet; `len` is that of all.
    pub(super) fn tunnel(&mut self, tunnel: &Tunnel, inside: IpAddr, len: usize) {
        let protocol = match tunnel.kind {
            TunnelKind::Ipip => 4,
            TunnelKind::Ip6 => 41,
            TunnelKind::Gre => 47,
            TunnelKind::Vxlan { .. } | TunnelKind::Geneve { .. } => Protocol::UDP.0,
        };
        let (source, destination) = (tunnel.source, tunnel.destination);
        self.ip(&IpFields {
            source,
            destination,
            protocol,
            ttl: TUNNEL_TTL,
            identification: 0,
            fragment: None,
            len,
        });
        let udp = |port: u16| {
            let payload = u32::try_from(len - ip_header_len(source, false) - 8).unwrap();
            let mut head = Vec::with_capacity(8);
            udp_header(&mut head, &[50_000u16.to_be_bytes(), port.to_be_bytes()].concat(), payload);
            head
        };
        match tunnel.kind {
            TunnelKind::Ipip | TunnelKind::Ip6 => {}
            TunnelKind::Gre => {
                let ethertype = if inside.is_ipv4() { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
                self.put(&[0, 0]);
                self.put(&ethertype.to_be_bytes());
            }
            TunnelKind::Vxlan { vni } => {
                self.put(&udp(VXLAN_PORT));
                self.put(&[8, 0, 0, 0]);
                self.put(&(vni << 8).to_be_bytes());
                self.ethernet(inside);
            }
            TunnelKind::Geneve { vni } => {
                self.put(&udp(GENEVE_PORT));
                self.put(&[0, 0, 0x65, 0x58]);
                self.put(&(vni << 8).to_be_bytes());
                self.ethernet(inside);
            }
        }
    }

    pub(super) fn ip(&mut self, ip: &IpFields) {
        match (ip.source, ip.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let field = match ip.fragment {
                    None => 0x4000,
                    Some((offset, more)) => {
                        u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 }
                    }
                };
                self.put(&[0x45, 0]);
                self.put(&u16::try_from(ip.len).unwrap().to_be_bytes());
                self.put(&u16::try_from(ip.identification & 0xffff).unwrap().to_be_bytes());
                self.put(&field.to_be_bytes());
                self.put(&[ip.ttl, ip.protocol, 0, 0]);
                self.put(&source.octets());
                self.put(&destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let next = if ip.fragment.is_some() { 44 } else { ip.protocol };
                self.put(&[0x60, 0, 0, 0]);
                self.put(&u16::try_from(ip.len - 40).unwrap().to_be_bytes());
                self.put(&[next, ip.ttl]);
                self.put(&source.octets());
                self.put(&destination.octets());
                if let Some((offset, more)) = ip.fragment {
                    self.put(&[ip.protocol, 0]);
                    self.put(&(u16::try_from(offset).unwrap() | u16::from(more)).to_be_bytes());
                    self.put(&ip.identification.to_be_bytes());
                }
            }
            _ => panic!("both addresses of one family"),
        }
    }
}
