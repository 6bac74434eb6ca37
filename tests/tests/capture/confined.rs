//! What a capture has left once its programs are attached, and that it goes on with it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer::kernel::confine::{Confinement, Needs, confine};
use tracer_core::capture::{CaptureReader, Item};

use crate::attachments::{filters, tcx_programs};
use crate::pair::{FAR, NEAR, Pair};
use crate::process::{Capture, command};
use crate::{PORT, near};

/// `CAP_DAC_OVERRIDE`, `CAP_NET_ADMIN`, `CAP_SYS_ADMIN`, `CAP_BPF` (linux/capability.h).
const DAC_OVERRIDE: u64 = 1 << 1;
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
const BPF: u64 = 1 << 39;
const TIMEOUT: Duration = Duration::from_secs(20);

/// What `/proc/PID/task/TID/status` says (proc(5)).
#[derive(Debug)]
struct Thread {
    name: String,
    status: String,
}

impl Thread {
    fn field(&self, name: &str) -> &str {
        let line = self.status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name}: {}", self.status)).trim()
    }

    fn set(&self, name: &str) -> u64 {
        u64::from_str_radix(self.field(name), 16).unwrap()
    }

    /// Permitted, effective, inheritable, ambient, bounding.
    fn sets(&self) -> [u64; 5] {
        ["CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd"].map(|name| self.set(name))
    }
}

fn threads(pid: u32) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let thread = |task: PathBuf| {
        let name = fs::read_to_string(task.join("comm")).unwrap().trim().to_owned();
        Thread { name, status: fs::read_to_string(task.join("status")).unwrap() }
    };
    tasks.map(|task| thread(task.unwrap().path())).collect()
}

