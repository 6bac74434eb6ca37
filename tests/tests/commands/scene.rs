//! Two namespaces, a veth pair between them, datagrams through it, and a directory.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tests::Namespace;

/// Addresses of the two ends.
pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
/// The interface at the near end.
pub(crate) const INTERFACE: &str = "near0";
/// The port that datagrams go to, and the one that they come from.
pub(crate) const PORT: u16 = 5556;
pub(crate) const FROM: u16 = 5557;

const MACS: [&str; 2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];

/// All that is there; it goes when this value goes.
pub(crate) struct Scene {
    pub(crate) near: Namespace,
    far: Namespace,
    directory: PathBuf,
}

impl Scene {
    /// A pair without any traffic of its own: no IPv6, neighbours known.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("kcmd-{}-{number}-{end}", std::process::id());
        let [near, far] = ["near", "far"].map(|end| Namespace::create(name(end)).unwrap());
        let directory = std::env::temp_dir().join(name("files"));
        fs::create_dir(&directory).unwrap();
        for namespace in [&near, &far] {
            namespace.run(quiet).unwrap();
            ip(namespace, "link set lo up");
        }
        let scene = Self { near, far, directory };
        scene.link(INTERFACE, "far0");
        for (namespace, interface, own, other, mac) in
            [(&scene.near, INTERFACE, NEAR, FAR, MACS[1]), (&scene.far, "far0", FAR, NEAR, MACS[0])]
        {
            ip(namespace, &format!("addr add {own}/24 dev {interface}"));
            ip(namespace, &format!("neigh replace {other} lladdr {mac} dev {interface} nud permanent"));
        }
        scene
    }

    /// Makes a veth pair without addresses.
    pub(crate) fn link(&self, near: &str, far: &str) {
        let [near_mac, far_mac] = MACS;
        let netns = self.far.name();
        self.near_ip(&format!(
            "link add {near} address {near_mac} type veth peer name {far} address {far_mac} netns {netns}"
        ));
        self.near_ip(&format!("link set {near} up"));
        ip(&self.far, &format!("link set {far} up"));
    }

    /// Runs `ip` at the near end.
    pub(crate) fn near_ip(&self, words: &str) {
        ip(&self.near, words);
    }

    /// So many datagrams of this payload from the near end, each received at the far one.
    pub(crate) fn send(&self, count: u32, payload: &[u8]) {
        let receiver = self.far.run(|| UdpSocket::bind((FAR, PORT)).unwrap()).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let sender = self.near.run(|| UdpSocket::bind((NEAR, FROM)).unwrap()).unwrap();
        for _ in 0..count {
            sender.send_to(payload, (FAR, PORT)).unwrap();
            receiver.recv(&mut [0; 2048]).unwrap();
        }
    }

    /// So many datagrams over loopback at the near end.
    pub(crate) fn send_over_loopback(&self, count: u32) {
        let receiver = self.near.run(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, PORT)).unwrap()).unwrap();
        let sender = self.near.run(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, FROM)).unwrap()).unwrap();
        for _ in 0..count {
            sender.send_to(b"over loopback", (Ipv4Addr::LOCALHOST, PORT)).unwrap();
            receiver.recv(&mut [0; 64]).unwrap();
        }
    }

    /// The directory of this scene.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A path in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The namespace of the near end, as a word of a command line.
    pub(crate) fn netns(&self) -> String {
        self.near.path().display().to_string()
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

fn ip(namespace: &Namespace, words: &str) {
    tests::run(namespace, "ip", &words.split_whitespace().collect::<Vec<_>>(), "").unwrap();
}
