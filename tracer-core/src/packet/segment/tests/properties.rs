//! What holds of every packet.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super_packet;
use super::table::{cases, check};
use super::{Segmenter, segments_of};
use crate::capture::{Frame, LinkLayer};
use crate::packet::segment::header_len;
use crate::units::Gso;

const LINKS: [LinkLayer; 4] =
    [LinkLayer::Ethernet, LinkLayer::SyntheticEthernet, LinkLayer::Other(101), LinkLayer::Other(0)];

proptest! {
    /// Every segment is what it has to be, and together they are the super-packet.
    #[test]
    fn segments_are_right(
        case in any::<Index>(),
        payload in vec(any::<u8>(), 1..6000),
        size in 1..3000u16,
        captured in prop_oneof![Just(usize::MAX), 0..6000usize],
    ) {
        let cases = cases();
        let (link, stack) = case.get(&cases);
        prop_assume!(payload.len() > usize::from(size));
        check(*link, stack, &payload, size, captured.max(stack.header_len()));
    }

    /// Whatever the bytes are, nothing panics, headers end within them, and segments have all bytes.
    #[test]
    fn arbitrary_bytes(
        bytes in vec(any::<u8>(), 0..200),
        link in select(&LINKS[..]),
        facts in (any::<u16>(), 0..10_000u32),
    ) {
        survives(&bytes, link, facts)?;
    }

    /// The same for packets of which some bytes were changed.
    #[test]
    fn damaged_packets(
        case in any::<Index>(),
        changes in vec((any::<Index>(), any::<u8>()), 0..6),
        captured in 0..400usize,
        facts in (1..2000u16, 0..10_000u32),
    ) {
        let cases = cases();
        let (link, stack) = case.get(&cases);
        let mut bytes = stack.bytes(&[0x5a; 200]);
        let header = stack.header_len();
        for (place, value) in changes {
            bytes[place.index(header)] = value;
        }
        bytes.truncate(captured);
        survives(&bytes, *link, facts)?;
    }
}

fn survives(bytes: &[u8], link: LinkLayer, (size, original_len): (u16, u32)) -> Result<(), TestCaseError> {
    let header = header_len(link, bytes);
    prop_assert!(header <= bytes.len());
    let mut frame: Frame<'_> = super_packet(bytes, usize::MAX, size);
    frame.original_len = original_len;
    let segments = segments_of(&frame, link);
    if let [only] = &segments[..] {
        prop_assert_eq!(only, &frame);
        return Ok(());
    }
    // Each has the headers; the payloads are all of the super-packet.
    let payload = |segment: &Frame<'_>| u64::from(segment.original_len);
    let total: u64 = segments.iter().map(payload).sum();
    let own = payload(&segments[0]) - u64::from(size);
    prop_assert_eq!(total - own * segments.len() as u64 + own, u64::from(original_len));
    for segment in &segments {
        prop_assert!(segment.data.len() <= segment.original_len as usize);
        prop_assert_eq!(segment.gso, None);
    }
    // What a buffer held before does not matter.
    let mut used = Segmenter { template: vec![1; 99], segment: vec![2; 99] };
    let mut again = Vec::new();
    let _ = used.segments(&frame, link, |segment| -> Result<(), ()> {
        again.push(segment.clone().into_owned());
        Ok(())
    });
    prop_assert_eq!(again, segments);
    prop_assert_eq!(frame.gso, Some(Gso { size, segments: 0 }));
    Ok(())
}
