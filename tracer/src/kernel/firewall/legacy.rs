//! Rules of `ip_tables` and `ip6_tables`, which `iptables-legacy` writes, as the kernel keeps them
//! (`include/uapi/linux/netfilter_ipv4/ip_tables.h`).

mod blob;
mod socket;

use std::fs;
use std::io;

use tracer_core::evidence::{Missing, Table};

use self::blob::Layout;
use self::socket::TableSocket;
use super::ipset::IpSets;

/// The two families: which file names their tables, and how their entries lie.
const FAMILIES: [(&str, &str, Layout); 2] = [
    ("iptables (legacy)", "/proc/thread-self/net/ip_tables_names", blob::V4),
    ("ip6tables (legacy)", "/proc/thread-self/net/ip6_tables_names", blob::V6),
];
/// The file belongs to root, and others may not read it.
const NOT_ROOT: &str = ": that takes root, or CAP_DAC_READ_SEARCH";
/// How often a table is read again that changed meanwhile.
const ATTEMPTS: u32 = 5;

/// All tables that are there. None is asked for by name that is not: that would make the kernel create it.
pub(super) fn read(ipsets: &IpSets, missing: &mut Vec<Missing>) -> Vec<Table> {
    let mut tables = Vec::new();
    for (what, names, layout) in FAMILIES {
        let mut lack = |why: String| missing.push(Missing { what: what.to_owned(), why });
        let names = match fs::read_to_string(names) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                let takes = if error.kind() == io::ErrorKind::PermissionDenied { NOT_ROOT } else { "" };
                lack(format!("{names}: {error}{takes}"));
                continue;
            }
        };
        for name in names.lines().map(str::trim).filter(|name| !name.is_empty()) {
            match table(name, layout, ipsets) {
                Ok(Some(table)) => tables.push(table),
                Ok(None) => lack(format!("the table {name} makes no sense")),
                Err(error) => lack(format!("the table {name}: {error}")),
            }
        }
    }
    tables
}

fn table(name: &str, layout: Layout, ipsets: &IpSets) -> io::Result<Option<Table>> {
    let socket = TableSocket::open(layout.is_v6)?;
    let mut attempt = 1;
    loop {
        let info = socket.info(name)?;
        match socket.entries(name, info.size) {
            Ok(entries) => return Ok(blob::table(name, layout, &info, &entries, ipsets)),
            // It has another size by now.
            Err(error) if error.raw_os_error() == Some(nix::libc::EAGAIN) && attempt < ATTEMPTS => {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}
