//! Reads a story and runs it through the core.
//!
//! A line is a word and its arguments; `#` begins a comment. Times are microseconds after the story's beginning, by
//! a true clock. `POD:eth0` as interface is inside the pod's namespace.
//!
//! ```text
//! node NAME ADDRESS [tunnel ADDRESS]
//! pod NAME NODE ADDRESS [host]                 host: on the node's network
//! service NAME ADDRESS:PORT POD-ADDRESS:PORT [udp|sctp] [node-port PORT]
//! clock NODE OFFSET [ppm N] [step TIME BY]     the node has a clock of its own, off by this much; a step is somebody
//!                                              setting it, which our recorder does not follow (it reads the boot clock)
//! lost NODE INTERFACE COUNT [at TIME]          its recorder lost so many
//! records NODE INTERFACE FROM TO               when it is recorded, packets or not; from first to last without
//! snap N                                       bytes that the recorders keep of a packet; 192 without
//! trace [SOURCE [DESTINATION]]
//!
//! packet NAME PROTOCOL [FLAGS] ...             what a packet carries wherever it is seen
//!   any:        [len N] [seed N] [id N] [offset N] [more]    payload bytes N, N+1, ..; identification; fragment
//!   tcp SAFR:   [seq N] [ack N] [win N] [ts VALUE ECHO|ts none] [mss N] [sack FROM TO]
//!   udp:        [whole N]                      payload bytes of the datagram, in its first fragment
//!               [dns ID NAME TYPE [code CODE records N]]   a query for a type by its number, or its response
//!   echo|reply: [seq N]                        the port is the identifier
//!   sctp:       [tag N] [tsn N] [stream N]     one DATA chunk; an INIT chunk without tsn
//!   error TYPE CODE of PACKET: [mtu N]         ICMP or ICMPv6 by the addresses that it is seen with
//!
//! TIME NODE INTERFACE in|out PACKET SOURCE > DESTINATION ttl N [TUNNEL ..] [gso N] [quotes SOURCE > DESTINATION]
//!   TUNNEL, outermost first: ipip A > B, gre A > B, vxlan VNI A > B, geneve VNI A > B
//!   quotes: the addresses of the packet that an error is about, as they are in the error there
//!
//! joins NODE TIME, breaks NODE TIME           while the trace runs, our own capture only
//!
//! hop WAY AFTER NODE INTERFACE in|out SOURCE > DESTINATION ttl N ..     so long after the packet was sent
//! send TIME PACKET WAY [from HOP] [until HOP]  it is seen at the hops of the way, numbered from 1
//! ```

mod bytes;
mod cluster;
mod packet;
mod recorder;
mod recording;
mod sight;
mod tell;

use std::collections::BTreeMap;

use cluster::Cluster;
use packet::PacketSpec;
use sight::Sight;

/// How one node's clock goes.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// Nanoseconds.
    offset: i64,
    parts_per_million: i64,
    /// From when on it shows how much more, in nanoseconds.
    step: Option<(u64, i64)>,
}

impl Clock {
    /// What it shows more at a true time, unless somebody sets it.
    fn ahead(&self, time: u64) -> i64 {
        self.offset + i64::try_from(time).unwrap() * self.parts_per_million / 1_000_000
    }

    /// By how much somebody has set it until a true time.
    fn stepped(&self, time: u64) -> i64 {
        self.step.filter(|(from, _)| *from <= time).map_or(0, |(_, by)| by)
    }
}

/// A way that packets are sent along: for each hop the time since the sending, and a sighting less time and packet.
type Way = Vec<(u64, Vec<String>)>;

#[derive(Default)]
pub(crate) struct Story {
    cluster: Cluster,
    clocks: BTreeMap<String, Clock>,
    /// Packets lost, by node and interface, with the time from which on.
    lost: BTreeMap<(String, String), (u64, u64)>,
    spans: BTreeMap<(String, String), (u64, u64)>,
    /// When a node's capture joins the trace, and when it breaks off, if that is while the trace runs.
    presence: BTreeMap<String, (u64, u64)>,
    snap: Option<u32>,
    ends: Vec<String>,
    packets: BTreeMap<String, PacketSpec>,
    ways: BTreeMap<String, Way>,
    /// In the order of their times.
    sights: Vec<Sight>,
}

