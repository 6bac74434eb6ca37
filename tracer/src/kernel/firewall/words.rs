//! Words for the numbers that rules are made of.

/// `NF_CT_STATE_BIT` of `nf_tables` and of xtables alike: the low bits; xtables has NAT's above.
const STATES: [(u32, &str); 5] =
    [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (1 << 6, "untracked")];
/// In the order in which iptables prints them.
const XT_STATES: [(u32, &str); 7] = [
    (1, "invalid"),
    (8, "new"),
    (4, "related"),
    (2, "established"),
    (1 << 8, "untracked"),
    (1 << 6, "snat"),
    (1 << 7, "dnat"),
];

/// Connection states of `nf_tables` (`NF_CT_STATE_*_BIT`).
pub(super) fn nft_states(bits: u32) -> Vec<String> {
    of(&STATES, bits)
}

/// Connection states of xtables (`XT_CONNTRACK_STATE_*`).
pub(super) fn xt_states(bits: u32) -> Vec<String> {
    of(&XT_STATES, bits)
}

fn of(table: &[(u32, &str)], bits: u32) -> Vec<String> {
    table.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| (*word).to_owned()).collect()
}

/// Kind of an address by its number (`RTN_*`, `rtnetlink.h`), in the words of iptables.
pub(super) fn address_type(number: u32) -> String {
    const KINDS: [&str; 12] = [
        "UNSPEC",
        "UNICAST",
        "LOCAL",
        "BROADCAST",
        "ANYCAST",
        "MULTICAST",
        "BLACKHOLE",
        "UNREACHABLE",
        "PROHIBIT",
        "THROW",
        "NAT",
        "XRESOLVE",
    ];
    usize::try_from(number)
        .ok()
        .and_then(|number| KINDS.get(number))
        .map_or_else(|| number.to_string(), |kind| (*kind).to_owned())
}

/// How REJECT refuses (`enum ipt_reject_with`, `enum ip6t_reject_with`).
pub(super) fn reject(number: u32, is_v6: bool) -> Option<String> {
    const V4: [&str; 9] = [
        "icmp-net-unreachable",
        "icmp-host-unreachable",
        "icmp-proto-unreachable",
        "icmp-port-unreachable",
        "",
        "icmp-net-prohibited",
        "icmp-host-prohibited",
        "tcp-reset",
        "icmp-admin-prohibited",
    ];
    const V6: [&str; 9] = [
        "icmp6-no-route",
        "icmp6-adm-prohibited",
        "",
        "icmp6-addr-unreachable",
        "icmp6-port-unreachable",
        "",
        "tcp-reset",
        "icmp6-policy-fail",
        "icmp6-reject-route",
    ];
    let words = if is_v6 { V6 } else { V4 };
    words.get(usize::try_from(number).ok()?).filter(|word| !word.is_empty()).map(|word| (*word).to_owned())
}

/// How `nf_tables` refuses with an ICMP error of a family (RFC 792, RFC 4443).
pub(super) fn reject_code(code: u8, is_v6: bool) -> String {
    let word = match (is_v6, code) {
        (false, 0) => "icmp-net-unreachable",
        (false, 1) => "icmp-host-unreachable",
        (false, 2) => "icmp-proto-unreachable",
        (false, 3) => "icmp-port-unreachable",
        (false, 9) => "icmp-net-prohibited",
        (false, 10) => "icmp-host-prohibited",
        (false, 13) => "icmp-admin-prohibited",
        (true, 0) => "icmp6-no-route",
        (true, 1) => "icmp6-adm-prohibited",
        (true, 3) => "icmp6-addr-unreachable",
        (true, 4) => "icmp6-port-unreachable",
        (true, 5) => "icmp6-policy-fail",
        (true, 6) => "icmp6-reject-route",
        (false, _) => return format!("icmp-code-{code}"),
        (true, _) => return format!("icmp6-code-{code}"),
    };
    word.to_owned()
}

/// How `nf_tables` refuses in the words of both families (`enum nft_reject_inet_code`).
pub(super) fn reject_any(code: u8, is_v6: bool) -> String {
    let code = match (is_v6, code) {
        (_, 0) => 0,
        (false, 2) | (true, 3) => 1,
        (false, 1) | (true, 2) => 3,
        (true, 1) => 4,
        (false, 3) => 13,
        _ => return format!("icmpx-code-{code}"),
    };
    reject_code(code, is_v6)
}

/// A range, or what it is of where that is one number.
pub(super) fn range(first: u16, last: u16, between: char) -> String {
    if first == last { first.to_string() } else { format!("{first}{between}{last}") }
}
