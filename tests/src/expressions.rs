//! Filter expressions of every kind that pcap-filter(7) tells of, to hold kflow's answers against others'.

pub mod generate;
pub mod packets;

/// `LINKTYPE_ETHERNET` and so on (tcpdump.org/linktypes.html): those that files in the tests have.
pub mod link {
    /// BSD loopback: the address family in the byte order of the machine.
    pub const NULL: u32 = 0;
    /// Ethernet.
    pub const ETHERNET: u32 = 1;
    /// IPv4 or IPv6 without a header before it.
    pub const RAW: u32 = 101;
    /// OpenBSD loopback: the address family in network byte order.
    pub const LOOP: u32 = 108;
    /// Linux cooked capture.
    pub const SLL: u32 = 113;
    /// Linux cooked capture, version 2.
    pub const SLL2: u32 = 276;
    /// All of them.
    pub const ALL: [u32; 6] = [NULL, ETHERNET, RAW, LOOP, SLL, SLL2];
}

/// An expression, and what it can be compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Expression {
    /// The expression.
    pub text: &'static str,
    /// The link types of [`link`] that libpcap compiles it for, with a netmask.
    pub links: &'static [u32],
}

impl Expression {
    /// Whether libpcap compiles it for packets of this link type.
    pub fn is_for(&self, link: u32) -> bool {
        self.links.contains(&link)
    }
}

/// One that needs nothing that only some link layers have.
const fn every(text: &'static str) -> Expression {
    Expression { text, links: &link::ALL }
}

/// One that needs the number of a protocol that is no IP.
const fn protocol(text: &'static str) -> Expression {
    Expression { text, links: &[link::ETHERNET, link::SLL, link::SLL2] }
}

/// One that needs hardware addresses, or headers that only Ethernet may have.
const fn ethernet(text: &'static str) -> Expression {
    Expression { text, links: &[link::ETHERNET] }
}

/// Needs to know more than the bytes: the direction, the interface.
pub const LIVE: [&str; 4] = ["inbound", "outbound", "ifindex 2", "inbound and tcp port 80"];

