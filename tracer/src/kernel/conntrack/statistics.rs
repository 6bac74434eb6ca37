//! How full the table is, and what went wrong with it.

use std::fs;

use tracer_core::evidence::ConntrackCpu;

use super::super::netfilter::{Connection, Message};
use super::super::netlink::{NetlinkError, attribute, field};
use super::SUBSYSTEM;

/// `IPCTNL_MSG_CT_GET_STATS_CPU`.
const GET_STATISTICS: u16 = SUBSYSTEM | 4;
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
const MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// Of the thread's network namespace; `/proc/net` is that of the process's first thread.
const TABLE: &str = "/proc/thread-self/net/stat/nf_conntrack";

/// Entries there are and may be; absent where nothing is tracked.
pub(super) fn fill() -> (Option<u64>, Option<u64>) {
    let number = |path| fs::read_to_string(path).ok()?.trim().parse().ok();
    (number(COUNT), number(MAX))
}

/// Statistics by processor (`enum ctattr_stats_cpu`).
pub(super) fn cpus(connection: &mut Connection) -> Result<Vec<ConntrackCpu>, NetlinkError> {
    let mut cpus = Vec::new();
    connection
        .dump("tell statistics of connections", GET_STATISTICS, 0, &[], |message| cpus.push(cpu(message)))?;
    Ok(cpus)
}

fn cpu(message: Message<'_>) -> ConntrackCpu {
    let number = |kind| {
        attribute(message.attributes, kind)
            .and_then(|bytes| field(bytes, 0))
            .map_or(0, u32::from_be_bytes)
            .into()
    };
    ConntrackCpu {
        cpu: message.resource.into(),
        invalid: number(4),
        insert_failed: number(9),
        drop: number(10),
        early_drop: number(11),
        clash_resolve: number(14),
        chain_too_long: number(15),
    }
}

/// The same from `/proc`; nothing where there is no such file.
pub(super) fn cpus_of_proc() -> Vec<ConntrackCpu> {
    fs::read_to_string(TABLE).map(|table| parse(&table)).unwrap_or_default()
}

/// A line of names, and a line of numbers in hexadecimal for each processor.
fn parse(table: &str) -> Vec<ConntrackCpu> {
    let mut lines = table.lines();
    let names: Vec<_> = lines.next().unwrap_or("").split_whitespace().collect();
    let cpu = |(cpu, line): (usize, &str)| {
        let numbers: Vec<_> =
            line.split_whitespace().map(|number| u64::from_str_radix(number, 16).ok()).collect();
        let number = |name: &str| {
            let place = names.iter().position(|one| *one == name)?;
            numbers.get(place).copied().flatten()
        };
        let of = |name| number(name).unwrap_or(0);
        ConntrackCpu {
            cpu: u32::try_from(cpu).unwrap_or(u32::MAX),
            invalid: of("invalid"),
            insert_failed: of("insert_failed"),
            drop: of("drop"),
            early_drop: of("early_drop"),
            clash_resolve: of("clashres"),
            chain_too_long: of("chainlength"),
        }
    };
    lines.enumerate().map(cpu).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_their_names() {
        let table = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop\n\
                     00000005 00000002 00000000 00000000 0000001f 00000000 00000000 00000001 00000000 00000003 00000004 00000006\n\
                     00000005 00000000\n";
        let cpus = parse(table);
        let first = ConntrackCpu {
            cpu: 0,
            invalid: 31,
            insert_failed: 3,
            drop: 4,
            early_drop: 6,
            clash_resolve: 2,
            chain_too_long: 1,
        };
        assert_eq!(cpus, [first, ConntrackCpu { cpu: 1, ..ConntrackCpu::default() }]);
        assert!(parse("").is_empty());
    }
}
