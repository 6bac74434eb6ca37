//! Filter expressions where a test run cannot take them: on packets whose bytes are scattered over pages.

use tracer::libpcap::{Dlt, Libpcap};
use tracer_core::capture::Frame;
use tracer_core::filter::FilterInput;

use crate::pair::{NEAR_INTERFACE, Pair};
use crate::process::Capture;
use crate::{PORT, assert_adds_up, near, packets};

#[test]
fn bytes_beyond_the_linear_part_are_found() {
    const BYTES: usize = 2_000_000;
    // Bytes of the payload at a constant offset, at one that is reckoned, far in, and farther than most packets are.
    let expressions = [
        "tcp[1000] = 0x5a",
        "tcp[((tcp[12] & 0xf0) >> 2) + 2500:4] = 0x5a5a5a5a",
        "tcp[20000:2] = 0x5a5a",
        "ether[40000] = 0x5a",
    ];
    let libpcap = Libpcap::load().unwrap();
    let pair = Pair::new();
    let all = Capture::start(&pair, &near(&["-B", "32768"]));
    let captures = expressions.map(|text| Capture::start(&pair, &near(&["-B", "32768", "-f", text])));
    pair.tcp(PORT, BYTES);
    let all = all.stop();
    assert_eq!(all.statistics(NEAR_INTERFACE).lost, 0);
    for (text, capture) in expressions.into_iter().zip(captures) {
        let program = libpcap.compile(text, Dlt::ETHERNET, 262_144, Some(0)).unwrap();
        let takes = |frame: &&Frame<'static>| {
            let input =
                FilterInput { data: &frame.data, original_len: frame.original_len, ..FilterInput::default() };
            program.run(&input) != 0
        };
        let outcome = capture.stop();
        assert_eq!(outcome.statistics(NEAR_INTERFACE).lost, 0);
        let expected = packets(all.frames().filter(takes));
        assert!(!expected.is_empty() && expected.len() < all.frames().count(), "{text}");
        assert!(packets(outcome.frames()) == expected, "{text}");
        assert_adds_up(&outcome, NEAR_INTERFACE);
    }
}