/// The expressions. None needs the names of hosts, ports or networks. For each but `1 = 1` there are [`packets`] that
/// match and others that do not.
pub const TABLE: &[Expression] = &[
    // Man page.
    every("host 192.0.2.10"),
    every("host 192.0.2.10 and not 192.0.2.20"),
    every("host 192.0.2.10 and (192.0.2.20 or 192.0.2.30)"),
    every("ip host 192.0.2.10 and not 192.0.2.20"),
    every("net 192.0.2.0/24"),
    every("net 192.0.2.0 mask 255.255.255.0"),
    every("net 10"),
    every("src net 10.0.0.0/8"),
    every("dst net 198.51.100.0/25"),
    every("not net 192.0.2.0/24"),
    every("ip and not net 192.0.2.0/24"),
    every("tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 192.0.2.0/24"),
    every("tcp[tcpflags] & (tcp-rst|tcp-ack) == (tcp-rst|tcp-ack)"),
    every("tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)"),
    every("ip[2:2] > 576"),
    every("ether[0] & 1 = 0 and ip[16] >= 224"),
    every("icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply"),
    every("ether[0] & 1 != 0"),
    every("ip[0] & 0xf != 5"),
    every("ip[6:2] & 0x1fff = 0"),
    every("udp dst port 53 or tcp dst port 53"),
    every("not host 192.0.2.10 and not host 192.0.2.20"),
    every("not (host 192.0.2.10 or 192.0.2.20)"),
    // Kinds of packets.
    every("ip"),
    every("ip6"),
    protocol("arp"),
    protocol("rarp"),
    every("tcp"),
    every("udp"),
    every("icmp"),
    every("icmp6"),
    every("sctp"),
    every("igmp"),
    every("esp"),
    every("ah"),
    every("pim"),
    every("vrrp"),
    every("ip proto 47"),
    every("ip proto 4"),
    every("ip proto 41"),
    every("ip proto \\tcp"),
    every("ip6 proto 17"),
    every("proto 17"),
    protocol("ether proto 0x0806"),
    every("ether proto \\ip6"),
    protocol("ether proto 0x88cc"),
    protocol("atalk"),
    protocol("stp"),
    protocol("ipx"),
    protocol("decnet src 10.15"),
    // Addresses.
    every("src host 192.0.2.10"),
    every("dst host 192.0.2.10"),
    every("src or dst host 192.0.2.20"),
    every("src and dst net 192.0.2.0/24"),
    every("src 192.0.2.10"),
    every("ip host 192.0.2.10"),
    protocol("arp host 192.0.2.1"),
    every("ip6 host 2001:db8::10"),
    every("host 2001:db8::20"),
    every("src host 2001:db8::10 and dst host 2001:db8::20"),
    every("ip6 net 2001:db8::/32"),
    every("src net 2001:db8:0:1::/64"),
    every("dst net fe80::/10"),
    ethernet("ether host 02:00:00:00:00:01"),
    ethernet("ether src 02:00:00:00:00:02"),
    ethernet("ether dst 02:00:00:00:00:01"),
    ethernet("ether dst host ff:ff:ff:ff:ff:ff"),
    ethernet("broadcast"),
    ethernet("ether broadcast"),
    ethernet("multicast"),
    ethernet("ether multicast"),
    every("ip broadcast"),
    every("ip multicast"),
    every("ip6 multicast"),
    ethernet("not broadcast and not multicast"),
    // Ports.
    every("port 53"),
    every("port 80"),
    every("src port 8080"),
    every("dst port 8080"),
    every("tcp port 80"),
    every("udp port 53"),
    every("tcp src port 443"),
    every("tcp dst port 8080"),
    every("sctp port 5000"),
    every("port 80 or 443"),
    every("tcp port 80 or 8080 or 443"),
    every("port 22 or port 25 and tcp"),
    every("portrange 8000-8100"),
    every("tcp portrange 1-1024"),
    every("udp src portrange 1000-60000"),
    every("dst portrange 80-80"),
    every("not port 22"),
    every("ip6 and tcp port 8080"),
    // Bytes.
    every("tcp dst port 8080 and (tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x504f5354)"),
    every("tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420"),
    every("tcp[13] = 2"),
    every("tcp[13] & 7 != 0"),
    every("tcp[tcpflags] = tcp-syn"),
    every("tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn|tcp-ack"),
    every("tcp[tcpflags] & tcp-push != 0"),
    every("tcp[tcpflags] & (tcp-ece|tcp-cwr) != 0"),
    every("tcp[4:4] > 0x7fffffff"),
    every("tcp[14:2] < 1024"),
    every("udp[4:2] > 100"),
    every("udp[8:2] = 0x1234"),
    every("udp[10] & 0x80 = 0"),
    every("icmp[0] = 8"),
    every("icmp[icmptype] = icmp-unreach"),
    every("icmp[icmptype] = icmp-unreach and icmp[icmpcode] = 4"),
    every("icmp[icmptype] = icmp-timxceed"),
    every("icmp6[0] = 135"),
    every("icmp6[icmp6type] = icmp6-echo"),
    every("icmp6[icmp6type] == icmp6-neighborsolicit or icmp6[icmp6type] == icmp6-neighboradvert"),
    every("ip[8] < 5"),
    every("ip[8] = 1 or ip6[7] = 1"),
    every("ip[9] = 6"),
    every("(ip[1] & 0xfc) >> 2 = 46"),
    every("ip[6] & 0x20 != 0"),
    every("ip[6:2] & 0x3fff != 0"),
    every("ip[12:4] = 0xc000020a"),
    every("ip[16:4] & 0xffffff00 = 0xc6336400"),
    every("ip6[6] = 44"),
    every("ip6[4:2] > 64"),
    every("ip6[40] = 0x80"),
    every("ip6[8:4] = 0x20010db8"),
    every("ip[(ip[0] & 0xf) * 4] = 8"),
    every("ether[12:2] = 0x0800"),
    every("ether[12:2] > 1500"),
    every("ether[0:4] = 0xffffffff"),
    every("link[0] = 2"),
    every("ether[len - 1] = 0"),
    protocol("arp[6:2] = 1"),
    protocol("arp[7] = 2"),
    protocol("arp[24:4] = 0xc0000201"),
    every("ip[40:4] = 0 or ip[44:4] = 0"),
    // Arithmetic.
    every("len > 100"),
    every("len <= 60"),
    every("len = ip[2:2] + 14"),
    every("len - 14 = ip[2:2]"),
    every("(ip[0] & 0xf) * 4 + 8 > 28"),
    every("ip[2:2] - (ip[0] & 15) * 4 = 8"),
    every("ip[8] / 2 = 32"),
    every("ip[8] % 3 = 1"),
    every("ip[4:2] ^ 0x5555 > 0x8000"),
    every("ip[8] << 2 = 256"),
    every("ip[2:2] >> 6 = 1"),
    every("100 < len"),
    every("1 = 1"),
    every("ip[0] / (ip[1] + 1) > 3"),
    every("tcp[0:2] / tcp[2:2] = 0"),
    every("- ip[8] < 0xfffffff0"),
    every("ip[0] << (ip[8] & 63) = 0"),
    every("ip[9] = 6 and 0 < tcp[4]"),
    // Lengths.
    every("less 64"),
    every("greater 128"),
    every("less 60 or greater 1000"),
    every("not less 100"),
    every("tcp and greater 200"),
    // VLAN and other layers in between.
    ethernet("vlan"),
    ethernet("vlan 5"),
    ethernet("vlan 5 and ip"),
    ethernet("vlan and tcp port 80"),
    ethernet("vlan 5 and vlan 7"),
    ethernet("vlan and vlan and ip"),
    ethernet("not vlan"),
    ethernet("ip or (vlan and ip)"),
    ethernet("port 80 or (vlan and port 80)"),
    ethernet("vlan and ip6"),
    ethernet("mpls"),
    ethernet("mpls 1000"),
    ethernet("mpls 1000 and ip"),
    ethernet("mpls and mpls 2000 and host 192.0.2.10"),
    protocol("pppoed"),
    protocol("pppoes"),
    protocol("pppoes 7"),
    protocol("pppoes and ip"),
    protocol("pppoes and tcp port 80"),
    ethernet("llc"),
    // Protocols one in the other.
    every("ip protochain 6"),
    every("ip6 protochain 6"),
    every("ip6 protochain 58"),
    every("protochain 17"),
    every("ip6 protochain \\tcp"),
    every("ip proto 4 and ip[20] = 0x45"),
    every("geneve"),
    every("geneve 42"),
    every("geneve and tcp"),
    every("geneve and ip host 192.0.2.20"),
    every("udp port 4789 and udp[8:2] = 0x0800"),
    every("udp port 4789 and udp[11:4] & 0xffffff = 0x2a"),
    every("ip[20:2] = 0x4500"),
    // Without words, and with many.
    every("(tcp or udp) and (port 53 or port 80) and not host 192.0.2.30"),
    every("!(arp || icmp) && len >= 60"),
    every("tcp and not (src host 192.0.2.10 and dst port 80) or udp"),
    every("ip and (tcp or udp) and not (net 10.0.0.0/8 or net 172.16.0.0/12 or net 192.168.0.0/16)"),
    every("((tcp))"),
];
