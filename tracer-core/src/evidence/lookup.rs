//! What a snapshot says of one address, one interface, one setting; and the way that a kernel would send a packet.

use std::net::IpAddr;

use super::node::{Link, LinkAddress, Route, RouteKind, RoutingRule};
use super::{Counters, LinkCounters, Snapshot};
use crate::way::LinkIndex;

/// A packet whose way is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// Where it goes.
    pub destination: IpAddr,
    /// Where it comes from; absent where the kernel has still to choose.
    pub source: Option<IpAddr>,
    /// Its mark.
    pub mark: u32,
    /// The interface that it came in by; absent for one of this node's own.
    pub input: Option<&'a str>,
}

/// The way that a kernel would send a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RouteAnswer<'a> {
    /// By this route, which may be one that refuses; the first where several next hops share the packets.
    Route(&'a Route),
    /// A rule refuses it.
    Refused(RouteKind),
    /// No rule leads to a route for it.
    None,
    /// It cannot be told: routes could not be read, or it depends on a condition that nothing here tells.
    Unknown,
}

/// Bits of an address and its length in bits.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

/// Whether an address is of a network; never of one of the other family.
pub(super) fn is_within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let ((address, size), (network, other)) = (bits(address), bits(network));
    let ignored = size.saturating_sub(length.into());
    size == other && (ignored >= size || address >> ignored == network >> ignored)
}

impl Snapshot {
    /// A setting: the name is the path below `/proc/sys` (`net/ipv4/ip_forward`).
    pub fn sysctl(&self, name: &str) -> Option<&str> {
        self.sysctls.get(name).map(String::as_str)
    }

    /// A setting that is a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.sysctl(name)?.parse().ok()
    }

    /// How IPv4 packets are checked that come in by an interface: 0 not at all, 1 strictly, 2 loosely.
    ///
    /// The greater of the interface's own value and that of `all` (ip-sysctl.rst).
    pub fn rp_filter(&self, interface: &str) -> Option<u8> {
        let of = |name: &str| self.number(&format!("net/ipv4/conf/{name}/rp_filter"));
        let greater = of("all").into_iter().chain(of(interface)).max()?;
        u8::try_from(greater).ok()
    }

    /// Whether packets that come in by an interface may go on to others.
    pub fn forwards(&self, interface: &str, is_ipv6: bool) -> Option<bool> {
        let family = if is_ipv6 { "ipv6" } else { "ipv4" };
        let own = self.number(&format!("net/{family}/conf/{interface}/forwarding"))?;
        if !is_ipv6 {
            return Some(own != 0);
        }
        // IPv6 asks the switch of all first (`ip6_forward`, net/ipv6/ip6_output.c); 6.17 brought one per interface.
        let all = self.number("net/ipv6/conf/all/forwarding")?;
        Some(
            all != 0
                || (own != 0
                    && self.sysctl(&format!("net/ipv6/conf/{interface}/force_forwarding")) == Some("1")),
        )
    }

    /// An interface by its index.
    pub fn link(&self, index: LinkIndex) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    /// An interface by its name.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The interface that has an address of its own, and the address as it has it.
    pub fn owner(&self, address: IpAddr) -> Option<(&Link, &LinkAddress)> {
        let own = |link: &'_ Link| link.addresses.iter().position(|own| own.address == address);
        self.links.iter().find_map(|link| own(link).map(|place| (link, &link.addresses[place])))
    }

    /// Whether one of its interfaces has the address.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.owner(address).is_some()
    }

    /// The way that the kernel would send a packet, as `ip route get` tells it: rules in their order, of each table the
    /// longest prefix, of those the least priority. Routes of links that are down are not used.
    pub fn route_to(&self, lookup: Lookup<'_>) -> RouteAnswer<'_> {
        if self.is_missing("routes") || self.is_missing("routing rules") {
            return RouteAnswer::Unknown;
        }
        for rule in self.rules.iter().filter(|rule| rule.is_ipv6 == lookup.destination.is_ipv6()) {
            let does_match = match rule.matches(&lookup) {
                _ if rule.is_of_vrf() && !self.is_in_vrf(lookup.input) => false,
                _ if rule.is_of_vrf() => return RouteAnswer::Unknown,
                Some(does_match) => does_match,
                // A rule that nothing could come of is passed whatever its condition.
                None if self.answer_of(rule, lookup.destination).is_none() => false,
                None => return RouteAnswer::Unknown,
            };
            if does_match && let Some(answer) = self.answer_of(rule, lookup.destination) {
                return answer;
            }
        }
        RouteAnswer::None
    }

    /// What comes of a rule; nothing where the next one is asked.
    fn answer_of(&self, rule: &RoutingRule, destination: IpAddr) -> Option<RouteAnswer<'_>> {
        match (rule.table, rule.kind) {
            (Some(table), _) => {
                let route = self.longest(table, destination)?;
                let is_suppressed =
                    rule.suppress_prefix.is_some_and(|length| u32::from(route.prefix) <= length);
                (!is_suppressed && route.kind != RouteKind::Throw).then_some(RouteAnswer::Route(route))
            }
            (None, RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit) => {
                Some(RouteAnswer::Refused(rule.kind))
            }
            // `goto` and `nop`: where a `goto` leads cannot be told from here.
            (None, _) => {
                rule.others.iter().any(|other| other.starts_with("goto")).then_some(RouteAnswer::Unknown)
            }
        }
    }

    fn longest(&self, table: u32, destination: IpAddr) -> Option<&Route> {
        self.routes
            .iter()
            .filter(|route| route.table == table && !route.is_dead)
            .filter(|route| is_within(destination, route.destination, route.prefix))
            .max_by_key(|route| (route.prefix, std::cmp::Reverse(route.priority)))
    }

    /// Whether an interface is one of a VRF, whose table a rule of all VRFs leads to.
    fn is_in_vrf(&self, input: Option<&str>) -> bool {
        let master = input.and_then(|name| self.link_named(name)).and_then(|link| link.master);
        master.and_then(|master| self.link(master)).is_some_and(|master| master.kind.0 == "vrf")
    }

    fn is_missing(&self, what: &str) -> bool {
        self.missing.iter().any(|missing| missing.what == what)
    }
}

