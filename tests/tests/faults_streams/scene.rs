//! Two namespaces with veth pairs between them, numbered datagrams through these, and a directory.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tests::Namespace;

/// The port that datagrams come from.
pub(crate) const FROM: u16 = 7999;
/// The port that those go to which captures look for.
pub(crate) const PORT: u16 = 7000;
/// Ethernet, IPv4 and UDP headers: the number of a datagram is behind them.
pub(crate) const HEADERS: usize = 14 + 20 + 8;

const MACS: [&str; 2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];

/// All that is there; it goes when this value goes.
pub(crate) struct Scene {
    pub(crate) near: Namespace,
    pub(crate) far: Namespace,
    directory: PathBuf,
}

/// The end of a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Near,
    Far,
}

/// Address of an end of the pair with this number.
pub(crate) fn address(end: End, link: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, link, if end == End::Near { 1 } else { 2 })
}

impl Scene {
    /// So many pairs, `near0` and `far0` and so on, without any traffic of their own: no IPv6, neighbours known.
    pub(crate) fn new(links: u8) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("kfs-{}-{number}-{end}", std::process::id());
        let [near, far] = ["near", "far"].map(|end| Namespace::create(name(end)).unwrap());
        let directory = std::env::temp_dir().join(name("files"));
        fs::create_dir(&directory).unwrap();
        for namespace in [&near, &far] {
            namespace.run(quiet).unwrap();
            ip(namespace, "link set lo up");
        }
        let scene = Self { near, far, directory };
        for link in 0..links {
            scene.link(link);
        }
        scene
    }

    fn link(&self, number: u8) {
        let ([near_mac, far_mac], netns) = (MACS, self.far.name());
        let ends = format!("near{number} address {near_mac} type veth peer far{number} address {far_mac}");
        ip(&self.near, &format!("link add {ends} netns {netns}"));
        for (namespace, end, other, name, mac) in [
            (&self.near, End::Near, End::Far, format!("near{number}"), far_mac),
            (&self.far, End::Far, End::Near, format!("far{number}"), near_mac),
        ] {
            ip(namespace, &format!("link set {name} up"));
            ip(namespace, &format!("addr add {}/24 dev {name}", address(end, number)));
            let other = address(other, number);
            ip(namespace, &format!("neigh replace {other} lladdr {mac} dev {name} nud permanent"));
        }
    }

    /// Numbered datagrams from one end to this port at the other, where a socket takes what it has room for.
    pub(crate) fn send(&self, from: End, link: u8, port: u16, count: u32, len: usize) {
        let (sender, receiver, to) = match from {
            End::Near => (&self.near, &self.far, End::Far),
            End::Far => (&self.far, &self.near, End::Near),
        };
        let to = (address(to, link), port);
        // Without it there would be ICMP errors.
        let _receiver = receiver.run(|| UdpSocket::bind(to).unwrap()).unwrap();
        let socket = sender.run(|| UdpSocket::bind((address(from, link), FROM)).unwrap()).unwrap();
        let mut payload = vec![0x5a; len];
        for number in 0..count {
            payload[..4].copy_from_slice(&number.to_be_bytes());
            assert_eq!(socket.send_to(&payload, to).unwrap(), len);
        }
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn quiet() {
    for scope in ["all", "default"] {
        fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1").unwrap();
    }
}

pub(crate) fn ip(namespace: &Namespace, words: &str) {
    tests::run(namespace, "ip", &words.split_whitespace().collect::<Vec<_>>(), "").unwrap();
}

/// The number of a datagram of [`Scene::send`].
pub(crate) fn number_of(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[HEADERS..HEADERS + 4].try_into().unwrap())
}
