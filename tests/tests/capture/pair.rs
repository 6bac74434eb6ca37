//! Two network namespaces with a veth pair between them, and traffic through it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{self, AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike as _};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Addresses at the two ends.
pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// The interface at the near end; the captures are there.
pub(crate) const NEAR_INTERFACE: &str = "near0";

const MACS: [&str; 2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
const TIMEOUT: Duration = Duration::from_secs(10);

/// The namespaces; they go when this value goes.
pub(crate) struct Pair {
    near: String,
    far: String,
}

impl Pair {
    /// A pair without any traffic of its own: no IPv6, neighbours known.
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("kc-{}-{number}-{end}", std::process::id());
        let pair = Self { near: name("near"), far: name("far") };
        for namespace in [&pair.near, &pair.far] {
            ip(&format!("netns add {namespace}"));
            inside(&path(namespace), || {
                for scope in ["all", "default"] {
                    std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1").unwrap();
                }
            });
            ip(&format!("-n {namespace} link set lo up"));
        }
        pair.link(NEAR_INTERFACE, "far0");
        pair.addresses(NEAR_INTERFACE, "far0", NEAR, FAR);
        pair
    }

    /// Makes another veth pair, without addresses.
    pub(crate) fn link(&self, near: &str, far: &str) {
        let [near_mac, far_mac] = MACS;
        ip(&format!(
            "-n {} link add {near} address {near_mac} type veth peer name {far} address {far_mac} netns {}",
            self.near, self.far
        ));
        self.near(&format!("link set {near} up"));
        ip(&format!("-n {} link set {far} up", self.far));
    }

    /// Gives both ends of a link their addresses, and tells each about the other.
    pub(crate) fn addresses(&self, near: &str, far: &str, near_address: Ipv4Addr, far_address: Ipv4Addr) {
        let [near_mac, far_mac] = MACS;
        self.near(&format!("addr add {near_address}/24 dev {near}"));
        self.near(&format!("neigh replace {far_address} lladdr {far_mac} dev {near} nud permanent"));
        ip(&format!("-n {} addr add {far_address}/24 dev {far}", self.far));
        ip(&format!(
            "-n {} neigh replace {near_address} lladdr {near_mac} dev {far} nud permanent",
            self.far
        ));
    }

    /// Runs `ip` at the near end.
    pub(crate) fn near(&self, words: &str) {
        ip(&format!("-n {} {words}", self.near));
    }

    pub(crate) fn near_path(&self) -> PathBuf {
        path(&self.near)
    }

    pub(crate) fn in_near<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&path(&self.near), work)
    }

    pub(crate) fn in_far<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&path(&self.far), work)
    }

    /// A datagram to the far end and back, so many times: twice as many packets.
    pub(crate) fn udp(&self, far: Ipv4Addr, port: u16, times: u32, length: usize) {
        let server = self.in_far(|| udp_socket(port));
        let client = self.in_near(|| udp_socket(0));
        let mut buffer = vec![0; 65_536];
        for number in 0..times {
            let mut payload = vec![0x5a; length];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            client.send_to(&payload, (far, port)).unwrap();
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..length], payload);
            server.send_to(&payload, from).unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap(), length);
        }
    }

    /// Datagrams that nobody waits for.
    pub(crate) fn flood(&self, port: u16, times: u32) {
        let _server = self.in_far(|| udp_socket(port));
        let client = self.in_near(|| udp_socket(0));
        for _ in 0..times {
            client.send_to(&[0; 100], (FAR, port)).unwrap();
        }
    }

    /// Bytes from the near end to the far one.
    pub(crate) fn tcp(&self, port: u16, bytes: usize) {
        let listener = self.in_far(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap();
        let received = thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            io::copy(&mut stream, &mut io::sink())
        });
        let address = SocketAddr::from((FAR, port));
        let mut stream = self.in_near(move || TcpStream::connect_timeout(&address, TIMEOUT)).unwrap();
        stream.write_all(&vec![0x5a; bytes]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(received.join().unwrap().unwrap(), bytes as u64);
    }
}

/// Sends frames as they are on an interface of the calling thread's namespace.
pub(crate) fn send_raw(interface: &str, frames: &[Vec<u8>]) {
    let index = if_nametoindex(interface).unwrap().cast_signed();
    let socket = socket::socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None).unwrap();
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap(),
        sll_protocol: 0,
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&address)).unwrap();
    #[expect(unsafe_code, reason = "nix makes the address of an interface from raw bytes only")]
    // SAFETY: the pointer is to an initialised address of this length.
    let address = unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(length)) }.unwrap();
    for frame in frames {
        assert_eq!(socket::sendto(socket.as_raw_fd(), frame, &address, MsgFlags::empty()), Ok(frame.len()));
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

fn udp_socket(port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn path(namespace: &str) -> PathBuf {
    Path::new("/run/netns").join(namespace)
}

fn inside<T: Send>(namespace: &Path, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(namespace).unwrap();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
