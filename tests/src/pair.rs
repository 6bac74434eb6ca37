//! Two namespaces with veth pairs between them, and no traffic but what a test sends.

use std::{
    fs, io,
    net::{Ipv4Addr, UdpSocket},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{CommandError, Namespace, run};

/// The interface at the near end.
pub const NEAR_INTERFACE: &str = "near0";
/// The interface at the far end.
pub const FAR_INTERFACE: &str = "far0";
/// The address of the near end.
pub const NEAR: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
/// The address of the far end.
pub const FAR: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);

const MACS: [&str; 2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];

/// The namespaces and what is between them; they go when this value goes.
#[derive(Debug)]
pub struct Pair {
    /// Where captures are made.
    pub near: Namespace,
    /// Where datagrams go.
    pub far: Namespace,
}

impl Pair {
    /// One veth pair with addresses, neighbours known, without IPv6.
    pub fn up() -> Result<Self, CommandError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = |end| Namespace::create(format!("kpair-{}-{number}-{end}", process::id()));
        let pair = Self { near: namespace("near")?, far: namespace("far")? };
        for end in [&pair.near, &pair.far] {
            end.run(without_ipv6)?;
            ip(end, "link set lo up")?;
        }
        pair.link(NEAR_INTERFACE, FAR_INTERFACE)?;
        pair.addresses(NEAR_INTERFACE, FAR_INTERFACE, [NEAR, FAR])?;
        Ok(pair)
    }

    /// Another veth pair, up, without addresses.
    pub fn link(&self, near: &str, far: &str) -> Result<(), CommandError> {
        let ([near_mac, far_mac], netns) = (MACS, self.far.name());
        ip(
            &self.near,
            &format!(
                "link add {near} address {near_mac} type veth peer name {far} address {far_mac} netns {netns}"
            ),
        )?;
        ip(&self.near, &format!("link set {near} up"))?;
        ip(&self.far, &format!("link set {far} up"))
    }

    /// Addresses for both ends of a veth pair, each of which then knows the other.
    pub fn addresses(&self, near: &str, far: &str, [own, other]: [Ipv4Addr; 2]) -> Result<(), CommandError> {
        let ends = [(&self.near, near, own, other, MACS[1]), (&self.far, far, other, own, MACS[0])];
        for (end, interface, own, other, mac) in ends {
            ip(end, &format!("addr add {own}/24 dev {interface}"))?;
            ip(end, &format!("neigh replace {other} lladdr {mac} dev {interface} nud permanent"))?;
        }
        Ok(())
    }

    /// A socket at the near end that sends to this port of the far one, and one there that nobody reads.
    pub fn sockets(&self, port: u16) -> Result<(UdpSocket, UdpSocket), CommandError> {
        let sink = self.far.run(|| UdpSocket::bind((FAR, port)));
        let sender = self.near.run(|| {
            let socket = UdpSocket::bind((NEAR, 0))?;
            socket.connect((FAR, port))?;
            Ok::<_, io::Error>(socket)
        });
        let start = |source| CommandError::Start { command: "a socket".to_owned(), source };
        Ok((sender?.map_err(start)?, sink?.map_err(start)?))
    }
}

/// Runs `ip` with these words in a namespace.
pub fn ip(namespace: &Namespace, words: &str) -> Result<(), CommandError> {
    run(namespace, "ip", &words.split_whitespace().collect::<Vec<_>>(), "").map(drop)
}

/// A kernel without IPv6 has nothing to turn off.
fn without_ipv6() {
    for scope in ["all", "default"] {
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
    }
}
