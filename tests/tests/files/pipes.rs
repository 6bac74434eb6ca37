//! Readers that go, that are slow, that stop.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use tracer::sink::{FilePlan, Format, Recorder, SinkError};
use tracer_core::capture::{CaptureReader, Item};

use super::children;
use super::support::{Scratch, eth0, expected, files, frame, packet, record, set_mode};

/// Far more than a pipe holds.
const PACKETS: u32 = 20_000;

fn fifo(directory: &Scratch) -> PathBuf {
    let path = directory.join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    path
}

fn packets(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut reader = CaptureReader::new(bytes).unwrap();
    let mut packets = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        if let Item::Frame(frame) = item {
            packets.push((frame.time.0, frame.data.into_owned()));
        }
    }
    packets
}

/// Reads all of it, in pieces of this size.
fn read_all(path: &Path, piece: usize) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    let (mut all, mut bytes) = (Vec::new(), vec![0; piece]);
    loop {
        match file.read(&mut bytes).unwrap() {
            0 => return all,
            count => all.extend_from_slice(&bytes[..count]),
        }
    }
}

#[test]
fn everything_comes_through() {
    for (piece, format) in [(1 << 20, Format::Pcapng), (777, Format::Pcap)] {
        let directory = Scratch::new();
        let path = fifo(&directory);
        let read = thread::scope(|scope| {
            let reader = scope.spawn(|| read_all(&path, piece));
            let written = record(files(FilePlan::single(&path), format), PACKETS).unwrap();
            let bytes = reader.join().unwrap();
            assert_eq!(written.bytes, bytes.len() as u64);
            bytes
        });
        assert!(packets(&read) == expected(PACKETS), "{format:?}");
        assert_eq!(directory.names(), ["fifo"]);
    }
}

#[test]
fn a_reader_that_goes_ends_everything_and_fails_nothing() {
    let directory = Scratch::new();
    let path = fifo(&directory);
    thread::scope(|scope| {
        scope.spawn(|| File::open(&path).unwrap().read_exact(&mut [0; 5000]).unwrap());
        let mut recorder = Recorder::open(files(FilePlan::single(&path), Format::Pcapng), None).unwrap();
        assert!(recorder.pipe().is_some());
        recorder.interface(&eth0()).unwrap();
        let data = packet(0);
        let ended = (0..PACKETS).find_map(|number| recorder.frame(&frame(number, &data)).err());
        assert!(ended.as_ref().is_some_and(SinkError::is_closed), "{ended:?}");
        assert!(recorder.pipe().is_none());
        assert!(!recorder.frame(&frame(0, &data)).unwrap());
        recorder.flush().unwrap();
        recorder.finish().unwrap();
    });
    assert_eq!(directory.names(), ["fifo"]);
}

/// A signal has come, and the reader does not read.
#[test]
fn a_reader_that_stops_is_not_waited_for_behind_a_signal() {
    let directory = Scratch::new();
    let path = fifo(&directory);
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGUSR1);
    mask.thread_block().unwrap();
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK).unwrap();
    let opened = thread::scope(|scope| {
        let reader = scope.spawn(|| File::open(&path).unwrap());
        let recorder =
            Recorder::open(files(FilePlan::single(&path), Format::Pcapng), Some(Rc::new(signals))).unwrap();
        (recorder, reader.join().unwrap())
    });
    let (mut recorder, reader) = opened;
    recorder.interface(&eth0()).unwrap();
    raise(Signal::SIGUSR1).unwrap();
    let ended = (0..PACKETS).find_map(|number| recorder.frame(&frame(number, &packet(number))).err());
    let Some(SinkError::Write { name, source }) = ended else { panic!("{ended:?}") };
    assert_eq!((name.as_str(), source.kind()), (path.to_str().unwrap(), std::io::ErrorKind::TimedOut));
    drop(reader);
    recorder.finish().unwrap();
}

/// What stands for Wireshark here tells its arguments and user, and hands on what it reads.
#[test]
fn wireshark_is_started_and_gets_everything() {
    const NOBODY: &str = "65534";
    for sudo in [&[] as &[_], &[("SUDO_UID", NOBODY.as_ref()), ("SUDO_GID", NOBODY.as_ref())]] {
        let directory = Scratch::new();
        let path = fifo(&directory);
        let (told, program) = (directory.join("told"), directory.join("wireshark"));
        let text = format!(
            "#!/bin/sh\necho \"$*, $(/usr/bin/id -u) $(/usr/bin/id -g) $(/usr/bin/id -G)\" > {}\nexec /bin/cat > {}\n",
            told.display(),
            path.display()
        );
        fs::write(&program, text).unwrap();
        set_mode(&program, 0o755);
        set_mode(directory.path(), 0o777);
        set_mode(&path, 0o666);
        let bytes = thread::scope(|scope| {
            let reader = scope.spawn(|| read_all(&path, 1 << 16));
            let variables = [&[("PATH", directory.path().as_os_str())], sudo].concat();
            let ended = children::run("wireshark", &variables);
            assert!(ended.status.success(), "{ended:?}");
            reader.join().unwrap()
        });
        assert!(packets(&bytes) == expected(1000));
        let said = fs::read_to_string(&told).unwrap();
        let user = if sudo.is_empty() { "0 0 " } else { "65534 65534 65534\n" };
        assert!(said.starts_with(&format!("-k -i -, {user}")), "{said}");
    }
}

#[test]
fn wireshark_that_is_not_there_is_told() {
    let directory = Scratch::new();
    let told = directory.join("told");
    let variables = [("PATH", directory.path().as_os_str()), ("KFLOW_PATH", told.as_os_str())];
    let ended = children::run("wireshark", &variables);
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(fs::read_to_string(&told).unwrap(), "entity not found");
}
