//! Rules as `iptables-save` and `nft list ruleset` print them, about.

mod iptables;
mod nft;

pub use iptables::iptables_text;
pub use nft::nft_text;

use super::{PortRange, Prefix};

/// Networks with commas between; whole addresses with their length as iptables has it, or without.
fn networks(networks: &[Prefix], is_iptables: bool) -> String {
    let each = networks.iter().map(|network| {
        let whole = if network.address.is_ipv4() { 32 } else { 128 };
        if !is_iptables && network.length == whole {
            network.address.to_string()
        } else {
            format!("{}/{}", network.address, network.length)
        }
    });
    each.collect::<Vec<_>>().join(if is_iptables { "," } else { ", " })
}

fn ports(ports: &[PortRange], between: char, comma: &str) -> String {
    let each = ports.iter().map(|range| match (range.first, range.last) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}{between}{last}"),
    });
    each.collect::<Vec<_>>().join(comma)
}
