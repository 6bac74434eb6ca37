//! What the rules of a node would make of a packet.

mod condition;
mod kinds;
mod lookup;
mod packet;
#[cfg(test)]
mod tests;
mod walker;

use std::net::IpAddr;

use serde::Serialize;

use self::walker::Walker;
use super::firewall::nft_text;
use super::{Action, Firewall, Hook, Rule};
use crate::flow::{FlowKey, Protocol};

/// Ways through one hook that are told apart.
const MOST_WAYS: usize = 256;
/// SYN of TCP's flags (RFC 9293).
const SYN: u8 = 2;

/// A packet before it meets the rules of a hook.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// Five-tuple.
    pub key: FlowKey,
    /// Interface that it came in by; absent for a packet of this node.
    pub input: Option<String>,
    /// Interface that it leaves by; absent before routing, and for a packet for this node.
    pub output: Option<String>,
    /// Mark.
    pub mark: u32,
    /// State of its connection (`new`, `established`).
    pub state: String,
    /// TCP flags (RFC 9293), 0 for other protocols.
    pub tcp_flags: u8,
    /// Whether the destination is an address of this node.
    pub is_local: bool,
    /// Five-tuple as the opener of the connection sent it (original direction), which tells what NAT has done already
    /// (`--ctstate DNAT`, `--ctorigdst`); absent where it is not known.
    pub original: Option<FlowKey>,
    /// Address that `MASQUERADE` writes: that of the interface that it leaves by; absent where it is not known.
    pub masquerade: Option<IpAddr>,
    /// Mark of the connection, as the walk through the hook before left it ([`Walk::connection_mark`]); absent where it is not
    /// known. At the first hook of a new connection it is 0.
    pub connection_mark: Option<u32>,
    /// Length in bytes without the link layer; absent where it is not known, or not the same for all packets that are meant.
    pub length: Option<u16>,
}

impl Probe {
    /// The first packet of a connection, from outside: state `new`, SYN for TCP, no mark, no interfaces, not local.
    pub fn new(key: FlowKey) -> Self {
        let tcp_flags = if key.protocol == Protocol::TCP { SYN } else { 0 };
        Self {
            key,
            input: None,
            output: None,
            mark: 0,
            state: "new".to_owned(),
            tcp_flags,
            is_local: false,
            original: None,
            masquerade: None,
            connection_mark: None,
            length: None,
        }
    }
}

/// A rule that a packet met and that did something.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Family and table, as `ip nat`.
    pub table: String,
    /// Chain.
    pub chain: String,
    /// Place in the chain, from 0; absent for the chain's policy.
    pub index: Option<usize>,
    /// The rule's text, or the policy.
    pub text: String,
    /// The rule's comment.
    pub comment: Option<String>,
    /// Packets that it counted.
    pub packets: Option<u64>,
    /// With which probability a packet takes it, from 0 to 1, given that it came to this rule.
    pub probability: f64,
}

/// How it ends at a hook.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It goes on.
    Accepted,
    /// It is dropped.
    Dropped,
    /// It is refused with this.
    Rejected(String),
    /// It cannot be told: a condition or an action is not understood.
    Unknown,
}

/// One way through the rules of a hook; several where rules draw lots.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Walk {
    /// With which probability, from 0 to 1.
    pub probability: f64,
    /// The rules that did something, in order.
    pub steps: Vec<Step>,
    /// What the packet became: NAT applied.
    pub key: FlowKey,
    /// Its mark at the end.
    pub mark: u32,
    /// How it ended.
    pub ending: Ending,
    /// Conditions that were not understood and taken as not holding.
    pub doubts: Vec<String>,
    /// The rules whose conditions were not understood and that decide something, as if they had been met: what they counted
    /// tells whether they were.
    pub suspects: Vec<Step>,
    /// Whether the source was masqueraded, and `key` has the old source because the new one is not known.
    pub is_masqueraded: bool,
    /// Mark of the connection at the end; absent where it is not known.
    pub connection_mark: Option<u32>,
    /// Whether a rule took it out of connection tracking: its state is `untracked` from then on.
    pub is_untracked: bool,
}

impl Walk {
    /// The packet as it comes to the next hook: key, marks and tracking as they are now, the rest as it was. What routing
    /// decides (`output`, `is_local`) is the caller's to set.
    pub fn onward(&self, before: &Probe) -> Probe {
        Probe {
            key: self.key,
            mark: self.mark,
            connection_mark: self.connection_mark,
            state: if self.is_untracked { "untracked".to_owned() } else { before.state.clone() },
            original: before.original.or(Some(before.key)),
            ..before.clone()
        }
    }
}

impl Firewall {
    /// Every way that a packet may take through the base chains of a hook, in the order of their priorities, NAT included;
    /// the most probable first.
    ///
    /// Decided like this:
    ///
    /// 1. Tables of the packet's family and of `inet` are called; those of `netdev` for the device's hooks only.
    /// 2. Chains of NAT are called for the first packet of a connection only (state `new`), until one of them has translated.
    ///    Others get their packets as NAT made them: the caller gives the key that they have at the hook.
    /// 3. A rule holds if all its conditions do. If one does not, those that are not understood do not matter; if all others
    ///    do, the rule is taken as not holding, and is a doubt, unless it decides nothing.
    /// 4. Where lots are drawn, both ways are walked, up to 256; what is beyond is one way with an unknown end.
    pub fn walk(&self, hook: Hook, packet: &Probe) -> Vec<Walk> {
        Walker::new(self, hook).walk(packet)
    }
}

/// A verdict of a map in words.
fn words(verdict: &Action) -> String {
    let rule = Rule {
        matches: Vec::new(),
        actions: vec![verdict.clone()],
        comment: None,
        packets: None,
        text: String::new(),
        handle: None,
    };
    nft_text(&rule)
}
