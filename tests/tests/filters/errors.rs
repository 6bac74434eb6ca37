//! What libpcap refuses, and the place of it.

use tracer::libpcap::{Dlt, ExpressionError, Libpcap, Rejection};

/// Expressions with the wrong part between bars, and what libpcap says. Two bars at one place: something is missing
/// there; none: no one place is wrong.
const REFUSED: [(&str, &str); 37] = [
    // Words that are no part of the language, or not there.
    ("tcp |prot| 80", "syntax error"),
    ("host 192.0.2.1 |prot| tcp", "syntax error"),
    ("|and|", "syntax error"),
    ("dst port 80 or |or| 90", "syntax error"),
    ("tcp and |;|", "syntax error"),
    ("host |\"|a\"", "syntax error"),
    ("|é| or tcp", "syntax error"),
    ("icmp[|icmptyp|] = 8", "syntax error"),
    ("tcp[tcpflags] & |tcp-sin| != 0", "syntax error"),
    ("ip[|len-20|] > 0", "syntax error"),
    ("ip[6:2] & 0x1fff = |=| 0", "syntax error"),
    ("net 10.0.0.0 mask |255|", "syntax error"),
    ("less |x|", "syntax error"),
    ("ip multicast |5|", "syntax error"),
    ("|\\tcp|", "syntax error"),
    // Brackets.
    ("tcp|)|", "syntax error"),
    ("(tcp||", "syntax error"),
    ("tcp[0||", "syntax error"),
    ("tcp dst port 8080 and (tcp[((tcp[12:1] & 0xf0) >> 2|:|4] = 0x504f5354)", "syntax error"),
    // Ends.
    ("tcp or||", "syntax error"),
    ("src net||", "syntax error"),
    ("not||  ", "syntax error"),
    // Names and numbers.
    ("port |nosuch|", "unknown port 'nosuch'"),
    ("ip and portrange |a-b|", "unknown port in range 'a-b'"),
    ("ip proto |foo|", "unknown ip proto 'foo'"),
    ("net |10.0.0.1/8|", "non-network bits set in \"10.0.0.1/8\""),
    ("ether host |192.0.2.1|", "illegal link layer address"),
    ("|ip| host fe80::1", "'ip' modifier applied to ip6 host"),
    ("tcp and vlan |5000|", "VLAN tag 5000 greater than maximum 4095"),
    ("port 80 or port |99999|", "illegal port number 99999 > 65535"),
    ("ip[0] << |40| = 0", "shift by more than 31 bits"),
    ("ip[0] / |0| = 1", "division by zero"),
    ("tcp[0:|3|] = 1", "data size must be 1, 2, or 4"),
    // What this link layer or handle does not have.
    ("tcp or |type| mgt", "802.11 link-layer types supported only on 802.11"),
    ("|ip broadcast|", "netmask not known, so 'ip broadcast' not supported"),
    ("|gateway| 192.0.2.1", "'gateway'"),
    ("arp and ip", "expression rejects all packets"),
];

fn rejection(libpcap: &Libpcap, expression: &str) -> Rejection {
    match libpcap.compile(expression, Dlt::ETHERNET, 262_144, None) {
        Err(ExpressionError::Rejected(rejection)) => *rejection,
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn every_refusal_has_its_place() {
    let libpcap = Libpcap::load().unwrap();
    let mut differing = Vec::new();
    for (marked, said) in REFUSED {
        let parts: Vec<&str> = marked.split('|').collect();
        let rejection = rejection(&libpcap, &parts.concat());
        let place = (parts.len() == 3).then(|| parts[0].len()..parts[0].len() + parts[1].len());
        if rejection.place != place || !rejection.message.contains(said) {
            differing.push(format!("{marked}: {rejection:?}\n{rejection}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn what_nothing_matches_is_told_apart() {
    let libpcap = Libpcap::load().unwrap();
    for (expression, expected) in
        [("arp", true), ("tcp prot 80", false), ("ether host 02:00:00:00:00:01", false)]
    {
        let error = libpcap.compile(expression, Dlt::RAW, 262_144, None).unwrap_err();
        assert_eq!(error.matches_nothing(), expected, "{expression}");
    }
    assert!(matches!(libpcap.compile("a\0b", Dlt::RAW, 96, None), Err(ExpressionError::Nul(_))));
}
