//! Packets of every kind, whole and cut short at every byte.

mod dns;
mod ip;
mod transport;
mod tunnels;

use crate::compare::{ETHERNET, File, RAW, Test, assert_same_lines, theirs};
use crate::craft::{Bytes, ethernet};

/// Asserts that packets are printed as tcpdump does: as they are, then each with only the first so many bytes
/// captured.
fn assert_same(link: u32, packets: &[Bytes]) -> Test {
    let whole: Vec<_> = packets.iter().map(|packet| (packet.as_slice(), packet.len())).collect();
    let file = File::write(link, &whole)?;
    assert_same_lines(file.path())?;
    let begins = |packet: &Bytes| (1..packet.len()).collect::<Vec<_>>();
    let cut: Vec<_> = packets
        .iter()
        .flat_map(|packet| begins(packet).into_iter().map(|captured| (packet.as_slice(), captured)))
        .collect();
    assert_same_lines(File::write(link, &cut)?.path())
}

/// As [`assert_same`] with IP packets, in frames and without.
fn assert_same_packets(packets: &[Bytes]) -> Test {
    let ethertype = |packet: &Bytes| if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 };
    let frames: Vec<_> = packets.iter().map(|packet| ethernet(ethertype(packet), packet)).collect();
    assert_same(ETHERNET, &frames)?;
    assert_same(RAW, packets)
}

/// Asserts that tcpdump sees in the packets what they were meant to be.
fn assert_said(packets: &[Bytes], expected: &[&str]) -> Test {
    let whole: Vec<_> = packets.iter().map(|packet| (packet.as_slice(), packet.len())).collect();
    let file = File::write(RAW, &whole)?;
    let said = theirs(file.path(), "")?;
    for words in expected {
        assert!(said.contains(words), "{words} in {said}");
    }
    Ok(())
}