impl Story {
    pub(crate) fn parse(name: &str, script: &str) -> Self {
        let mut story = Self::default();
        for (number, line) in script.lines().enumerate() {
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            if !words.is_empty() {
                story.line(&words).unwrap_or_else(|| panic!("{name}:{}: cannot read {line:?}", number + 1));
            }
        }
        story.sights.sort_by_key(|sight| sight.time);
        story
    }

    fn line(&mut self, words: &[&str]) -> Option<()> {
        match *words {
            ["node" | "pod" | "service", ..] => self.cluster.line(words)?,
            ["clock", node, offset, ref rest @ ..] => {
                self.clocks.insert(node.to_owned(), clock(offset, rest)?);
            }
            ["lost", node, interface, count, ref rest @ ..] => {
                let at = match rest {
                    [] => 0,
                    ["at", time] => microseconds(time)?,
                    _ => return None,
                };
                self.lost.insert((node.to_owned(), interface.to_owned()), (at, count.parse().ok()?));
            }
            ["records", node, interface, from, to] => {
                let span = (microseconds(from)?, microseconds(to)?);
                self.spans.insert((node.to_owned(), interface.to_owned()), span);
            }
            ["joins", node, time] => self.present(node).0 = microseconds(time)?,
            ["breaks", node, time] => self.present(node).1 = microseconds(time)?,
            ["snap", len] => self.snap = Some(len.parse().ok()?),
            ["trace", ref ends @ ..] => self.ends = ends.iter().map(|end| (*end).to_owned()).collect(),
            ["packet", name, ref rest @ ..] => {
                self.packets.insert(name.to_owned(), PacketSpec::parse(rest, &self.packets)?);
            }
            ["hop", way, after, ref sight @ ..] => {
                let sight = sight.iter().map(|word| (*word).to_owned()).collect();
                self.ways.entry(way.to_owned()).or_default().push((after.parse().ok()?, sight));
            }
            ["send", time, packet, way, ref rest @ ..] => self.send(time, packet, way, rest)?,
            _ => self.sights.push(Sight::parse(words, &self.packets)?),
        }
        Some(())
    }

    fn present(&mut self, node: &str) -> &mut (u64, u64) {
        self.presence.entry(node.to_owned()).or_insert((0, u64::MAX))
    }

    fn send(&mut self, time: &str, packet: &str, way: &str, rest: &[&str]) -> Option<()> {
        let way = self.ways.get(way)?;
        let number = |word: &str| word.parse::<usize>().ok().filter(|hop| (1..=way.len()).contains(hop));
        let (from, until) = match *rest {
            [] => (1, way.len()),
            ["from", hop] => (number(hop)?, way.len()),
            ["until", hop] => (1, number(hop)?),
            ["from", first, "until", last] => (number(first)?, number(last)?),
            _ => return None,
        };
        let sent: u64 = time.parse().ok()?;
        for (after, sight) in &way[from - 1..until] {
            let time = (sent + after).to_string();
            let mut words: Vec<&str> = sight.iter().map(String::as_str).collect();
            words.insert(0, &time);
            words.insert(4, packet);
            self.sights.push(Sight::parse(&words, &self.packets)?);
        }
        Some(())
    }

    fn clock(&self, node: &str) -> Clock {
        self.clocks.get(node).copied().unwrap_or_default()
    }
}

fn clock(offset: &str, mut words: &[&str]) -> Option<Clock> {
    let mut clock = Clock { offset: signed(offset)?, ..Clock::default() };
    while !words.is_empty() {
        words = match words {
            ["ppm", value, rest @ ..] => {
                clock.parts_per_million = value.parse().ok()?;
                rest
            }
            ["step", at, by, rest @ ..] => {
                clock.step = Some((microseconds(at)?, signed(by)?));
                rest
            }
            _ => return None,
        };
    }
    Some(clock)
}

/// Microseconds to nanoseconds.
fn microseconds(word: &str) -> Option<u64> {
    word.parse::<u64>().ok().map(|time| time * 1000)
}

fn signed(word: &str) -> Option<i64> {
    word.parse::<i64>().ok().map(|time| time * 1000)
}
