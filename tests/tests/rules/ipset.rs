//! Sets of `ipset`, made as that does, for it need not be installed.

use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use tests::Namespace;
use tracer_core::evidence::{Field, Match, SetValue};
use tracer_core::flow::Protocol;

use super::predicted::{case, check};
use super::router::Router;
use super::scene::{feed, read};

const NESTED: u16 = 0x8000;
const NET_BYTE_ORDER: u16 = 0x4000;
/// `IPSET_CMD_CREATE`, `IPSET_CMD_ADD`.
const CREATE: u16 = 6 << 8 | 2;
const ADD: u16 = 6 << 8 | 9;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Sends a request, which must be accepted.
fn ask(kind: u16, attributes: &[Vec<u8>]) {
    let attributes = [[attribute(1, &[7])].as_slice(), attributes].concat().concat();
    let mut message = u32::try_from(20 + attributes.len()).unwrap().to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    // NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE
    message.extend((1u16 | 4 | 0x400).to_ne_bytes());
    message.extend(1u32.to_ne_bytes());
    message.extend([0; 4]);
    message.extend([2, 0, 0, 0]);
    message.extend(attributes);
    let own =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter)
            .unwrap();
    sendto(own.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty()).unwrap();
    let mut answer = [0; 4096];
    let length = recv(own.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
    assert!(length >= 20);
    let code = i32::from_ne_bytes(answer[16..20].try_into().unwrap());
    assert_eq!(code, 0, "{}", std::io::Error::from_raw_os_error(-code));
}

fn create(name: &str, kind: &str) {
    let text = |text: &str| format!("{text}\0").into_bytes();
    ask(
        CREATE,
        &[
            attribute(2, &text(name)),
            attribute(3, &text(kind)),
            attribute(4, &[4]),
            attribute(5, &[2]),
            attribute(7 | NESTED, &[]),
        ],
    );
}

struct Element {
    address: Ipv4Addr,
    length: Option<u8>,
    port: Option<(u8, u16)>,
    is_exception: bool,
}

fn add(name: &str, element: &Element) {
    let address = attribute(1 | NET_BYTE_ORDER, &element.address.octets());
    let mut data = attribute(1 | NESTED, &address);
    data.extend(element.length.map(|length| attribute(3, &[length])).unwrap_or_default());
    if let Some((protocol, port)) = element.port {
        data.extend(attribute(4 | NET_BYTE_ORDER, &port.to_be_bytes()));
        data.extend(attribute(7, &[protocol]));
    }
    if element.is_exception {
        data.extend(attribute(8 | NET_BYTE_ORDER, &4u32.to_be_bytes()));
    }
    ask(ADD, &[attribute(2, format!("{name}\0").as_bytes()), attribute(7 | NESTED, &data)]);
}

/// A set of networks with an exception, and one of addresses with ports.
fn sets(namespace: &Namespace) {
    let element = |address: &str| Element {
        address: address.parse().unwrap(),
        length: None,
        port: None,
        is_exception: false,
    };
    namespace
        .run(|| {
            create("cali40s:sources", "hash:net");
            add("cali40s:sources", &Element { length: Some(24), ..element("10.1.0.0") });
            add("cali40s:sources", &Element { is_exception: true, ..element("10.1.0.3") });
            create("web", "hash:ip,port");
            add("web", &Element { port: Some((17, 53)), ..element("10.2.0.53") });
            add("web", &Element { port: Some((6, 80)), ..element("10.2.0.2") });
        })
        .unwrap();
}

const RULES: &str = "\
*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -m set --match-set web dst,dst -j ACCEPT
-A FORWARD -p udp -m set ! --match-set cali40s:sources src -j DROP
-A FORWARD -p udp -m set --match-set cali40s:sources src -j REJECT
COMMIT
";

#[test]
fn sets_are_read_and_looked_up() {
    for program in ["iptables-nft-restore", "iptables-legacy-restore"] {
        let router = Router::up();
        sets(router.inside());
        feed(router.inside(), program, RULES);
        let firewall = read(router.inside());
        let names: Vec<_> =
            firewall.ipsets.iter().map(|set| (set.name.as_str(), set.elements.len())).collect();
        assert_eq!(names, [("cali40s:sources", 2), ("web", 2)]);
        let key = |address: &str, protocol, port| {
            let address = address.parse().unwrap();
            let ports = SetValue::Numbers { first: port, last: port };
            vec![
                SetValue::Addresses { first: address, last: address },
                SetValue::Protocol { protocol },
                ports,
            ]
        };
        let web: Vec<_> = firewall.ipsets[1].elements.iter().map(|element| element.key.clone()).collect();
        assert!(web.contains(&key("10.2.0.53", Protocol::UDP, 53)), "{web:?}");
        assert!(web.contains(&key("10.2.0.2", Protocol::TCP, 80)), "{web:?}");
        let rules = &firewall.table("ip filter").unwrap().chain("FORWARD").unwrap().rules;
        let fields = vec![Field::Destination, Field::Protocol, Field::DestinationPort];
        let condition = Match::InSet { fields, set: "web".to_owned(), is_negated: false };
        assert_eq!(rules[0].matches, [condition]);
        assert_eq!(rules[0].text, "-A FORWARD -m set --match-set web dst,dst -j ACCEPT");
        for case in [
            case("udp", "10.1.0.4", "10.2.0.53:53", "10.1.0.4 to 10.2.0.53:53"),
            case("tcp", "10.1.0.4", "10.2.0.2:80", "10.1.0.4 to 10.2.0.2:80"),
            case("udp", "10.1.0.4", "10.2.0.2:80", "icmp-port-unreachable"),
            case("udp", "10.1.0.3", "10.2.0.2:80", "dropped"),
            case("udp", "10.244.1.7", "10.2.0.2:80", "dropped"),
        ] {
            check(&router, &case);
        }
    }
}
