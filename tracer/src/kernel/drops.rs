//! Packets that the kernel drops: what the program at `skb:kfree_skb` needs to know of the running kernel, and what its
//! records say.

mod layout;
mod symbols;

use std::collections::HashMap;

use aya::maps::{Map, MapData, MapError, PerCpuArray};
use thiserror::Error;
use tracer_common::counters::Counters;
use tracer_common::drops::{CLONE, DropFacts, DropState};
use tracer_core::drops::Notice;
use tracer_core::evidence::Missing;

use super::btf::{Btf, BtfError};
use super::netns;
use layout::Layout;
use symbols::Symbols;

/// Which drops are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DropScope {
    /// Those in the network namespace of the calling thread.
    Own,
    /// Those also in namespaces that are joined to it by pairs of devices (veth, netkit), as those of pods are.
    Joined,
}

/// Why drops cannot be told.
#[derive(Debug, Error)]
pub enum DropsError {
    /// No type information.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The kernel's structures are not as expected.
    #[error("the kernel's type information tells of no {0}")]
    Field(&'static str),
    /// The namespace cannot be told.
    #[error("cannot tell the network namespace")]
    Namespace(#[source] std::io::Error),
    /// The inode of the namespace is no number of a namespace.
    #[error("the network namespace has a number beyond 32 bits")]
    Number,
}

/// What is known of the running kernel.
#[derive(Debug)]
pub struct Drops {
    scope: DropScope,
    /// The namespace of the calling thread.
    netns: u32,
    layout: Layout,
    reasons: HashMap<u32, String>,
}

impl Drops {
    /// Looks into the kernel's type information, from the namespace that is observed.
    pub fn look(scope: DropScope) -> Result<Self, DropsError> {
        let btf = Btf::vmlinux()?;
        let netns = netns::inode().map_err(DropsError::Namespace)?;
        Ok(Self {
            scope,
            netns: u32::try_from(netns).map_err(|_| DropsError::Number)?,
            layout: Layout::of(&btf)?,
            reasons: reasons(&btf),
        })
    }

    /// Constants of the program.
    pub(super) fn constants(&self) -> Vec<(&'static str, u32)> {
        let is_joined = self.scope == DropScope::Joined;
        let own = [("DROP_NETNS", self.netns), ("DROP_JOINED", u32::from(is_joined))];
        own.into_iter().chain(self.layout.constants()).collect()
    }

    /// The namespace that is observed.
    pub const fn netns(&self) -> u32 {
        self.netns
    }

    /// What puts records into words.
    pub fn words(self) -> Words {
        let mut symbols = Symbols::default();
        if !self.layout.tells_functions() {
            symbols.read();
        }
        Words { reasons: self.reasons, symbols }
    }
}

/// What keeps drops, or parts of what is told of them, from being seen on this machine; absent where all is.
///
/// No program is loaded to find out.
pub fn missing() -> Option<Missing> {
    let missing = |what: &str, why: String| Some(Missing { what: what.to_owned(), why });
    let drops = match Drops::look(DropScope::Joined) {
        Ok(drops) => drops,
        Err(error) => return missing("drops", crate::error::chain(&error)),
    };
    if !drops.layout.tells_reasons() {
        return missing("drop reasons", "the kernel tells them from Linux 5.17 on".to_owned());
    }
    if drops.reasons.is_empty() {
        return missing("drop reasons", "the kernel's type information does not name them".to_owned());
    }
    if !drops.layout.tells_functions() && !symbols::are_readable() {
        let why =
            "/proc/kallsyms hides addresses: CAP_SYSLOG, or kernel.kptr_restrict 0 and perf_event_paranoid 1";
        return missing("drop functions", why.to_owned());
    }
    None
}

/// Reasons by their numbers, which differ from kernel to kernel, without the prefix that all have.
fn reasons(btf: &Btf) -> HashMap<u32, String> {
    let named = btf.enumerators(|name| name.ends_with("drop_reason"));
    let is_reason = |name: &str| !name.ends_with("_MAX") && !name.ends_with("_MASK");
    let short = |name: &str| {
        let name =
            name.strip_prefix("SKB_DROP_REASON_").or_else(|| name.strip_prefix("SKB_")).unwrap_or(name);
        name.to_owned()
    };
    named.into_iter().filter(|(name, _)| is_reason(name)).map(|(name, value)| (value, short(name))).collect()
}

/// Puts records into words.
#[derive(Debug)]
pub struct Words {
    reasons: HashMap<u32, String>,
    symbols: Symbols,
}

impl Words {
    /// What a record says.
    pub fn notice(&mut self, facts: &DropFacts) -> Notice {
        let mut notice = Notice {
            reason: (facts.reason != 0).then(|| self.reason(facts.reason)),
            interface: name(&facts.name),
            netns: (facts.netns != 0).then_some(facts.netns.into()),
            is_clone: facts.flags & CLONE != 0,
            ..Notice::default()
        };
        match text(&facts.function) {
            Some(place) => notice.set_place(place),
            None => {
                if let Some(place) = self.symbols.place(facts.location) {
                    notice.set_place(&place);
                }
            }
        }
        notice
    }

    fn reason(&self, number: u32) -> String {
        self.reasons.get(&number).cloned().unwrap_or_else(|| format!("{number:#x}"))
    }
}

/// Text that a zero byte ends; absent where it is empty or no plain text.
fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.is_empty() && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())).then_some(text)
}

/// A name of an interface: what the place of the device held may have been something else.
fn name(bytes: &[u8]) -> Option<String> {
    text(bytes).filter(|name| !name.contains(['/', ' '])).map(str::to_owned)
}

/// What the program counts.
pub struct DropCounters(PerCpuArray<MapData, DropState>);

impl DropCounters {
    pub(super) fn new(map: Map) -> Result<Self, MapError> {
        PerCpuArray::try_from(map).map(Self)
    }

    /// The sum over all processors.
    pub fn read(&self) -> Result<Counters, MapError> {
        let states = self.0.get(&0, 0)?;
        Ok(states.iter().fold(Counters::default(), |sum, state| sum.plus(&state.counters)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_tells_what_the_program_needs() {
        let drops = Drops::look(DropScope::Own).unwrap();
        let constants: HashMap<_, _> = drops.constants().into_iter().collect();
        assert_eq!(constants["DROP_NETNS"], drops.netns());
        assert!(constants["SKB_HEAD"] > 0 && constants["SKB_TAIL"] < 1024);
        assert!(drops.reasons.values().any(|name| name == "NETFILTER_DROP"));
        assert!(!drops.reasons.values().any(|name| name.starts_with("SKB_DROP_REASON_")));
    }

    #[test]
    fn a_record_in_words() {
        let mut words =
            Words { reasons: HashMap::from([(7, "NETFILTER_DROP".to_owned())]), symbols: Symbols::default() };
        let mut facts = DropFacts {
            location: 0,
            reason: 7,
            netns: 9,
            flags: CLONE,
            padding: 0,
            name: *b"eth0\0garbage....",
            function: [0; 64],
        };
        facts.function[..23].copy_from_slice(b"nf_hook_slow+0xc6/0x100");
        let told = "dropped in nf_hook_slow+0xc6 reason NETFILTER_DROP on eth0 netns 9 clone";
        assert_eq!(words.notice(&facts).to_string(), told);
        let unknown =
            DropFacts { reason: 0x20001, netns: 0, flags: 0, name: [0xff; 16], function: [0; 64], ..facts };
        assert_eq!(words.notice(&unknown).to_string(), "dropped reason 0x20001");
    }
}
