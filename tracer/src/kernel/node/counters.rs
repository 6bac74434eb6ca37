//! Counters of the protocols and of the processors' backlogs, from `/proc/thread-self/net`.

use std::collections::BTreeMap;
use std::fs;

use tracer_core::evidence::{Counters, Missing, SoftnetCpu};

/// Reads them; those of a file that is not there are told as missing, but for IPv6, which may be off.
pub(super) fn read(missing: &mut Vec<Missing>) -> Counters {
    let mut counters = Counters::default();
    for name in ["snmp", "netstat"] {
        if let Some(text) = file(name, missing) {
            in_pairs(&text, &mut counters.protocols);
        }
    }
    if let Ok(text) = fs::read_to_string(path("snmp6")) {
        in_lines(&text, &mut counters.protocols);
    }
    if let Some(text) = file("softnet_stat", missing) {
        counters.softnet = softnet(&text);
    }
    counters
}

fn path(name: &str) -> String {
    format!("/proc/thread-self/net/{name}")
}

fn file(name: &str, missing: &mut Vec<Missing>) -> Option<String> {
    let path = path(name);
    let read = fs::read_to_string(&path);
    read.map_err(|error| {
        missing.push(Missing { what: "counters".to_owned(), why: format!("{path}: {error}") });
    })
    .ok()
}

/// `snmp` and `netstat`: a line of names and a line of numbers of each group, `Ip: Forwarding ...`, `Ip: 1 ...`.
fn in_pairs(text: &str, into: &mut BTreeMap<String, u64>) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (Some((group, names)), Some((same, values))) = (names.split_once(':'), values.split_once(':'))
        else {
            return;
        };
        if group != same {
            return;
        }
        let pairs = names.split_whitespace().zip(values.split_whitespace());
        // `TcpMaxConn` is -1 for no limit, and no counter.
        into.extend(pairs.filter_map(|(name, value)| Some((format!("{group}{name}"), value.parse().ok()?))));
    }
}

/// `snmp6`: a name and a number in a line.
fn in_lines(text: &str, into: &mut BTreeMap<String, u64>) {
    let pairs = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
    into.extend(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?))));
}

/// `softnet_stat`: hexadecimal columns (`softnet_seq_show`, net/core/net-procfs.c); the 13th is the processor from 5.10 on.
fn softnet(text: &str) -> Vec<SoftnetCpu> {
    let cpus = text.lines().zip(0..).map(|(line, position)| {
        let columns: Vec<u64> =
            line.split_whitespace().map_while(|column| u64::from_str_radix(column, 16).ok()).collect();
        let at = |place: usize| columns.get(place).copied().unwrap_or(0);
        let cpu = columns.get(12).and_then(|cpu| u32::try_from(*cpu).ok()).unwrap_or(position);
        SoftnetCpu { cpu, processed: at(0), dropped: at(1), squeezed: at(2) }
    });
    cpus.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_nstat() {
        let mut found = BTreeMap::new();
        in_pairs(
            "Ip: Forwarding InReceives\nIp: 1 77\nTcp: MaxConn InSegs\nTcp: -1 5\nTcpExt: ListenOverflows\n\
             TcpExt: 3\nOdd: A\nOther: 9\nLater: B\nLater: 4\n",
            &mut found,
        );
        in_lines("Ip6InReceives                   \t31\nbroken\nUdp6InErrors x\n", &mut found);
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let expected = [
            ("Ip6InReceives", 31),
            ("IpForwarding", 1),
            ("IpInReceives", 77),
            ("TcpExtListenOverflows", 3),
            ("TcpInSegs", 5),
        ];
        assert_eq!(found, expected, "nothing behind two groups that do not belong together");
    }

    #[test]
    fn backlogs_of_old_and_new_kernels() {
        let new = "0000000a 00000002 00000001 0 0 0 0 0 0 0 0 0 00000003 0 0\n";
        let old = "0000000a 00000000\n0000000b 00000001\n";
        assert_eq!(softnet(new), [SoftnetCpu { cpu: 3, processed: 10, dropped: 2, squeezed: 1 }]);
        let old = softnet(old);
        assert_eq!((old[1].cpu, old[1].processed, old[1].dropped), (1, 11, 1));
        assert_eq!(softnet("\nx"), [SoftnetCpu::default(), SoftnetCpu { cpu: 1, ..SoftnetCpu::default() }]);
    }
}
