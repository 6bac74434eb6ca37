//! Keys of `meta`, `ct` and `fib` (`include/uapi/linux/netfilter/nf_tables.h`).

use tracer_core::evidence::Field;

/// `NFT_META_LEN`.
pub(super) const LEN: u32 = 0;
/// `NFT_META_PROTOCOL`: the `EtherType`.
pub(super) const PROTOCOL: u32 = 1;
/// `NFT_META_MARK`.
pub(super) const MARK: u32 = 3;
/// `NFT_META_IIF`.
pub(super) const IIF: u32 = 4;
/// `NFT_META_OIF`.
pub(super) const OIF: u32 = 5;
/// `NFT_META_IIFNAME`.
pub(super) const IIFNAME: u32 = 6;
/// `NFT_META_OIFNAME`.
pub(super) const OIFNAME: u32 = 7;
/// `NFT_META_NFPROTO`.
pub(super) const NFPROTO: u32 = 15;
/// `NFT_META_L4PROTO`.
pub(super) const L4PROTO: u32 = 16;

/// `NFT_CT_STATE`.
pub(super) const CT_STATE: u32 = 0;
/// `NFT_CT_STATUS`.
pub(super) const CT_STATUS: u32 = 2;
/// `NFT_CT_MARK`.
pub(super) const CT_MARK: u32 = 3;

/// `NFTA_FIB_F_SADDR`.
pub(super) const FIB_SADDR: u32 = 1;
/// `NFTA_FIB_F_DADDR`.
pub(super) const FIB_DADDR: u32 = 2;
/// `NFT_FIB_RESULT_ADDRTYPE`.
pub(super) const FIB_ADDRTYPE: u32 = 3;

const META: [&str; 33] = [
    "length",
    "protocol",
    "priority",
    "mark",
    "iif",
    "oif",
    "iifname",
    "oifname",
    "iiftype",
    "oiftype",
    "skuid",
    "skgid",
    "nftrace",
    "rtclassid",
    "secmark",
    "nfproto",
    "l4proto",
    "ibrname",
    "obrname",
    "pkttype",
    "cpu",
    "iifgroup",
    "oifgroup",
    "cgroup",
    "random",
    "ipsec",
    "iifkind",
    "oifkind",
    "ibrpvid",
    "ibrvproto",
    "time",
    "day",
    "hour",
];
const CT: [&str; 24] = [
    "state",
    "direction",
    "status",
    "mark",
    "secmark",
    "expiration",
    "helper",
    "l3proto",
    "saddr",
    "daddr",
    "protocol",
    "proto-src",
    "proto-dst",
    "label",
    "packets",
    "bytes",
    "avgpkt",
    "zone",
    "event",
    "ip saddr",
    "ip daddr",
    "ip6 saddr",
    "ip6 daddr",
    "id",
];

/// The field of a set that a key is.
pub(super) fn field(key: u32) -> Option<Field> {
    Some(match key {
        MARK => Field::Mark,
        IIFNAME | IIF => Field::Input,
        OIFNAME | OIF => Field::Output,
        L4PROTO => Field::Protocol,
        _ => return None,
    })
}

/// Bytes that a key fills.
pub(super) fn length(key: u32) -> Option<usize> {
    Some(match key {
        IIFNAME | OIFNAME => 16,
        NFPROTO | L4PROTO => 1,
        PROTOCOL => 2,
        LEN | MARK | IIF | OIF => 4,
        _ => return None,
    })
}

/// Words of `nft` for a key of `meta`.
pub(super) fn words(key: u32) -> String {
    format!("meta {}", word(&META, key))
}

/// Words of `nft` for a key of `ct`.
pub(super) fn ct_words(key: u32, direction: Option<u8>) -> String {
    match direction {
        Some(0) => format!("ct original {}", word(&CT, key)),
        Some(_) => format!("ct reply {}", word(&CT, key)),
        None => format!("ct {}", word(&CT, key)),
    }
}

/// Words of `nft` for a question to the routing tables.
pub(super) fn fib_words(flags: u32, result: u32) -> String {
    const FLAGS: [&str; 5] = ["saddr", "daddr", "mark", "iif", "oif"];
    const RESULTS: [&str; 4] = ["", "oif", "oifname", "type"];
    let asked: Vec<_> = FLAGS
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| flags & (1 << bit) != 0)
        .map(|(_, word)| word)
        .collect();
    format!("fib {} {}", asked.join(" . "), word(&RESULTS, result))
}

fn word(table: &[&str], key: u32) -> String {
    usize::try_from(key)
        .ok()
        .and_then(|key| table.get(key))
        .map_or_else(|| format!("#{key}"), |word| (*word).to_owned())
}
