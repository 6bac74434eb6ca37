//! Filter expressions, each in a kflow and in a tcpdump on one interface.

use tests::expressions::packets::packets;
use tests::expressions::{LIVE, TABLE, link};

use crate::compare::{assert_same, differences};
use crate::scene::{Pair, Tun};
use crate::watch::{Ask, Seen, Size, during, every, picked};
use crate::{Error, Test, wire};

/// Captures of either program at once. The kernel has room for 64 programs at a hook.
const BATCH: usize = 56;

/// Expressions to which tcpdump has one answer when it captures and another one when it reads a file, and whether that
/// shows in packets that are sent, not in those that are received. kflow has the latter answer always.
///
/// A packet that is received with a VLAN tag has it beside its bytes. With the keyword `vlan`, kflow's filter sees the tag
/// in its place, as every filter of a file does. That of tcpdump sees the packet without it, and asks for it apart.
const TWO_ANSWERS: [(&str, bool); 8] = [
    // Shifts by more than 31: 0 for libpcap, while the kernel's machine code takes the number modulo 32.
    ("ip[0] << (ip[8] & 63) = 0", true),
    // What is asked before the keyword is asked of the packet without its tag.
    ("tcp or (vlan and udp)", false),
    // Of code that is reached with the tag in the packet and without, libpcap's optimizer takes one offset for the other:
    // of two tags, `vlan` here skips both.
    ("ip or (vlan and ip)", false),
    ("arp or (vlan and arp)", false),
    // The tag does not count.
    ("vlan and len > 100", false),
    ("vlan and greater 80", false),
    // The tag is not there.
    ("vlan and ether[12:2] = 0x0800", false),
    ("vlan and ether[16:2] = 0x0800", false),
];

/// More that has to do with where a tag is.
const TAGS: [&str; 13] = [
    "ether[12:2] = 0x8100",
    "ether[14:2] & 0xfff = 5",
    "vlan and not ip",
    "not (vlan and ip)",
    "vlan or arp",
    "vlan && udp port 53 || tcp",
    "vlan 7 or vlan 5",
    "vlan 7 or (vlan 5 and ip6)",
    "vlan and (tcp or udp) and net 192.0.2.0/24",
    "vlan and ether host 02:00:00:00:00:01",
    "vlan and multicast",
    "vlan and tcp[tcpflags] & tcp-syn != 0",
    "vlan and icmp6",
];

#[test]
fn of_ethernet() -> Test {
    of_ethernet_at(0)
}

/// The other half, on the other processor.
#[test]
fn of_ethernet_as_well() -> Test {
    of_ethernet_at(1)
}

fn of_ethernet_at(first: usize) -> Test {
    let frames = frames();
    let table = TABLE.iter().filter(|expression| expression.is_for(link::ETHERNET));
    let texts = table.map(|expression| expression.text).filter(has_one_answer);
    let expressions: Vec<_> = texts.chain(TAGS).chain(LIVE).skip(first).step_by(2).collect();
    let pair = Pair::silent()?;
    agree(&expressions, &[], |asks| during(pair.near_end(), Size::Frames, asks, || pair.exchange(&frames)))
}

/// Of a device without link layer: every fifth, since most are the same there as on Ethernet.
#[test]
fn of_ip() -> Test {
    const FLAGS: &[&str] = &["--true-link-types", "--pcap"];
    let table = TABLE.iter().filter(|expression| expression.is_for(link::RAW));
    let texts = table.map(|expression| expression.text).filter(has_one_answer).step_by(5);
    let expressions: Vec<_> = texts.chain(LIVE).collect();
    let mut tun = Tun::new()?;
    agree(&expressions, FLAGS, |asks| tun.during(asks))
}

#[test]
fn where_tcpdump_has_two_answers() -> Test {
    let (pair, frames) = (Pair::silent()?, frames());
    let (near, far) = (pair.near_end(), pair.far_end());
    for (is_sent, from, to) in [(true, near, far), (false, far, near)] {
        let filters = TWO_ANSWERS.iter().filter(|(_, shows)| *shows == is_sent).map(|(filter, _)| *filter);
        // The last asks for all.
        let asks: Vec<_> = filters.chain([""]).map(|filter| Ask { filter, ..Ask::default() }).collect();
        let seen = during(near, Size::Frames, &asks, || wire::carry(from, to, &frames))?;
        let Some((of_all, seen)) = seen.split_last() else { unreachable!("one was asked for") };
        let all: Vec<_> = of_all.theirs.iter().map(|packet| packet.data.clone()).collect();
        for (ask, seen) in asks.iter().zip(seen) {
            let of_file = picked(link::ETHERNET, &all, ask.filter)?;
            assert_eq!(differences(&seen.ours, &of_file), "", "{}", ask.filter);
            assert_ne!(differences(&seen.ours, &seen.theirs), "", "{}: one answer only", ask.filter);
        }
    }
    Ok(())
}

/// Which way packets go is known to both.
#[test]
fn of_one_direction() -> Test {
    let (pair, frames) = (Pair::silent()?, frames());
    for way in ["in", "out"] {
        let ask = Ask { filter: "ip", ours: &["-Q", way], theirs: &["-Q", way] };
        let seen = every(pair.near_end(), Size::Frames, ask, || pair.exchange(&frames))?;
        assert_same(way, &seen.ours, &seen.theirs);
    }
    Ok(())
}

fn has_one_answer(text: &&str) -> bool {
    TWO_ANSWERS.iter().all(|(other, _)| other != text)
}

fn frames() -> Vec<Vec<u8>> {
    packets().iter().filter_map(|packet| packet.frame(link::ETHERNET)).collect()
}

/// Asserts that both pick the same packets by each expression, and that nearly each picks some.
fn agree(
    expressions: &[&str],
    ours: &[&str],
    mut capture: impl FnMut(&[Ask<'_>]) -> Result<Vec<Seen>, Error>,
) -> Test {
    let (mut different, mut silent) = (Vec::new(), Vec::new());
    for batch in expressions.chunks(BATCH) {
        let asks: Vec<_> = batch.iter().map(|filter| Ask { filter, ours, ..Ask::default() }).collect();
        for (filter, seen) in batch.iter().zip(capture(&asks)?) {
            // The first packet that matches one of these is not in tcpdump's file: libpcap asks it once more, where
            // nothing is known of direction and interface.
            let begin = usize::from(LIVE.contains(filter)).min(seen.ours.len());
            let differences = differences(&seen.ours[begin..], &seen.theirs);
            if !differences.is_empty() {
                different.push(format!("{filter}: {differences}"));
            }
            if seen.ours.is_empty() {
                silent.push(*filter);
            }
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    assert!(silent.len() * 8 < expressions.len(), "no packets for {silent:?}");
    Ok(())
}
