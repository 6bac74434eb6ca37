//! Targets that translate.

use tracer_core::evidence::{Action, TranslationTarget};

use super::Blob;

const MAP_IPS: u32 = 1;
const PROTO_SPECIFIED: u32 = 2;
/// `NF_NAT_RANGE_PROTO_RANDOM` and `NF_NAT_RANGE_PROTO_RANDOM_FULLY`.
const RANDOM: u32 = 4 | 16;

/// `struct nf_nat_ipv4_multi_range_compat`, `struct nf_nat_range` and `struct nf_nat_range2` agree on what is used here
/// but for where it lies.
struct Range {
    flags: u32,
    target: TranslationTarget,
}

/// What a target of NAT does.
pub(super) fn translation(blob: &Blob<'_>) -> Option<Action> {
    let range = range(blob)?;
    Some(match blob.name {
        "DNAT" => Action::Dnat { to: range.target },
        "SNAT" => Action::Snat { to: range.target },
        "MASQUERADE" => Action::Masquerade { is_random: range.flags & RANDOM != 0 },
        "REDIRECT" => Action::Redirect { port: range.target.port },
        _ => return None,
    })
}

fn range(blob: &Blob<'_>) -> Option<Range> {
    let is_compat = blob.revision == 0 && !blob.is_v6;
    let (flags, address, port) = if is_compat {
        (blob.u32(4)?, blob.inet(8)?, blob.be16(16)?)
    } else {
        (blob.u32(0)?, blob.inet(4)?, blob.be16(36)?)
    };
    let target = TranslationTarget {
        address: (flags & MAP_IPS != 0).then_some(address),
        port: (flags & PROTO_SPECIFIED != 0).then_some(port),
        is_random: flags & RANDOM != 0,
    };
    Some(Range { flags, target })
}
