use tracer_core::capture::{CaptureReader, Item};

use super::*;

fn encoder(format: Format) -> Encoder {
    Encoder::new(format, Section::default(), SnapLength(64), 0).unwrap()
}

fn interface(name: &str, link: LinkLayer) -> Interface {
    Interface { name: name.to_owned(), node: None, pod: None, ifindex: None, link, mac: None }
}

fn ethernet(name: &str) -> Interface {
    interface(name, LinkLayer::Ethernet)
}

fn frame(id: InterfaceId) -> Frame<'static> {
    Frame {
        interface: id,
        time: Timestamp(1),
        direction: None,
        original_len: 60,
        data: Cow::Borrowed(&[0; 60]),
        gso: None,
        mark: 0,
        lost_before: 0,
        comment: Some(Cow::Borrowed("a comment")),
    }
}

fn write(encoder: &mut Encoder, id: InterfaceId) {
    let local = encoder.describe(id).unwrap();
    encoder.frame(&frame(id), local).unwrap();
}

/// Ends the file and begins the next one; returns what the first one says.
fn next_file(encoder: &mut Encoder) -> Vec<String> {
    encoder.end_file().unwrap();
    let bytes = std::mem::take(encoder.buffer());
    encoder.begin_file().unwrap();
    said(&bytes)
}

fn said(bytes: &[u8]) -> Vec<String> {
    let mut reader = CaptureReader::new(bytes).unwrap();
    let mut said = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        said.push(match item {
            Item::Interface(id, interface) => format!("{} is {}", id.0, interface.name),
            Item::Frame(frame) => {
                format!("packet of {}, {}", frame.interface.0, frame.comment.unwrap_or_default())
            }
            Item::Statistics(id, time, statistics) => {
                format!("{} saw {} at {}", id.0, statistics.seen, time.0)
            }
            Item::Section(_) | Item::Other(_) => continue,
        });
    }
    said
}

#[test]
fn further_files_describe_what_is_there_and_what_has_packets() {
    let mut encoder = encoder(Format::Pcapng);
    let [a, b, c] = ["a", "b", "c"].map(|name| encoder.interface(&ethernet(name), None).unwrap());
    let seen = |seen| Statistics { seen, ..Statistics::default() };
    encoder.remember(a, Timestamp(5), &seen(1));
    encoder.statistics(a, Timestamp(6), &seen(2)).unwrap();
    encoder.remember(b, Timestamp(7), &seen(3));
    encoder.retire(a);
    encoder.retire(c);
    let first = ["0 is a", "1 is b", "2 is c", "0 saw 2 at 6", "1 saw 3 at 7"];
    assert_eq!(next_file(&mut encoder), first);
    write(&mut encoder, b);
    write(&mut encoder, c);
    write(&mut encoder, c);
    let d = encoder.interface(&ethernet("d"), None).unwrap();
    assert_eq!(d, InterfaceId(3));
    write(&mut encoder, d);
    assert_eq!(
        next_file(&mut encoder),
        [
            "0 is b",
            "packet of 0, a comment",
            "1 is c",
            "packet of 1, a comment",
            "packet of 1, a comment",
            "2 is d",
            "packet of 2, a comment",
            "0 saw 3 at 7"
        ]
    );
    assert_eq!(next_file(&mut encoder), ["0 is b", "1 is d", "0 saw 3 at 7"]);
}

#[test]
fn interfaces_that_were_not_described_are_refused() {
    for format in [Format::Pcapng, Format::Pcap] {
        let mut encoder = encoder(format);
        let unknown = encoder.describe(InterfaceId(0));
        assert!(matches!(unknown, Err(CaptureError::UnknownInterface(0))), "{format:?}");
        let unknown = encoder.statistics(InterfaceId(1), Timestamp(0), &Statistics::default());
        assert!(matches!(unknown, Err(CaptureError::UnknownInterface(1))), "{format:?}");
    }
}

#[test]
fn pcap_has_one_link_type() {
    const RAW: u32 = 101;
    /// Where a pcap file has it.
    const AT: usize = 20;
    let synthetic = interface("tunl0", LinkLayer::SyntheticEthernet);
    let raw = |name| interface(name, LinkLayer::Other(RAW));
    for (interfaces, link_type) in [
        (vec![ethernet("eth0"), synthetic.clone()], Ok(1)),
        (vec![synthetic], Ok(1)),
        (vec![raw("tunl0"), raw("tun1")], Ok(101)),
        (vec![raw("tunl0"), ethernet("eth0")], Err(("tunl0", 101, "eth0", 1))),
        (vec![ethernet("eth0"), raw("tunl0")], Err(("eth0", 1, "tunl0", 101))),
        (vec![], Ok(1)),
    ] {
        let mut encoder = encoder(Format::Pcap);
        let described: Result<Vec<_>, _> =
            interfaces.iter().map(|interface| encoder.interface(interface, None)).collect();
        match (described, link_type) {
            (Ok(_), Ok(link_type)) => {
                encoder.end().unwrap();
                for _ in 0..2 {
                    assert_eq!(u32::from(encoder.buffer()[AT]), link_type);
                    assert_eq!(encoder.buffered(), 24);
                    encoder.buffer().clear();
                    encoder.begin_file().unwrap();
                }
            }
            (Err(SinkError::MixedLinkTypes { first, first_type, other, other_type }), Err(expected)) => {
                assert_eq!((first.as_str(), first_type, other.as_str(), other_type), expected);
                assert!(
                    encoder.frame(&frame(InterfaceId(0)), InterfaceId(0)).is_ok(),
                    "the first one is there"
                );
            }
            (described, _) => panic!("{:?}", described.map(|_| "no error")),
        }
    }
}

#[test]
fn pcap_has_no_statistics() {
    let mut encoder = encoder(Format::Pcap);
    let id = encoder.interface(&ethernet("eth0"), None).unwrap();
    encoder.statistics(id, Timestamp(0), &Statistics::default()).unwrap();
    encoder.end_file().unwrap();
    assert_eq!(encoder.buffered(), 24);
}
