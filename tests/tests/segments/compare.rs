//! The segments that we make, and those that the kernel made.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use tests::wireshark;
use tracer_core::capture::{CaptureWriter, Frame, Interface, InterfaceId, LinkLayer, SNAP_WHOLE, Section};
use tracer_core::packet::segment::Segmenter;

/// Acknowledgements and the end of a connection may cross the marks: they have no payload, and are shorter.
const SHORT: u32 = 200;
/// What tshark calls a right checksum, one that is not there, and none where there has to be one: of a tunnel over IPv6
/// it need not be (RFC 6935).
const GOOD: [&str; 3] = ["1", "3", "4"];
/// What tshark says about the latter.
const NO_CHECKSUM: &str = "illegal checksum value (0)";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The same packets before and after they were cut.
pub(crate) struct Comparison {
    /// As the hook before the cut saw them.
    pub(crate) whole: Vec<Frame<'static>>,
    /// As they came in at the other end.
    pub(crate) wire: Vec<Frame<'static>>,
}

impl Comparison {
    /// Asserts that our segments are the kernel's, that there are so many at least, and that tshark finds them right.
    pub(crate) fn check(&self, name: &str, at_least: usize) {
        let all: Vec<_> = self.super_packets().flat_map(segments).collect();
        assert!(all.len() >= at_least, "{name}: only {} segments", all.len());
        let mut wire: BTreeMap<&[u8], usize> = BTreeMap::new();
        for frame in &self.wire {
            *wire.entry(&frame.data).or_default() += 1;
        }
        let told = self.super_packets().filter(|frame| !may_not_count(frame)).flat_map(segments);
        for segment in told {
            match wire.get_mut(&*segment.data) {
                Some(count) if *count > 0 => *count -= 1,
                _ => panic!("{name}: not on the wire: {}", hex(&segment.data[..segment.data.len().min(130)])),
            }
        }
        let others = self.whole.iter().filter(|frame| frame.gso.is_none());
        let ours = lengths(all.iter().chain(others));
        assert_eq!(ours, lengths(self.wire.iter()), "{name}: lengths");
        check_with_tshark(name, &all);
    }

    /// The packets that stand for several.
    pub(crate) fn super_packets(&self) -> impl Iterator<Item = &Frame<'static>> {
        self.whole.iter().filter(|frame| frame.gso.is_some())
    }

    /// Bytes of the longest packet.
    pub(crate) fn longest(&self) -> u32 {
        self.whole.iter().map(|frame| frame.original_len).max().unwrap_or_default()
    }
}

/// The wire segments of a super-packet, of which there are several.
pub(crate) fn segments(frame: &Frame<'_>) -> Vec<Frame<'static>> {
    let mut segments = Vec::new();
    let Ok(()) =
        Segmenter::default().segments(frame, LinkLayer::Ethernet, |segment| -> Result<(), Infallible> {
            segments.push(segment.clone().into_owned());
            Ok(())
        });
    let gso = frame.gso.unwrap();
    assert!(segments.len() > 1, "not cut: {gso:?} {}", hex(&frame.data[..frame.data.len().min(130)]));
    // A program that puts a tunnel around a packet takes the count away (`bpf_skb_net_grow`).
    assert!([0, segments.len()].contains(&usize::from(gso.segments)), "the kernel's count: {gso:?}");
    segments
}

/// Whether TCP's IPv4 header has "don't fragment" and identification 0, as of senders that do not count: so has one
/// packet in 65,536 of a sender that does.
fn may_not_count(frame: &Frame<'_>) -> bool {
    let headers = &frame.data[..frame.data.len().min(128)];
    headers.windows(10).any(|ip| matches!(ip, [0x45, _, _, _, 0, 0, 0x40, 0, _, 6]))
}

/// Every checksum is right, and no length or header is odd.
pub(crate) fn check_with_tshark(name: &str, segments: &[Frame<'_>]) {
    let path = write(segments);
    let prefs = ["ip", "tcp", "udp"].map(|protocol| format!("{protocol}.check_checksum:TRUE"));
    let prefs = prefs.iter().flat_map(|pref| ["-o", pref]);
    let fields = ["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "_ws.expert.message"];
    let fields = ["-T", "fields"].into_iter().chain(fields.into_iter().flat_map(|field| ["-e", field]));
    // Random bytes are no errors of the protocol that the port is for.
    let payload = ["-d", "tcp.port==7000,echo", "-d", "udp.port==7000,echo"];
    let words = ["-n"].into_iter().chain(payload).chain(prefs).chain(fields);
    let told = wireshark::tshark(&path, words).unwrap();
    let mut count = 0;
    for line in told.lines() {
        assert!(is_in_order(line), "{name}: {line}");
        count += 1;
    }
    assert_eq!(count, segments.len(), "{name}: packets that tshark read");
    fs::remove_file(path).unwrap();
}

fn is_in_order(line: &str) -> bool {
    let [ip, tcp, udp, expert] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let statuses = [ip, tcp, udp].into_iter().flat_map(|field| field.split(','));
    let are_good = statuses.into_iter().all(|status| status.is_empty() || GOOD.contains(&status));
    let innermost = if tcp.is_empty() { udp } else { tcp };
    let expert = expert.to_lowercase().replace(NO_CHECKSUM, "");
    let is_odd = ["checksum", "bogus", "malformed", "length"].iter().any(|word| expert.contains(word));
    are_good && innermost.ends_with(GOOD[0]) && !is_odd
}

fn write(segments: &[Frame<'_>]) -> PathBuf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("kflow-segments-{}-{number}.pcapng", std::process::id()));
    let file = std::io::BufWriter::new(File::create(&path).unwrap());
    let mut writer = CaptureWriter::new(file, &Section::default(), SNAP_WHOLE).unwrap();
    let interface = Interface {
        name: "segments".into(),
        node: None,
        pod: None,
        ifindex: None,
        link: LinkLayer::Ethernet,
        mac: None,
    };
    writer.interface(&interface).unwrap();
    for segment in segments {
        writer.frame(&Frame { interface: InterfaceId(0), ..segment.clone() }).unwrap();
    }
    writer.flush().unwrap();
    path
}

fn lengths<'a>(frames: impl Iterator<Item = &'a Frame<'static>>) -> Vec<u32> {
    let mut lengths: Vec<_> = frames.map(|frame| frame.original_len).filter(|len| *len > SHORT).collect();
    lengths.sort_unstable();
    lengths
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
