//! Addresses as they are typed: `--host`, `--inner-host`.

use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

use super::agent::{OrNone, those};
use crate::kernel::filter::{AddressSet, AddressSetError, Layers, PortRule};

/// An address as typed, with a port and a protocol or without.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct HostSpec {
    address: IpAddr,
    rule: Option<PortRule>,
}

/// Why a text is no [`HostSpec`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(super) enum HostSpecError {
    /// No address.
    #[error("expected an address: 10.0.0.1, 10.0.0.1:80, 10.0.0.1:53/udp, fd00::1 or [fd00::1]:443/tcp")]
    Address,
    /// No port.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// No protocol.
    #[error("the protocol is not tcp, udp, sctp, icmp, icmp6 or a number from 1 to 255")]
    Protocol,
}

impl FromStr for HostSpec {
    type Err = HostSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, protocol)) => (rest, Some(protocol_number(protocol)?)),
            None => (text, None),
        };
        let (address, port) = split_port(rest)?;
        let address = address.parse().map_err(|_| HostSpecError::Address)?;
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port)) if port != 0 => Some(port),
            Some(_) => return Err(HostSpecError::Port),
        };
        let any = port.is_none() && protocol.is_none();
        Ok(Self { address, rule: (!any).then_some(PortRule { port, protocol }) })
    }
}

/// An IPv6 address has a port behind brackets only.
fn split_port(text: &str) -> Result<(&str, Option<&str>), HostSpecError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(HostSpecError::Address)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, Some(port))),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(HostSpecError::Address),
        };
    }
    match text.split_once(':') {
        Some((address, port)) if !port.contains(':') => Ok((address, Some(port))),
        _ => Ok((text, None)),
    }
}

fn protocol_number(text: &str) -> Result<u8, HostSpecError> {
    match text.to_ascii_lowercase().as_str() {
        "icmp" => Ok(1),
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmp6" | "icmpv6" => Ok(58),
        "sctp" => Ok(132),
        number => number.parse().ok().filter(|number| *number != 0).ok_or(HostSpecError::Protocol),
    }
}

pub(super) fn address_set(
    hosts: &[OrNone<HostSpec>],
    inner: &[OrNone<HostSpec>],
) -> Result<AddressSet, AddressSetError> {
    if hosts.is_empty() && inner.is_empty() {
        return Ok(AddressSet::everything());
    }
    let mut set = AddressSet::nothing();
    for host in those(hosts) {
        set.add(host.address, Layers::Any, host.rule)?;
    }
    for host in those(inner) {
        set.add(host.address, Layers::Innermost, host.rule)?;
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_as_people_type_them() {
        let rule = |port, protocol| Some(PortRule { port, protocol });
        let table = [
            ("10.0.0.1", "10.0.0.1", None),
            ("10.0.0.1:80", "10.0.0.1", rule(Some(80), None)),
            ("10.0.0.1:53/udp", "10.0.0.1", rule(Some(53), Some(17))),
            ("10.0.0.1/icmp", "10.0.0.1", rule(None, Some(1))),
            ("fd00::1", "fd00::1", None),
            ("fd00::1/TCP", "fd00::1", rule(None, Some(6))),
            ("[fd00::1]", "fd00::1", None),
            ("[fd00::1]:443/132", "fd00::1", rule(Some(443), Some(132))),
        ];
        for (text, address, rule) in table {
            let expected = HostSpec { address: address.parse().unwrap(), rule };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_told_apart() {
        let table = [
            ("", HostSpecError::Address),
            ("pod-a", HostSpecError::Address),
            ("[fd00::1", HostSpecError::Address),
            ("[fd00::1]x", HostSpecError::Address),
            ("10.0.0.1:0", HostSpecError::Port),
            ("10.0.0.1:65536", HostSpecError::Port),
            ("10.0.0.1:http", HostSpecError::Port),
            ("10.0.0.1:80/quic", HostSpecError::Protocol),
            ("10.0.0.1/0", HostSpecError::Protocol),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<HostSpec>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn no_host_means_every_packet() {
        assert_eq!(address_set(&[], &[]), Ok(AddressSet::everything()));
        assert_ne!(address_set(&["10.0.0.1".parse().unwrap()], &[]), Ok(AddressSet::everything()));
        assert_eq!(address_set(&["none".parse().unwrap()], &[]), Ok(AddressSet::nothing()));
    }
}
