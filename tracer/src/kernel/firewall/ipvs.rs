//! Virtual servers, as `/proc/net/ip_vs` tells them (`net/netfilter/ipvs/ip_vs_ctl.c`, `ip_vs_info_seq_show`).

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tracer_core::evidence::{IpvsServer, IpvsService, Missing};
use tracer_core::flow::Protocol;

/// Of the thread's network namespace; `/proc/net` is that of the process's first thread.
const TABLE: &str = "/proc/thread-self/net/ip_vs";

/// All virtual servers; those that are chosen by a mark are left out, for they have no address.
pub(super) fn read(missing: &mut Vec<Missing>) -> Vec<IpvsService> {
    match fs::read_to_string(TABLE) {
        Ok(table) => services(&table),
        // IPVS is not in this kernel, or not loaded.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            missing.push(Missing { what: "ipvs".to_owned(), why: format!("{TABLE}: {error}") });
            Vec::new()
        }
    }
}

fn services(table: &str) -> Vec<IpvsService> {
    let mut services: Vec<IpvsService> = Vec::new();
    let mut is_known = false;
    for line in table.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["->", server, forward, weight, active, ..] => {
                let server = server_of(server, forward, weight, active);
                if let (true, Some(service), Some(server)) = (is_known, services.last_mut(), server) {
                    service.servers.push(server);
                }
            }
            [protocol, address, scheduler, rest @ ..] => {
                let service = service_of(protocol, address, scheduler, rest);
                is_known = service.is_some();
                services.extend(service);
            }
            _ => {}
        }
    }
    services
}

fn service_of(protocol: &str, address: &str, scheduler: &str, rest: &[&str]) -> Option<IpvsService> {
    let (address, port) = endpoint(address)?;
    let persistent = rest.iter().position(|word| *word == "persistent").and_then(|place| rest.get(place + 1));
    Some(IpvsService {
        protocol: Protocol::from_name(protocol)?,
        address,
        port,
        scheduler: scheduler.to_owned(),
        persistent_ticks: persistent.and_then(|ticks| ticks.parse().ok()),
        servers: Vec::new(),
    })
}

fn server_of(server: &str, forward: &str, weight: &str, active: &str) -> Option<IpvsServer> {
    let (address, port) = endpoint(server)?;
    Some(IpvsServer {
        address,
        port,
        forward: forward.to_owned(),
        weight: weight.parse().ok()?,
        active: active.parse().ok()?,
    })
}

/// `0A600001:01BB` or `[fd00:0000:...:0001]:01BB`, all in hexadecimal.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let address = match address.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
        Some(address) => IpAddr::V6(address.parse::<Ipv6Addr>().ok()?),
        None if address.len() == 8 => IpAddr::V4(Ipv4Addr::from_bits(u32::from_str_radix(address, 16).ok()?)),
        None => return None,
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:01BB rr persistent 2700000 FFFFFFFF
  -> AC120002:192B      Masq    1      2          0
  -> AC120003:192B      Masq    0      0          1
FWM  00000010 wlc
  -> AC120009:0050      Route   1      0          0
UDP  [fd00:0000:0000:0000:0000:0000:0000:000a]:0035 rr
  -> [fd00:0000:0000:0000:0000:0000:0001:0005]:0035      Masq    1      0          3
";

    #[test]
    fn services_with_their_servers() {
        let all = services(OUTPUT);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].address.to_string(), all[0].port), ("10.96.0.1".to_owned(), 443));
        assert_eq!((all[0].scheduler.as_str(), all[0].persistent_ticks), ("rr", Some(2_700_000)));
        let servers: Vec<_> = all[0]
            .servers
            .iter()
            .map(|one| (one.address.to_string(), one.port, one.weight, one.active))
            .collect();
        assert_eq!(servers, [("172.18.0.2".to_owned(), 6443, 1, 2), ("172.18.0.3".to_owned(), 6443, 0, 0)]);
        assert_eq!((all[1].protocol, all[1].address.to_string()), (Protocol::UDP, "fd00::a".to_owned()));
        assert_eq!(all[1].servers.len(), 1, "servers of a mark are nobody's");
        assert_eq!(all[1].servers[0].address.to_string(), "fd00::1:5");
    }

    #[test]
    fn damaged_tables_give_what_is_whole() {
        for length in 0..OUTPUT.len() {
            services(&OUTPUT[..length]);
        }
        assert_eq!(services("TCP 0A60:01BB rr\n  -> AC120002:192B Masq 1 2 0\n"), []);
    }
}
