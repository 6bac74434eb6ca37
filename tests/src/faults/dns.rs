//! A name server and a resolver (RFC 1035), as far as faults need them.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::exchange::{NamespaceOrIo, unspecified};
use crate::Namespace;

/// The port of name servers.
pub(super) const DNS_PORT: u16 = 53;
/// What there is; every other name does not exist.
const NAMES: [&str; 3] =
    ["api.example.com", "svc-clusterip.default.svc.cluster.local", "db.shop.svc.cluster.local"];
/// `search` of a pod's `/etc/resolv.conf`, with `options ndots:5`.
const SEARCH: [&str; 3] = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"];
const NDOTS: usize = 5;
const TYPES: [u16; 2] = [1, 28];
const HEADER_LEN: usize = 12;
const NAME_ERROR: u8 = 3;
/// A response, recursion desired and available.
const RESPONSE: [u8; 2] = [0x81, 0x80];

/// What a name server does with questions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Behaviour {
    /// Answers, so much later.
    Answers(Duration),
    /// Takes questions and says nothing.
    Silent,
}

/// A name server; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct DnsServer {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DnsServer {
    pub(super) fn start(ns: &Namespace, at: SocketAddr, behaviour: Behaviour) -> Result<Self, NamespaceOrIo> {
        let socket = ns.run(|| UdpSocket::bind(at))??;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let ending = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ending);
        let thread = thread::spawn(move || serve(&socket, behaviour, &told));
        Ok(Self { ending, thread: Some(thread) })
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(socket: &UdpSocket, behaviour: Behaviour, ending: &AtomicBool) {
    let mut query = [0; 512];
    let mut waiting: Vec<(Instant, Vec<u8>, SocketAddr)> = Vec::new();
    while !ending.load(Ordering::Acquire) {
        if let Ok((len, from)) = socket.recv_from(&mut query)
            && let Behaviour::Answers(late) = behaviour
            && let Some(answer) = answer(&query[..len])
        {
            waiting.push((Instant::now() + late, answer, from));
        }
        waiting.retain(|(due, answer, to)| {
            let is_due = *due <= Instant::now();
            if is_due {
                let _ = socket.send_to(answer, to);
            }
            !is_due
        });
    }
}

/// The answer to a query with one question.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (name, end) = name_of(query)?;
    let question = query.get(HEADER_LEN..end + 4)?;
    let kind = u16::from_be_bytes([*query.get(end)?, *query.get(end + 1)?]);
    let exists = NAMES.contains(&name.as_str());
    let has_address = exists && kind == TYPES[0];
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([RESPONSE[0], RESPONSE[1] | if exists { 0 } else { NAME_ERROR }]);
    answer.extend([0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    answer.extend(question);
    if has_address {
        // The name of the question, class IN, a minute, 192.0.2.7.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    }
    Some(answer)
}

/// The name in the question, and where it ends.
fn name_of(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), HEADER_LEN);
    loop {
        let len = usize::from(*query.get(at)?);
        at += 1;
        if len == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + len)?).into_owned());
        at += len;
    }
}

/// What a resolver is asked.
#[derive(Clone, Copy, Debug)]
pub struct Questions {
    /// The name, without a dot at its end.
    pub name: &'static str,
    /// Whether names with fewer than five dots are looked for in the search list first.
    pub searches: bool,
    /// How long it waits for answers before it asks once more.
    pub patience: Duration,
}

impl Questions {
    /// Asks as the C library does: IPv4 and IPv6 from one socket, a socket for each name. Whether the name was found.
    pub(super) fn ask(self, ns: &Namespace, server: SocketAddr) -> Result<bool, NamespaceOrIo> {
        let found = ns.run(|| {
            for name in self.candidates() {
                if self.look_up(&name, server)? {
                    return io::Result::Ok(true);
                }
            }
            Ok(false)
        })?;
        Ok(found?)
    }

    fn candidates(self) -> Vec<String> {
        let own = self.name.to_owned();
        if !self.searches || self.name.matches('.').count() >= NDOTS {
            return vec![own];
        }
        SEARCH.iter().map(|domain| format!("{}.{domain}", self.name)).chain([own]).collect()
    }

    fn look_up(self, name: &str, server: SocketAddr) -> io::Result<bool> {
        let socket = UdpSocket::bind((unspecified(server), 0))?;
        socket.connect(server)?;
        for attempt in 0..2_u16 {
            for (index, kind) in (0_u16..).zip(TYPES) {
                // A refusal of the one before is told by any call.
                let _ = socket.send(&query(name, kind, 0x4b00 + index + 2 * attempt));
            }
            let codes = self.codes(&socket)?;
            if codes.len() == TYPES.len() {
                return Ok(codes.iter().all(|code| *code == 0));
            }
        }
        Ok(false)
    }

    /// The response codes of the answers that came in time.
    fn codes(self, socket: &UdpSocket) -> io::Result<Vec<u8>> {
        let (end, mut codes, mut answer) = (Instant::now() + self.patience, Vec::new(), [0; 512]);
        while codes.len() < TYPES.len() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut answer) {
                Ok(len) if len > HEADER_LEN => codes.push(answer[3] & 0xf),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => break,
                Ok(_) | Err(_) => {}
            }
        }
        Ok(codes)
    }
}

/// A query with one question, recursion desired.
pub(super) fn query(name: &str, kind: u16, id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap_or_default());
        query.extend(label.bytes());
    }
    query.push(0);
    query.extend(kind.to_be_bytes());
    query.extend([0, 1]);
    query
}
