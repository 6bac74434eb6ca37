//! Crafted TCP: every packet has a number of its own, retransmissions of the same bytes included.
//!
//! Packets come in by a device of the sender's namespace, are forwarded from there like those of anybody, and are
//! answered by nobody: what the kernel's TCP would say to them is dropped before it leaves. Both directions are
//! written: data in super-packets and single segments, retransmissions, probes, acknowledgements with and without
//! SACK.

mod lane;
mod segment;

use std::{
    fs, io,
    net::{SocketAddr, SocketAddrV4},
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
    time::Duration,
};

use lane::Writer;
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket,
            sockopt::{RcvBufForce, ReceiveTimeout},
        },
        time::TimeVal,
    },
};

use super::{
    TruthError, content, parse,
    random::Random,
    seen,
    way::{Lane, Way},
};
use crate::{
    Lab, LabError, Namespace,
    lab::{
        Inlet,
        topology::{NODES, POD_DEST, POD_PORT},
    },
    run,
};

/// The device that packets come in by.
pub const INLET: &str = "craft0";
const PORT: u16 = 40_000;
/// Wire segments between two looks at whether they have arrived: fewer than the kernel queues for an interface.
const BURST: u64 = 120;
/// How long the last packet of a burst may take, unless it was lost.
const QUIET: Duration = Duration::from_millis(15);
/// SYNs of which one has to arrive.
const SYNS: u32 = 50;
const BUFFER: usize = 8 << 20;

/// What the identification of crafted packets is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Numbering {
    /// One more for each wire segment, as Linux does.
    Counted,
    /// Always 0, as some other systems do: retransmissions are told apart by their timestamps at best.
    Zero,
}

/// A connection to be written.
#[derive(Clone, Copy, Debug)]
pub struct Craft {
    /// Where to.
    pub way: Way,
    /// Identification.
    pub numbering: Numbering,
    /// Payload bytes of a full segment.
    pub segment: u16,
    /// Wire segments, both ways together.
    pub segments: u64,
}

impl Craft {
    /// Writes all of it.
    pub fn run(&self, ends: &mut Ends) -> io::Result<()> {
        let SocketAddr::V4(target) = self.way.target() else { return Err(io::ErrorKind::Unsupported.into()) };
        let mut random = Random(self.segments);
        let source = SocketAddrV4::new(self.way.source(), PORT);
        let mut forward = Writer::new(Lane::Forward, *self, (source, target));
        // Whom NAT made of the source is what the answer has to go to.
        let seen = open(&mut forward, None, &mut ends.near, &ends.far)?;
        let server = SocketAddrV4::new(POD_DEST.address, POD_PORT);
        let mut reply = Writer::new(Lane::Reply, *self, (server, seen));
        open(&mut reply, Some(forward.next()), &mut ends.far, &ends.near)?;
        while forward.written() + reply.written() < self.segments {
            burst(&mut forward, reply.next(), &mut ends.near, &mut ends.far, &mut random)?;
            burst(&mut reply, forward.next(), &mut ends.far, &mut ends.near, &mut random)?;
        }
        Ok(())
    }
}

/// Writes SYNs until one arrives; it may be lost like any packet. Returns whom it is from at the other end.
fn open(writer: &mut Writer, other: Option<u32>, from: &mut End, to: &End) -> io::Result<SocketAddrV4> {
    for _ in 0..SYNS {
        from.inlet.put(&writer.open(other))?;
        if let Some(seen) = to.hear(|_| true)? {
            return Ok(seen);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Writes some packets and waits for the last of them.
fn burst(
    writer: &mut Writer,
    other: u32,
    from: &mut End,
    to: &mut End,
    random: &mut Random,
) -> io::Result<()> {
    let begin = writer.written();
    while writer.written() < begin + BURST {
        from.inlet.put(&writer.write(other, random))?;
    }
    let last = writer.last();
    to.hear(|heard| heard.start >= content::numbered(last)).map(drop)
}

/// Both ends of crafted connections.
#[derive(Debug)]
pub struct Ends {
    near: End,
    far: End,
}

/// Where packets are put in, and where those of the other side are heard.
#[derive(Debug)]
struct End {
    inlet: Inlet,
    socket: OwnedFd,
}

impl Ends {
    /// Gives both ends of a way their devices, before anything is recorded.
    pub fn prepare(lab: &Lab, way: Way) -> Result<Self, TruthError> {
        for node in NODES {
            // Numbers are chosen freely: a window of the connection's other side does not exist.
            set(lab.node(node.name), "netfilter/nf_conntrack_tcp_be_liberal", "1")?;
        }
        let near = End::prepare(way.origin(lab))?;
        let far = End::prepare(lab.pod(POD_DEST.name))?;
        Ok(Self { near, far })
    }
}

impl End {
    fn prepare(ns: &Namespace) -> Result<Self, TruthError> {
        let inlet = Inlet::create(ns, INLET)?;
        run(ns, "ip", &["link", "set", INLET, "up"], "")?;
        for (setting, value) in [
            ("ipv4/ip_forward", "1"),
            // What comes in wears an address of the namespace's own.
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/craft0/rp_filter", "0"),
            ("ipv4/conf/craft0/accept_local", "1"),
        ] {
            set(ns, setting, value)?;
        }
        let silence = ["-w", "-I", "OUTPUT", "-p", "tcp", "-j", "DROP"];
        run(ns, "iptables", &silence, "")?;
        let socket = ns.run(listen).map_err(LabError::from)?.map_err(TruthError::Recorder)?;
        Ok(Self { inlet, socket })
    }

    /// Waits for a packet of the other side, and tells whom it is from; absent where none came in time.
    fn hear(&self, is_meant: impl Fn(content::Piece) -> bool) -> io::Result<Option<SocketAddrV4>> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(count) => count,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let Some(inside) = parse::packet(&buffer[..count]) else { continue };
            let is_heard = seen::carried(&inside, usize::MAX).into_iter().flatten().any(&is_meant);
            if is_heard || content::pieces(inside.payload).into_iter().any(&is_meant) {
                let address: [u8; 4] = buffer[12..16].try_into().unwrap_or_default();
                return Ok(Some(SocketAddrV4::new(address.into(), inside.ports.0)));
            }
        }
    }
}

fn listen() -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
    setsockopt(&socket, RcvBufForce, &BUFFER)?;
    let quiet = TimeVal::new(0, i64::try_from(QUIET.as_micros()).unwrap_or(i64::MAX));
    setsockopt(&socket, ReceiveTimeout, &quiet)?;
    Ok(socket)
}

fn set(ns: &Namespace, setting: &str, value: &'static str) -> Result<(), TruthError> {
    let path = Path::new("/proc/sys/net").join(setting);
    let written = ns.run(|| fs::write(&path, value)).map_err(LabError::from)?;
    Ok(written.map_err(|source| LabError::Sysctl { path, value, source })?)
}