impl RoutingRule {
    /// Whether it is for a packet; absent where that cannot be told.
    fn matches(&self, lookup: &Lookup<'_>) -> Option<bool> {
        let is_in = |network: Option<(IpAddr, u8)>, address: Option<IpAddr>| match (network, address) {
            (None | Some((_, 0)), _) => Some(true),
            (Some((network, length)), Some(address)) => Some(is_within(address, network, length)),
            // The kernel has no source yet: it matches as the unspecified address does.
            (Some(_), None) => Some(false),
        };
        let conditions = [
            is_in(self.source, lookup.source),
            is_in(self.destination, Some(lookup.destination)),
            Some(self.mark.is_none_or(|(value, mask)| lookup.mark & mask == value & mask)),
            // A packet of one's own comes in by loopback, as rules see it.
            Some(self.input.as_deref().is_none_or(|input| input == lookup.input.unwrap_or("lo"))),
            // To what interface a socket is bound is not known here.
            if self.output.is_some() { None } else { Some(true) },
            if self.has_unknown_conditions() { None } else { Some(true) },
        ];
        let all = if conditions.contains(&Some(false)) {
            Some(false)
        } else if conditions.contains(&None) {
            None
        } else {
            Some(true)
        };
        all.map(|all| all != self.is_inverted)
    }

    fn is_of_vrf(&self) -> bool {
        self.others.iter().any(|other| other == "l3mdev")
    }

    fn has_unknown_conditions(&self) -> bool {
        self.others.iter().any(|other| !other.starts_with("goto") && !other.starts_with("suppress_"))
    }
}

impl Counters {
    /// A counter as `nstat` names it.
    pub fn protocol(&self, name: &str) -> Option<u64> {
        self.protocols.get(name).copied()
    }

    /// By how much a counter rose since then; 0 where it is not known. A kernel leaves out what never counted: then it
    /// was 0.
    pub fn rose(&self, before: &Self, name: &str) -> u64 {
        let first = before.protocol(name).unwrap_or(0);
        self.protocol(name).map_or(0, |last| last.saturating_sub(first))
    }
}

