//! Disks that become full: small ones of memory, in a mount namespace of the test's own thread.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tests::wireshark::{capinfos, tcpdump};
use tracer::sink::{FilePlan, Format, Recorder, Setup, SinkError};
use tracer_core::capture::{CaptureReader, Item};

use super::children;
use super::support::{Scratch, eth0, expected, files, frame, packet, packets};

/// Far more than there is room for.
const PACKETS: u32 = 20_000;

/// Runs `work` where `directory` is a file system with these options, which nobody else sees.
fn with_disk<T: Send>(directory: &Scratch, options: &str, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let none = None::<&Path>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            mount(Some("tmpfs"), directory.path(), Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
            work()
        });
        inside.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    })
}

/// Writes until that fails, and finishes nonetheless. Returns the failure, and how many packets there are.
fn fill(setup: Setup) -> (SinkError, u64) {
    let mut recorder = Recorder::open(setup, None).unwrap();
    recorder.interface(&eth0()).unwrap();
    let failure =
        (0..PACKETS).find_map(|number| recorder.frame(&frame(number, &packet(number))).err()).unwrap();
    assert!(!recorder.frame(&frame(0, &[])).unwrap());
    let bytes = recorder.bytes();
    let written = recorder.finish().unwrap();
    assert_eq!(written.bytes, bytes);
    (failure, written.packets)
}

fn count(packets: u64) -> u32 {
    u32::try_from(packets).unwrap()
}

#[test]
fn a_file_is_cut_behind_its_last_packet_and_named_so() {
    for (format, size) in [(Format::Pcapng, "300k"), (Format::Pcap, "300k"), (Format::Pcapng, "4096k")] {
        let directory = Scratch::new();
        with_disk(&directory, &format!("size={size}"), || {
            let (failure, written) = fill(files(FilePlan::single(directory.join("f.pcapng")), format));
            let SinkError::Partial { path, source } = &failure else { panic!("{failure:?}") };
            assert!(failure.is_partial());
            assert_eq!((path, source.kind()), (&directory.join("f.pcapng.partial"), ErrorKind::StorageFull));
            assert_eq!(directory.names(), ["f.pcapng.partial"]);
            assert!(written > 100, "{written}");
            assert!(packets(path) == expected(count(written)), "{format:?}");
            capinfos(path).unwrap();
            assert_eq!(tcpdump(path).unwrap().len() as u64, written);
            // As much as there was room for, short of a packet.
            let room = size.trim_end_matches('k').parse::<u64>().unwrap() * 1024;
            assert!(fs::metadata(path).unwrap().len() + 1300 > room);
        });
    }
}

#[test]
fn files_before_stay_complete() {
    let directory = Scratch::new();
    with_disk(&directory, "size=1000k", || {
        let plan = FilePlan { size: Some(300_000), ..FilePlan::single(directory.join("f")) };
        let (failure, written) = fill(files(plan, Format::Pcapng));
        assert!(matches!(failure, SinkError::Partial { .. }), "{failure:?}");
        let names = ["f", "f1", "f2", "f3.partial"];
        assert_eq!(directory.names(), names);
        let all: Vec<_> = names.iter().flat_map(|name| packets(&directory.join(name))).collect();
        assert!(all == expected(count(written)));
        for name in names {
            capinfos(&directory.join(name)).unwrap();
        }
    });
}

/// There is room for bytes and not for another file.
#[test]
fn files_before_one_that_cannot_be_made_stay_complete() {
    let directory = Scratch::new();
    // The directory and two files.
    with_disk(&directory, "size=10m,nr_inodes=3", || {
        let plan = FilePlan { size: Some(300_000), ..FilePlan::single(directory.join("f")) };
        let (failure, written) = fill(files(plan, Format::Pcap));
        let SinkError::Create { path, source } = &failure else { panic!("{failure:?}") };
        assert_eq!((path, source.kind()), (&directory.join("f2"), ErrorKind::StorageFull));
        assert_eq!(directory.names(), ["f", "f1"]);
        let all: Vec<_> = ["f", "f1"].iter().flat_map(|name| packets(&directory.join(name))).collect();
        assert!(all == expected(count(written)));
    });
}

/// What standard output had before stays, and it keeps its name.
#[test]
fn standard_output_is_cut_behind_its_last_packet() {
    const BEFORE: &[u8] = b"something else\n";
    const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
    let (directory, told) = (Scratch::new(), Scratch::new());
    with_disk(&directory, "size=400k", || {
        let path = directory.join("stdout");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        file.write_all(BEFORE).unwrap();
        let told = told.join("told");
        let mut command = children::command("stdout", &[("KFLOW_PATH", told.as_os_str())]);
        assert!(command.stdout(file).status().unwrap().success());
        let said = fs::read_to_string(told).unwrap();
        assert_eq!(said, "the capture is not complete: standard output ends before its time true");
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.starts_with(BEFORE));
        // The harness says something as well.
        let begin = bytes.windows(4).position(|four| four == MAGIC).unwrap();
        let mut reader = CaptureReader::new(&bytes[begin..]).unwrap();
        let mut packets = 0;
        while let Some(item) = reader.next_item().unwrap() {
            packets += u32::from(matches!(item, Item::Frame(_)));
        }
        assert!(packets > 100, "{packets}");
    });
}

#[test]
fn a_device_that_is_full_is_told_and_stays() {
    let (failure, _) = fill(files(FilePlan::single("/dev/full"), Format::Pcapng));
    let SinkError::Write { name, source } = &failure else { panic!("{failure:?}") };
    assert_eq!((name.as_str(), source.kind()), ("/dev/full", ErrorKind::StorageFull));
    assert!(Path::new("/dev/full").exists());
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    let setup = files(FilePlan::single("/no/such/f"), Format::Pcapng);
    let Err(SinkError::Create { path, .. }) = Recorder::open(setup, None) else { panic!("it was made") };
    assert_eq!(path, Path::new("/no/such/f"));
}
