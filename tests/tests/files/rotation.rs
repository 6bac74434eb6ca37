//! The same capture by tcpdump and by the recorder: the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::wireshark::accepted;
use tracer::sink::{FilePlan, Format, Recorder};
use tracer_core::capture::{Item, Statistics};

use super::support::{BEGIN, Scratch, at, eth0, expected, files, frame, packet, packets, record};

/// Some 5 MB.
const PACKETS: u32 = 8000;
const MILLION: u64 = 1_000_000;

/// Files of a period that is not over before the test is.
const LONG: u64 = 1_000_000_000;

/// Name, `-C` in millions, `-W`, `-G`.
type Flags = (&'static str, Option<u64>, Option<u32>, Option<u64>);

const TABLE: [Flags; 10] = [
    ("f.pcap", None, None, None),
    ("f.pcap", Some(1), None, None),
    ("f.pcap", Some(2), None, None),
    ("f", Some(1), Some(1), None),
    ("f", Some(1), Some(3), None),
    ("f", Some(1), Some(10), None),
    ("f", Some(1), Some(11), None),
    ("f%%s-", None, None, Some(LONG)),
    ("f%%-", Some(1), None, Some(LONG)),
    ("f%%-", Some(2), Some(200), Some(LONG)),
];

fn source(scratch: &Scratch) -> PathBuf {
    let path = scratch.join("source");
    record(files(FilePlan::single(&path), Format::Pcap), PACKETS).unwrap();
    path
}

fn tcpdump(source: &Path, directory: &Scratch, flags: Flags) {
    let (name, size, count, seconds) = flags;
    let mut command = Command::new("tcpdump");
    command.args(["-Z", "root", "--time-stamp-precision=nano", "-r"]).arg(source);
    command.arg("-w").arg(directory.join(name));
    let flags = [("-C", size), ("-W", count.map(u64::from)), ("-G", seconds)];
    for (flag, value) in flags {
        if let Some(value) = value {
            command.args([flag, &value.to_string()]);
        }
    }
    accepted("tcpdump", source, command.output().unwrap()).unwrap();
}

fn plan(directory: &Scratch, flags: Flags) -> FilePlan {
    let (name, size, count, seconds) = flags;
    let size = size.map(|millions| millions * MILLION);
    FilePlan { size, count, seconds, ..FilePlan::single(directory.join(name)) }
}

#[test]
fn files_are_those_of_tcpdump() {
    let scratch = Scratch::new();
    let source = source(&scratch);
    for flags in TABLE {
        let (theirs, ours) = (Scratch::new(), Scratch::new());
        tcpdump(&source, &theirs, flags);
        let written = record(files(plan(&ours, flags), Format::Pcap), PACKETS).unwrap();
        assert_eq!(ours.names(), theirs.names(), "{flags:?}");
        for name in ours.names() {
            let [ours, theirs] = [&ours, &theirs].map(|directory| fs::read(directory.join(&name)).unwrap());
            assert!(ours == theirs, "{flags:?}: {name} differs");
        }
        assert_eq!(written.packets, u64::from(PACKETS));
    }
}

#[test]
fn files_of_pcapng_turn_at_the_same_size_and_have_everything() {
    let directory = Scratch::new();
    let flags = ("f", Some(1), Some(100), None);
    let written = record(files(plan(&directory, flags), Format::Pcapng), PACKETS).unwrap();
    let names = directory.names();
    assert_eq!((names.len(), written.files as usize), (6, 6), "{names:?}");
    assert_eq!(written.last, Some(directory.join("f05")));
    let mut all = Vec::new();
    let mut bytes = 0;
    for name in &names {
        let path = directory.join(name);
        let len = fs::metadata(&path).unwrap().len();
        let is_last = name == "f05";
        // The packet that made it larger is its last one.
        assert!(is_last || (MILLION + 1..MILLION + 1200).contains(&len), "{name}: {len}");
        bytes += len;
        all.extend(packets(&path));
    }
    assert_eq!(all, expected(PACKETS));
    assert_eq!(written.bytes, bytes);
}

/// Three periods of packets that come every five seconds, the last of which is not begun.
#[test]
fn periods_go_by_the_time_of_packets() {
    let directory = Scratch::new();
    let flags = ("%s", None, Some(3), Some(20));
    let mut recorder = Recorder::open(files(plan(&directory, flags), Format::Pcapng), None).unwrap();
    let id = recorder.interface(&eth0()).unwrap();
    let data = packet(0);
    let mut written = 0;
    for seconds in (BEGIN..BEGIN + 1000).step_by(5) {
        let seen = Statistics { seen: seconds, ..Statistics::default() };
        recorder.remember(id, at(seconds), &seen);
        if !recorder.frame(&tracer_core::capture::Frame { time: at(seconds), ..frame(0, &data) }).unwrap() {
            break;
        }
        written += 1;
    }
    assert!(recorder.is_full());
    assert_eq!(written, 12);
    recorder.statistics(id, at(1), &Statistics::default()).unwrap();
    recorder.finish().unwrap();
    let names = [0, 20, 40].map(|after| (BEGIN + after).to_string());
    assert_eq!(directory.names(), names);
    for (name, last) in names.iter().zip([BEGIN + 20, BEGIN + 40, 1]) {
        let items = super::support::items(&directory.join(name));
        let packets = items.iter().filter(|item| matches!(item, Item::Frame(_))).count();
        assert_eq!(packets, 4, "{name}");
        let Some(Item::Statistics(_, time, _)) = items.last() else { panic!("{name} has no statistics") };
        assert_eq!(*time, at(last), "{name}");
    }
}

/// `date` has the C library's conversions.
#[test]
fn names_are_those_of_strftime() {
    const FORMAT: &str = "%Y %m %d %H %M %S %y %j %e %I %p %a %A %b %B %h %u %w %U %V %W %G %g %C %D %F %T %R %r %c %x %X \
                          %n %t %% %s %z %Z %k %l";
    // What is left of a name behind the last directory.
    let format = FORMAT.replace("%D", "%m").replace("%x", "%m");
    for zone in ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"] {
        let date = Command::new("date")
            .args(["-d", &format!("@{BEGIN}"), &format!("+{format}")])
            .envs([("TZ", zone), ("LC_ALL", "C")])
            .output()
            .unwrap();
        let directory = Scratch::new();
        let child = super::children::run(
            "names",
            &[("TZ", zone.as_ref()), ("KFLOW_PATH", directory.join(&format).as_os_str())],
        );
        assert!(child.status.success(), "{child:?}");
        let date = String::from_utf8(date.stdout).unwrap();
        assert_eq!(directory.names(), [date.strip_suffix('\n').unwrap()], "{zone}");
    }
}

#[test]
fn a_limit_ends_in_good_order() {
    const LIMIT: u64 = 300_000;
    for (size, format) in [(None, Format::Pcapng), (Some(100_000), Format::Pcapng), (None, Format::Pcap)] {
        let directory = Scratch::new();
        let plan = FilePlan { size, ..FilePlan::single(directory.join("f")) };
        let setup = tracer::sink::Setup { limit: Some(LIMIT), ..files(plan, format) };
        let written = record(setup, PACKETS).unwrap();
        let count = u32::try_from(written.packets).unwrap();
        let all: Vec<_> = directory.names().iter().flat_map(|name| packets(&directory.join(name))).collect();
        assert_eq!(all, expected(count));
        let bytes: u64 =
            directory.names().iter().map(|name| fs::metadata(directory.join(name)).unwrap().len()).sum();
        assert_eq!(written.bytes, bytes);
        assert!((LIMIT - 1200..=LIMIT).contains(&bytes), "{bytes}");
    }
}
