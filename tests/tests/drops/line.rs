//! Three namespaces in a line: near, a router, far; with IPv4 and IPv6.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, io, thread};

use tests::{Namespace, run};

static NEXT: AtomicU32 = AtomicU32::new(0);
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(10, 31, 1, 1);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 31, 2, 1);
pub(crate) const FAR_6: Ipv6Addr = Ipv6Addr::new(0xfd31, 2, 0, 0, 0, 0, 0, 1);
/// An address of the far network that nobody has.
pub(crate) const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 31, 2, 77);
/// An address that no route of the router leads to.
pub(crate) const NOWHERE: Ipv4Addr = Ipv4Addr::new(10, 32, 0, 1);

/// The namespaces; they go when this value goes.
pub(crate) struct Line {
    pub(crate) near: Namespace,
    pub(crate) router: Namespace,
    pub(crate) far: Namespace,
}

impl Line {
    /// A line that packets pass, all neighbours known, without any traffic of its own.
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace =
            |end: &str| Namespace::create(format!("kdrop-{}-{number}-{end}", std::process::id())).unwrap();
        let line = Self { near: namespace("near"), router: namespace("router"), far: namespace("far") };
        for here in [&line.near, &line.router, &line.far] {
            let settings = [
                ("net/ipv4/ping_group_range", "0 0"),
                ("net/ipv6/conf/all/accept_dad", "0"),
                ("net/ipv6/conf/default/accept_dad", "0"),
                ("net/ipv6/conf/default/router_solicitations", "0"),
                ("net/ipv6/conf/default/addr_gen_mode", "1"),
            ];
            for (name, value) in settings {
                set(here, name, value);
            }
            ip(here, "link set lo up");
        }
        set(&line.router, "net/ipv4/ip_forward", "1");
        set(&line.router, "net/ipv6/conf/all/forwarding", "1");
        for (end, name, network) in [(&line.near, "near0", 1), (&line.far, "far0", 2)] {
            line.join(end, name, network);
        }
        line
    }

    /// Joins one end to the router.
    fn join(&self, end: &Namespace, name: &str, network: u8) {
        let to = format!("to_{name}");
        let router = self.router.name();
        ip(
            end,
            &format!(
                "link add {name} address 02:00:00:00:0{network}:01 type veth peer name {to} address 02:00:00:00:0{network}:fe netns {router}"
            ),
        );
        for (here, device, host, other) in [(end, name, 1, "fe"), (&self.router, to.as_str(), 254, "01")] {
            ip(here, &format!("addr add 10.31.{network}.{host}/24 dev {device}"));
            ip(here, &format!("addr add fd31:{network}::{host}/64 dev {device} nodad"));
            ip(here, &format!("link set {device} up"));
            let peer = if host == 1 { 254 } else { 1 };
            for address in [format!("10.31.{network}.{peer}"), format!("fd31:{network}::{peer}")] {
                let mac = format!("02:00:00:00:0{network}:{other}");
                ip(here, &format!("neigh replace {address} lladdr {mac} dev {device} nud permanent"));
            }
        }
        ip(end, &format!("route add default via 10.31.{network}.254"));
        ip(end, &format!("-6 route add default via fd31:{network}::254"));
    }

    /// Sends datagrams from the near end; how many the kernel took.
    pub(crate) fn send(&self, to: impl Into<IpAddr>, port: u16, count: usize, len: usize) -> usize {
        let to = SocketAddr::new(to.into(), port);
        self.near.run(|| send_here(to, count, len)).unwrap()
    }

    /// Tries to connect from the near end, for less than the time after which the first SYN is sent again.
    pub(crate) fn connect(&self, port: u16) -> io::Result<()> {
        const SHORT: Duration = Duration::from_millis(300);
        let to = SocketAddr::from((FAR, port));
        self.near.run(|| TcpStream::connect_timeout(&to, SHORT).map(drop)).unwrap()
    }

    /// Sends bytes from the near end to the far one, and waits until they have arrived and the connection is closed.
    pub(crate) fn transfer(&self, port: u16, bytes: usize) {
        let listener = self.far.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap().unwrap();
        let receiver = thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            io::copy(&mut stream, &mut io::sink())
        });
        let to = SocketAddr::from((FAR, port));
        let mut stream = self.near.run(|| TcpStream::connect_timeout(&to, TIMEOUT)).unwrap().unwrap();
        stream.write_all(&vec![0x5a; bytes]).unwrap();
        drop(stream);
        assert_eq!(receiver.join().unwrap().unwrap(), bytes as u64);
    }
}

fn send_here(to: SocketAddr, count: usize, len: usize) -> usize {
    let own: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0)).unwrap();
    (0..count).filter(|_| socket.send_to(&vec![0x5a; len], to).is_ok()).count()
}

/// Runs `ip` in a namespace.
pub(crate) fn ip(here: &Namespace, words: &str) {
    let words: Vec<&str> = words.split_whitespace().collect();
    run(here, "ip", &words, "").unwrap();
}

/// Runs `iptables` or `ip6tables` in a namespace.
pub(crate) fn tables(here: &Namespace, program: &str, words: &str) -> String {
    let words: Vec<&str> = words.split_whitespace().collect();
    run(here, program, &words, "").unwrap()
}

/// Packets that the only rule of a chain has counted.
pub(crate) fn counted(here: &Namespace, program: &str, chain: &str) -> usize {
    let listed = tables(here, program, &format!("-L {chain} -v -n -x"));
    listed.lines().nth(2).and_then(|rule| rule.split_whitespace().next()?.parse().ok()).unwrap()
}

/// Sets a kernel parameter of a namespace.
pub(crate) fn set(here: &Namespace, name: &str, value: &str) {
    here.run(|| fs::write(format!("/proc/sys/{name}"), value)).unwrap().unwrap();
}

/// The inode of a namespace.
pub(crate) fn inode(here: &Namespace) -> u64 {
    fs::metadata(here.path()).unwrap().ino()
}