/// The threads of a process, once one of them is as it should be: a capture tells of its programs before it gives up
/// anything.
fn threads_when(pid: u32, is_so: impl Fn(&Thread) -> bool) -> Vec<Thread> {
    let end = Instant::now() + TIMEOUT;
    loop {
        let threads = threads(pid);
        if threads.iter().any(&is_so) {
            return threads;
        }
        assert!(Instant::now() < end, "it never was: {threads:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_filtered(thread: &Thread) -> bool {
    thread.field("Seccomp") == "2"
}

#[test]
fn every_thread_has_what_watching_takes_and_no_more() {
    let pair = Pair::new();
    let capture = Capture::start(&pair, &near(&[]));
    for thread in threads_when(capture.pid(), is_filtered) {
        let kept = NET_ADMIN | BPF;
        assert_eq!(thread.sets(), [kept, kept, 0, 0, kept], "{thread:?}");
        assert_eq!((thread.field("NoNewPrivs"), thread.field("Seccomp")), ("1", "2"), "{thread:?}");
    }
    assert_eq!(capture.stop().code(), Some(3), "no packet came");
}

#[test]
fn who_only_listens_has_nothing() {
    let pair = Pair::new();
    let led = ["--heartbeat", "60", "--until-stdin-closes"];
    let capture = Capture::start(&pair, &near(&led));
    let threads = threads_when(capture.pid(), is_filtered);
    assert_eq!(threads.len(), 2, "{threads:?}");
    for thread in threads {
        // Where pods are may have to be looked for in their namespaces.
        let kept = if thread.name == "kflow-orders" { 0 } else { NET_ADMIN | BPF | SYS_ADMIN };
        assert_eq!(thread.sets(), [kept, kept, 0, 0, kept], "{thread:?}");
        assert_eq!((thread.field("NoNewPrivs"), thread.field("Seccomp")), ("1", "2"), "{thread:?}");
    }
    assert_eq!(capture.stop().code(), Some(3));
}

#[test]
fn nothing_is_given_up_where_that_is_asked_for() {
    let pair = Pair::new();
    let own = &threads(std::process::id())[0];
    let mut capture = Capture::start(&pair, &near(&["--confine", "off"]));
    // It is past the place where it would have given up something: that is done before the first packet is read.
    pair.udp(FAR, PORT, 1, 30);
    capture.wait_for_frames(2);
    for thread in threads(capture.pid()) {
        assert_eq!(thread.sets(), own.sets(), "{thread:?}");
        assert_eq!((thread.field("NoNewPrivs"), thread.field("Seccomp")), ("0", "0"), "{thread:?}");
    }
    assert_eq!(capture.stop().code(), Some(0));
}

/// A capture into files that follow one another, on interfaces of which another one comes.
#[test]
fn a_confined_capture_writes_rotates_follows_and_detaches() {
    for attach in ["tcx", "clsact"] {
        let pair = Pair::new();
        let folder = Folder::new();
        let mut capture = Files::start(&pair, &folder, &["--attach", attach]);
        for thread in threads_when(capture.child.id(), is_filtered) {
            let kept = DAC_OVERRIDE | NET_ADMIN | BPF;
            assert_eq!(thread.sets(), [kept, kept, 0, 0, kept], "{attach}: {thread:?}");
        }
        pair.udp(FAR, PORT, 10, 500);
        pair.link("near1", "far1");
        capture.says("also capturing on near1");
        let (near1, far1) = (Ipv4Addr::new(10, 9, 1, 1), Ipv4Addr::new(10, 9, 1, 2));
        pair.addresses("near1", "far1", near1, far1);
        pair.udp(far1, PORT, 10, 500);
        pair.near("link del near1");
        capture.says("no longer capturing on near1");
        pair.udp(FAR, PORT, 10, 500);
        assert_eq!(capture.stop(), Some(0), "{attach}");
        let (files, frames) = folder.frames();
        assert!(files > 3, "{attach}: {files} files");
        assert_eq!(frames, 60, "{attach}");
        assert_eq!((tcx_programs(&pair), filters(&pair)), (0, 0), "{attach}");
    }
}

/// The programs that a user names have what they would have had without kflow.
#[test]
fn what_follows_a_file_is_run_as_ever() {
    let pair = Pair::new();
    let folder = Folder::new();
    let script = folder.0.join("script");
    let mut file = File::create(&script).unwrap();
    writeln!(file, "#!/bin/sh\ncp /proc/self/status {}/status", folder.0.display()).unwrap();
    drop(file);
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let capture = Files::start(&pair, &folder, &["-z", script.to_str().unwrap()]);
    let kept = DAC_OVERRIDE | NET_ADMIN | BPF;
    threads_when(capture.child.id(), |thread| thread.set("CapEff") == kept && thread.set("CapPrm") == kept);
    pair.udp(FAR, PORT, 10, 500);
    assert_eq!(capture.stop(), Some(0));
    let status = fs::read_to_string(folder.0.join("status")).unwrap();
    let child = Thread { name: String::new(), status };
    let own = &threads(std::process::id())[0];
    assert_eq!((child.set("CapEff"), child.set("CapBnd")), (own.set("CapEff"), own.set("CapBnd")));
    assert_eq!((child.field("NoNewPrivs"), child.field("Seccomp")), ("0", "0"));
}

/// Gives up everything, then tries what a stranger would who took the process over.
#[test]
#[ignore = "run by another test, as it cannot be taken back"]
fn in_a_process_of_its_own() {
    // Another thread that is there before, as it is with a capture that is led.
    let (sender, receiver) = std::sync::mpsc::channel();
    let other = std::thread::spawn(move || {
        receiver.recv().unwrap();
        Command::new("/bin/true").status().map_err(|error| error.kind()).err()
    });
    confine(Confinement::Full, Needs::default()).unwrap();
    sender.send(()).unwrap();
    let refused = Some(ErrorKind::PermissionDenied);
    assert_eq!(other.join().unwrap(), refused);
    assert_eq!(Command::new("/bin/true").status().map_err(|error| error.kind()).err(), refused);
    assert_eq!(UdpSocket::bind((NEAR, 0)).map_err(|error| error.kind()).err(), refused);
    assert_eq!(kill(Pid::parent(), None), Err(nix::errno::Errno::EPERM));
    assert_eq!(aya::sys::is_map_supported(aya::maps::MapType::Array).ok(), None);
    // What watching takes goes on.
    assert_eq!(kill(Pid::this(), None), Ok(()));
    assert!(std::os::unix::net::UnixDatagram::unbound().is_ok());
    assert!(tracer::kernel::interfaces::list().is_ok());
    std::thread::spawn(|| ()).join().unwrap();
}

#[test]
fn strangers_find_nothing_to_start_or_to_connect_to() {
    let words = ["--exact", "confined::in_a_process_of_its_own", "--ignored", "--nocapture"];
    let ended = Command::new(std::env::current_exe().unwrap()).args(words).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stdout).contains("1 passed"), "{ended:?}");
}

/// A capture into files.
struct Files {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Files {
    fn start(pair: &Pair, folder: &Folder, words: &[&str]) -> Self {
        let mut child = command(&["-i", "near*", "-C", "2k", "-W", "100", "-w"])
            .arg(folder.0.join("f"))
            .arg("--netns")
            .arg(pair.near_path())
            .args(words)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut files = Self { child, stderr };
        files.says("capturing on near0");
        files
    }

    /// Reads on until it says so.
    fn says(&mut self, words: &str) {
        let mut all = String::new();
        while !all.contains(words) {
            assert!(self.stderr.read_line(&mut all).unwrap() > 0, "no \"{words}\" in {all}");
        }
    }

    /// Ctrl-C, and its exit code.
    fn stop(mut self) -> Option<i32> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
        self.child.wait().unwrap().code()
    }
}

/// A folder for one test; it goes when this value goes.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kc-confined-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Files of packets, and packets in all of them.
    fn frames(&self) -> (usize, usize) {
        let paths = fs::read_dir(&self.0).unwrap().map(|file| file.unwrap().path());
        let counts: Vec<_> = paths.map(|path| frames(&path)).collect();
        (counts.len(), counts.iter().sum())
    }
}

fn frames(path: &Path) -> usize {
    let mut reader = CaptureReader::new(File::open(path).unwrap()).unwrap();
    let mut count = 0;
    while let Some(item) = reader.next_item().unwrap() {
        count += usize::from(matches!(item, Item::Frame(_)));
    }
    count
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
