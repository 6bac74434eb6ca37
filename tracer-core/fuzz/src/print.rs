//! One packet on its way out: printed, cut into segments, cut to its headers.

use tracer_core::capture::{Frame, InterfaceId, LinkLayer};
use tracer_core::output::line::{LineOptions, LinePrinter};
use tracer_core::packet::segment::{Segmenter, header_len, ip_places};
use tracer_core::units::{Direction, Gso, Timestamp};

use crate::Captured;

/// Bytes of text that a packet's byte may become, and those that any packet may: a line of hexadecimal and ASCII has 64
/// for 16, decoded text is shorter, and numbers and names come on top.
const TEXT_PER_BYTE: usize = 64;
const TEXT: usize = 4096;
/// `GSO_MAX_SEGS`.
const SEGMENTS: usize = 65_535;

/// Prints a packet in all forms, cuts it, and keeps its headers.
pub fn print(data: &[u8]) {
    let Some(captured) = Captured::parse(data) else { return };
    let link = if captured.is_bare { LinkLayer::Other(101) } else { LinkLayer::Ethernet };
    let Ok(len) = u32::try_from(captured.bytes.len()) else { return };
    let gso = (captured.gso_size != 0).then_some(Gso { size: captured.gso_size, segments: 0 });
    let frame = Frame {
        interface: InterfaceId(0),
        time: Timestamp(1),
        direction: Some(Direction::Ingress),
        original_len: len + u32::from(captured.missing),
        data: captured.bytes.into(),
        gso,
        mark: 0,
        lost_before: 0,
        comment: None,
    };
    lines(&frame, link);
    assert!(header_len(link, captured.bytes) <= captured.bytes.len(), "more headers than bytes");
    assert!(
        ip_places(link, captured.bytes).is_none_or(|ip| ip.innermost < captured.bytes.len()),
        "a packet behind the end"
    );
    segments(&frame, link);
}

fn lines(frame: &Frame<'_>, link: LinkLayer) {
    for verbose in [false, true] {
        let mut printer =
            LinePrinter::new(LineOptions { verbose, hex: verbose, link: verbose, label: !verbose });
        let mut text = Vec::new();
        if printer.print(&mut text, "00:00:00.000000", "eth0", frame, link).is_err() {
            return;
        }
        assert!(text.len() <= TEXT + frame.data.len() * TEXT_PER_BYTE, "{} bytes of text", text.len());
        let is_shown = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
        assert!(
            text.iter().all(is_shown),
            "a byte that drives a terminal: {:?}",
            text.escape_ascii().to_string()
        );
    }
}

fn segments(frame: &Frame<'_>, link: LinkLayer) {
    let (mut count, mut bytes) = (0, 0);
    let cut = Segmenter::default().segments(frame, link, |segment| {
        count += 1;
        bytes += segment.data.len();
        assert!(segment.original_len <= frame.original_len, "a segment longer than all");
        Ok::<_, std::convert::Infallible>(())
    });
    assert!(cut.is_ok() && (1..=SEGMENTS).contains(&count), "{count} segments");
    assert!(bytes <= frame.data.len() * (count + 1), "{bytes} bytes in {count} segments");
}
