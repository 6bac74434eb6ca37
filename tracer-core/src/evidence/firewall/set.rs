//! Sets and verdict maps of `nf_tables`, and `ipset`s.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Action, Prefix};
use crate::flow::Protocol;

/// What of a packet is looked up in a set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// IP protocol.
    Protocol,
    /// Source port.
    SourcePort,
    /// Destination port.
    DestinationPort,
    /// Name of the interface that it came in by.
    Input,
    /// Name of the interface that it leaves by.
    Output,
    /// Mark.
    Mark,
    /// State of the connection.
    ConntrackState,
    /// A number drawn by lot, from `offset` to `offset + modulus - 1` (`numgen random`, `numgen inc`).
    #[expect(missing_docs, reason = "the fields are what the variant says")]
    Lot { modulus: u32, offset: u32 },
    /// Something that is not understood, in the words of `nft`.
    Other(String),
}

/// A set or a map of a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Set {
    /// Name; `__set0`, `__map1` for one that is written in a rule.
    pub name: String,
    /// Whether elements have verdicts or other values.
    pub is_map: bool,
    /// Whether there are more elements than are kept.
    pub is_truncated: bool,
    /// Elements.
    pub elements: Vec<SetElement>,
}

/// An element of a set.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SetElement {
    /// One value for each field that is looked up.
    pub key: Vec<SetValue>,
    /// What a map does with it.
    pub verdict: Option<Action>,
    /// Comment of whoever wrote it.
    pub comment: Option<String>,
    /// Whether it is an exception from the others (`nomatch`).
    #[serde(default)]
    pub is_exception: bool,
}

/// What one field of an element holds for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are what the variants say")]
pub enum SetValue {
    /// Addresses from `first` to `last`, both included.
    Addresses { first: IpAddr, last: IpAddr },
    /// Numbers from `first` to `last`, both included: ports, marks, states (as bits), lots.
    Numbers { first: u64, last: u64 },
    /// A protocol.
    Protocol { protocol: Protocol },
    /// The name of an interface; `*` at the end is any rest.
    Name { name: String },
    /// Everything: the element for what nothing else is for.
    Any,
    /// Something that is not understood.
    Other { text: String },
}

impl SetValue {
    /// All addresses of a network.
    pub fn network(prefix: Prefix) -> Self {
        Self::Addresses { first: prefix.first(), last: prefix.last() }
    }

    /// Whether an address is in it; absent if that cannot be told.
    pub fn has_address(&self, address: IpAddr) -> Option<bool> {
        match self {
            Self::Addresses { first, last } => {
                Some(first.is_ipv4() == address.is_ipv4() && *first <= address && address <= *last)
            }
            Self::Any => Some(true),
            Self::Other { .. } => None,
            _ => Some(false),
        }
    }

    /// Whether a number is in it; absent if that cannot be told.
    pub fn has_number(&self, number: u64) -> Option<bool> {
        match self {
            Self::Numbers { first, last } => Some((*first..=*last).contains(&number)),
            Self::Any => Some(true),
            Self::Other { .. } => None,
            _ => Some(false),
        }
    }
}
