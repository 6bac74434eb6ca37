mod build;
mod examine;
mod limits;
mod places;
mod properties;
mod table;

use std::convert::Infallible;

use super::Segmenter;
use crate::capture::{Frame, InterfaceId, LinkLayer};
use crate::units::{Direction, Gso, Timestamp};

/// A super-packet of which the first `captured` bytes are there.
fn super_packet(bytes: &[u8], captured: usize, size: u16) -> Frame<'_> {
    Frame {
        interface: InterfaceId(3),
        time: Timestamp(1_700_000_000_000_000_000),
        direction: Some(Direction::Egress),
        original_len: u32::try_from(bytes.len()).unwrap(),
        data: bytes[..captured.min(bytes.len())].into(),
        gso: Some(Gso { size, segments: 0 }),
        mark: 7,
        lost_before: 5,
        comment: Some("kept".into()),
    }
}

fn segments_of(frame: &Frame<'_>, link: LinkLayer) -> Vec<Frame<'static>> {
    let mut segments = Vec::new();
    let Ok(()) = Segmenter::default().segments(frame, link, |segment| -> Result<(), Infallible> {
        segments.push(segment.clone().into_owned());
        Ok(())
    });
    segments
}

/// Asserts that a packet is handed over as it is.
fn assert_untouched(frame: &Frame<'_>, link: LinkLayer, why: &str) {
    assert_eq!(segments_of(frame, link), [frame.clone().into_owned()], "{why}");
}