impl LinkCounters {
    /// What counted since then; nothing where a counter fell, as it does when an interface is made anew.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            rx_packets: self.rx_packets.saturating_sub(before.rx_packets),
            tx_packets: self.tx_packets.saturating_sub(before.tx_packets),
            rx_errors: self.rx_errors.saturating_sub(before.rx_errors),
            tx_errors: self.tx_errors.saturating_sub(before.tx_errors),
            rx_dropped: self.rx_dropped.saturating_sub(before.rx_dropped),
            tx_dropped: self.tx_dropped.saturating_sub(before.tx_dropped),
            rx_crc_errors: self.rx_crc_errors.saturating_sub(before.rx_crc_errors),
            rx_missed: self.rx_missed.saturating_sub(before.rx_missed),
            rx_nohandler: self.rx_nohandler.saturating_sub(before.rx_nohandler),
            carrier_changes: self.carrier_changes.saturating_sub(before.carrier_changes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Missing, testing};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn route(table: u32, network: &str, priority: u32, link: u32) -> Route {
        Route { table, priority, ..testing::route(network, RouteKind::Unicast, Some(link), None) }
    }

    fn rule(priority: u32, table: Option<u32>) -> RoutingRule {
        RoutingRule {
            priority,
            is_ipv6: false,
            source: None,
            destination: None,
            mark: None,
            input: None,
            output: None,
            table,
            kind: if table.is_some() { RouteKind::Unicast } else { RouteKind::Prohibit },
            is_inverted: false,
            suppress_prefix: None,
            others: Vec::new(),
        }
    }

    fn usual() -> Snapshot {
        Snapshot {
            routes: vec![
                route(255, "10.0.0.1/32", 0, 1),
                route(254, "0.0.0.0/0", 0, 2),
                route(254, "10.0.0.0/24", 100, 3),
                route(254, "10.0.0.0/24", 50, 4),
                route(254, "fd00::/64", 0, 5),
                route(7, "10.9.0.0/16", 0, 6),
            ],
            rules: vec![
                rule(0, Some(255)),
                rule(32766, Some(254)),
                RoutingRule { is_ipv6: true, ..rule(32766, Some(254)) },
            ],
            ..Snapshot::default()
        }
    }

