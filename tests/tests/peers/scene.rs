//! Namespaces and links between them that are silent until somebody sends.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use tests::expressions::{link, packets::packets};
use tests::lab::Inlet;
use tests::{Namespace, run};

use crate::Error;
use crate::watch::{self, Ask, Seen, Size};
use crate::wire::{self, End};

static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
pub(crate) const NEAR_MAC: &str = "02:00:00:00:00:01";
pub(crate) const FAR_MAC: &str = "02:00:00:00:00:02";

const PORT: u16 = 7000;
/// Where nobody listens.
const CLOSED: u16 = 9;
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of each datagram of one send of many.
const SEGMENT: i32 = 1000;

/// A namespace without IPv6, and so without anything that the kernel sends by itself.
pub(crate) fn namespace(what: &str) -> Result<Namespace, Error> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let ns = Namespace::create(format!("kp-{}-{number}-{what}", std::process::id()))?;
    ns.run(|| {
        for scope in ["all", "default"] {
            fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1")?;
        }
        // Each datagram to a closed port is answered.
        fs::write("/proc/sys/net/ipv4/icmp_ratelimit", "0")
    })??;
    ip(&ns, "link set lo up")?;
    Ok(ns)
}

/// `ip`, with the words of each line.
pub(crate) fn ip(ns: &Namespace, batch: &str) -> Result<(), Error> {
    run(ns, "ip", &["-batch", "-"], batch)?;
    Ok(())
}

/// A veth pair between two namespaces.
pub(crate) struct Pair {
    pub(crate) near: Namespace,
    pub(crate) far: Namespace,
}

impl Pair {
    /// Without addresses: what comes in is looked at and dropped, and nothing answers. The near end is interface 2.
    pub(crate) fn silent() -> Result<Self, Error> {
        let (near, far) = (namespace("near")?, namespace("far")?);
        let batch = format!(
            "link add near0 index 2 address {NEAR_MAC} type veth peer name far0 address {FAR_MAC} netns {}
             link set near0 up",
            far.name()
        );
        ip(&near, &batch)?;
        ip(&far, "link set far0 up")?;
        Ok(Self { near, far })
    }

    /// With addresses, and with neighbours that know one another.
    pub(crate) fn new() -> Result<Self, Error> {
        let pair = Self::silent()?;
        address(&pair.near, "near0", NEAR, &[(FAR, FAR_MAC)])?;
        address(&pair.far, "far0", FAR, &[(NEAR, NEAR_MAC)])?;
        Ok(pair)
    }

    pub(crate) fn near_end(&self) -> End<'_> {
        End { ns: &self.near, interface: "near0" }
    }

    pub(crate) fn far_end(&self) -> End<'_> {
        End { ns: &self.far, interface: "far0" }
    }

    /// Sends frames from the near end, then from the far end.
    pub(crate) fn exchange(&self, frames: &[Vec<u8>]) -> Result<(), Error> {
        wire::carry(self.near_end(), self.far_end(), frames)?;
        wire::carry(self.far_end(), self.near_end(), frames)
    }
}

/// Gives an interface its address, and tells it about others.
pub(crate) fn address(
    ns: &Namespace,
    interface: &str,
    own: Ipv4Addr,
    others: &[(Ipv4Addr, &str)],
) -> Result<(), Error> {
    let mut batch = format!("addr add {own}/24 dev {interface}\n");
    for (other, mac) in others {
        let _ = writeln!(batch, "neigh replace {other} lladdr {mac} dev {interface} nud permanent");
    }
    ip(ns, &batch)
}

/// A TCP connection with bytes both ways, sends of many datagrams, one that nobody takes, and datagrams small, large and
/// in fragments there and back. It is all over when this returns.
pub(crate) fn conversation(client: &Namespace, server: &Namespace, to: Ipv4Addr) -> Result<(), Error> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            wire::stay()?;
            stream(client, server, to)?;
            datagrams(client, server, to)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn datagrams(client: &Namespace, server: &Namespace, to: Ipv4Addr) -> Result<(), Error> {
    let mut buffer = vec![0; 65_536];
    let refused = udp(client, 0)?;
    refused.connect((to, CLOSED))?;
    refused.send(b"nobody")?;
    assert!(refused.recv(&mut buffer).is_err(), "somebody answered");
    let (client, server) = (udp(client, 0)?, udp(server, PORT)?);
    setsockopt(&client, UdpGsoSegment, &SEGMENT)?;
    let sent = client.send_to(&[0x5b; 4500], (to, PORT))?;
    let mut received = 0;
    while received < sent {
        received += server.recv(&mut buffer)?;
    }
    setsockopt(&client, UdpGsoSegment, &0)?;
    for length in [0, 1, 100, 1400, 1472, 5000, 40_000] {
        client.send_to(&vec![0x5a; length], (to, PORT))?;
        let (length, from) = server.recv_from(&mut buffer)?;
        server.send_to(&buffer[..length], from)?;
        client.recv(&mut buffer)?;
    }
    Ok(())
}

fn stream(client: &Namespace, server: &Namespace, to: Ipv4Addr) -> Result<(), Error> {
    let listener = server.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)))??;
    let address = SocketAddr::from((to, PORT));
    let mut client = client.run(|| TcpStream::connect_timeout(&address, TIMEOUT))??;
    let (mut server, _) = listener.accept()?;
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
    }
    let mut buffer = vec![0; 30_000];
    for _ in 0..10 {
        client.write_all(&vec![0x5c; 30_000])?;
        server.read_exact(&mut buffer)?;
        server.write_all(&[0x5d; 9000])?;
        client.read_exact(&mut buffer[..9000])?;
    }
    client.shutdown(Shutdown::Write)?;
    assert_eq!(server.read(&mut buffer)?, 0);
    drop(server);
    assert_eq!(client.read(&mut buffer)?, 0);
    Ok(())
}

fn udp(ns: &Namespace, port: u16) -> Result<UdpSocket, Error> {
    let socket = ns.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)))??;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

/// A device without link layer, and packets for it.
pub(crate) struct Tun {
    ns: Namespace,
    inlet: Inlet,
    packets: Vec<Vec<u8>>,
}

impl Tun {
    pub(crate) fn new() -> Result<Self, Error> {
        let ns = namespace("tun")?;
        let inlet = Inlet::create(&ns, "tun0")?;
        // Nobody takes what is sent: the queue has to hold it, or the kernel would stop sending.
        ip(&ns, "link set tun0 txqueuelen 10000 up")?;
        let packets = packets().iter().filter_map(|packet| packet.frame(link::RAW)).collect();
        Ok(Self { ns, inlet, packets })
    }

    /// Captures while all packets come in, and go out.
    pub(crate) fn during(&mut self, asks: &[Ask<'_>]) -> Result<Vec<Seen>, Error> {
        const VIRTIO_HEADER: [u8; 10] = [0; 10];
        let Self { ns, inlet, packets } = self;
        let at = End { ns, interface: "tun0" };
        watch::during(at, Size::Frames, asks, || {
            for packet in &*packets {
                inlet.put(&[&VIRTIO_HEADER[..], packet].concat())?;
            }
            wire::send(at, packets)
        })
    }

    /// How many packets pass while it captures.
    pub(crate) fn count(&self) -> usize {
        2 * self.packets.len()
    }
}