    fn to(destination: &str) -> Lookup<'static> {
        Lookup { destination: ip(destination), source: None, mark: 0, input: None }
    }

    fn by(answer: RouteAnswer<'_>) -> Option<u32> {
        match answer {
            RouteAnswer::Route(route) => route.link.map(|LinkIndex(index)| index),
            _ => None,
        }
    }

    #[test]
    fn tables_in_order_then_prefix_then_priority() {
        let snapshot = usual();
        for (destination, link) in [("10.0.0.1", 1), ("10.0.0.9", 4), ("192.0.2.1", 2), ("fd00::9", 5)] {
            assert_eq!(by(snapshot.route_to(to(destination))), Some(link), "{destination}");
        }
        assert_eq!(snapshot.route_to(to("fe80::1")), RouteAnswer::None);
    }

    #[test]
    fn dead_routes_and_those_that_throw_are_passed() {
        let mut snapshot = usual();
        snapshot.routes[3].is_dead = true;
        assert_eq!(by(snapshot.route_to(to("10.0.0.9"))), Some(3));
        snapshot.routes[2].kind = RouteKind::Throw;
        assert_eq!(
            snapshot.route_to(to("10.0.0.9")),
            RouteAnswer::None,
            "the table is left, default and all"
        );
    }

    #[test]
    fn rules_with_conditions() {
        let mut snapshot = usual();
        let own = RoutingRule { mark: Some((0x10, 0xf0)), ..rule(100, Some(7)) };
        snapshot.rules.insert(1, own);
        let marked = |mark| Lookup { mark, ..to("10.9.0.1") };
        assert_eq!(by(snapshot.route_to(marked(0x1f))), Some(6));
        assert_eq!(by(snapshot.route_to(marked(0x20))), Some(2));
        snapshot.rules[1].is_inverted = true;
        assert_eq!(by(snapshot.route_to(marked(0x20))), Some(6));
        snapshot.rules[1] = RoutingRule { source: Some((ip("10.5.0.0"), 16)), ..rule(100, None) };
        let from = |source: &str| Lookup { source: Some(ip(source)), ..to("10.9.0.1") };
        assert_eq!(snapshot.route_to(from("10.5.3.2")), RouteAnswer::Refused(RouteKind::Prohibit));
        assert_eq!(by(snapshot.route_to(from("10.6.3.2"))), Some(2));
        snapshot.rules[1] = RoutingRule { input: Some("eth0".to_owned()), ..rule(100, Some(7)) };
        assert_eq!(by(snapshot.route_to(Lookup { input: Some("eth0"), ..to("10.9.0.1") })), Some(6));
        assert_eq!(by(snapshot.route_to(to("10.9.0.1"))), Some(2));
    }

    #[test]
    fn what_cannot_be_told_is_unknown_only_where_it_matters() {
        let mut snapshot = usual();
        let unclear = RoutingRule { others: vec!["ipproto 6".to_owned()], ..rule(100, Some(7)) };
        snapshot.rules.insert(1, unclear);
        assert_eq!(snapshot.route_to(to("10.9.0.1")), RouteAnswer::Unknown);
        assert_eq!(by(snapshot.route_to(to("10.0.0.9"))), Some(4), "the table has no route for it anyway");
        snapshot.missing.push(Missing { what: "routes".to_owned(), why: "refused".to_owned() });
        assert_eq!(snapshot.route_to(to("10.0.0.9")), RouteAnswer::Unknown);
    }

    #[test]
    fn short_prefixes_are_suppressed() {
        // As wg-quick sets it up: the main table but for its default route, then another table.
        let mut snapshot = usual();
        snapshot.routes.push(route(51820, "0.0.0.0/0", 0, 9));
        snapshot.rules.insert(1, RoutingRule { suppress_prefix: Some(0), ..rule(100, Some(254)) });
        snapshot.rules.insert(2, rule(101, Some(51820)));
        assert_eq!(by(snapshot.route_to(to("192.0.2.1"))), Some(9));
        assert_eq!(by(snapshot.route_to(to("10.0.0.9"))), Some(4));
    }

    #[test]
    fn settings_of_an_interface_and_of_all() {
        let mut snapshot = Snapshot::default();
        assert_eq!((snapshot.rp_filter("eth0"), snapshot.forwards("eth0", false)), (None, None));
        for (name, value) in [
            ("net/ipv4/conf/all/rp_filter", "1"),
            ("net/ipv4/conf/eth0/rp_filter", "2"),
            ("net/ipv4/conf/lo/rp_filter", "0"),
            ("net/ipv4/conf/eth0/forwarding", "0"),
            ("net/ipv6/conf/eth0/forwarding", "0"),
            ("net/ipv6/conf/all/forwarding", "1"),
        ] {
            snapshot.sysctls.insert(name.to_owned(), value.to_owned());
        }
        assert_eq!((snapshot.rp_filter("eth0"), snapshot.rp_filter("lo")), (Some(2), Some(1)));
        assert_eq!(
            (snapshot.forwards("eth0", false), snapshot.forwards("eth0", true)),
            (Some(false), Some(true))
        );
    }

    #[test]
    fn networks_of_any_length() {
        for (address, network, length, expected) in [
            ("10.0.0.1", "0.0.0.0", 0, true),
            ("10.0.0.1", "10.0.0.0", 31, true),
            ("10.0.0.2", "10.0.0.0", 31, false),
            ("10.0.0.1", "10.0.0.1", 32, true),
            ("10.0.0.1", "10.0.0.1", 255, true),
            ("fd00::1", "::", 0, true),
            ("fd00::1", "0.0.0.0", 0, false),
            ("fd00::1", "fd00::1", 128, true),
        ] {
            assert_eq!(
                is_within(ip(address), ip(network), length),
                expected,
                "{address} in {network}/{length}"
            );
        }
    }
}
