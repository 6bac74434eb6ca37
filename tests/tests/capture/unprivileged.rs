//! Every command as a user who is not root: with the three capabilities, and with each of them missing.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::pair::Pair;

/// What observing packets takes (capabilities(7)).
const NEEDED: [&str; 3] = ["bpf", "net_admin", "perfmon"];
/// Nobody, by number.
const USER: &str = "65534";

/// A kflow that everybody may run, and files beside it; they go when this value goes.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("kc-nobody-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let copy = Self(folder);
        fs::copy(tests::kflow::program(), copy.program()).unwrap();
        fs::set_permissions(copy.program(), fs::Permissions::from_mode(0o755)).unwrap();
        copy
    }

    fn program(&self) -> PathBuf {
        self.0.join("kflow")
    }

    /// Runs it in a pair's namespace as a user with these capabilities and no way to others.
    fn run(&self, pair: &Pair, capabilities: &[&str], words: &str) -> Ended {
        let added: Vec<_> = ["-all"].iter().chain(capabilities).copied().collect();
        let added = added.join(",+");
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
        for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
            command.arg(format!("{set}={added}"));
        }
        command.arg(self.program()).args(words.split(' ')).current_dir(&self.0);
        Ended::of(&pair.in_near(|| command.output()).unwrap())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

const CAPTURE: &str = "capture -i near0 -w /dev/null --duration 0.1";
const TRACE: &str = "trace --local -i near0 --duration 0.1 10.9.0.2";

fn without(missing: &str) -> Vec<&'static str> {
    NEEDED.into_iter().filter(|name| *name != missing).collect()
}

#[test]
fn three_capabilities_are_enough() {
    let (pair, kflow) = (Pair::new(), Copy::new());
    // Nothing passes: a capture and a trace that work are incomplete.
    for (words, code) in [
        (CAPTURE, 3),
        ("capture -i near0 -w /dev/null --duration 0.1 --attach clsact", 3),
        ("capture -i near0 -w /dev/null --duration 0.1 --drops", 3),
        (TRACE, 3),
        ("doctor", 0),
        ("capture -D", 0),
        ("evidence", 0),
    ] {
        let ended = kflow.run(&pair, &NEEDED, words);
        assert_eq!(ended.code, Some(code), "{words}: {ended:?}");
        for lacking in ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON", "not permitted"] {
            assert!(!ended.stderr.contains(lacking), "{words}: {}", ended.stderr);
        }
    }
}

#[test]
fn each_missing_one_is_named() {
    let (pair, kflow) = (Pair::new(), Copy::new());
    for missing in NEEDED {
        let name = format!("CAP_{}", missing.to_uppercase());
        for words in [CAPTURE, TRACE] {
            let ended = kflow.run(&pair, &without(missing), words);
            assert_eq!(ended.code, Some(4), "{words} without {missing}: {ended:?}");
            let said = format!("needs the capability {name}: run it with sudo");
            assert!(ended.stderr.contains(&said), "{words} without {missing}: {}", ended.stderr);
        }
        let ended = kflow.run(&pair, &without(missing), "doctor");
        assert_eq!(ended.code, Some(4), "{ended:?}");
        let line =
            |name: &str| ended.stdout.lines().any(|line| line.starts_with("missing") && line.contains(name));
        assert!(line(&format!("cap_{missing}")), "{}", ended.stdout);
        assert!(ended.stdout.contains(&format!("it needs {name}")), "{}", ended.stdout);
    }
}

#[test]
fn files_are_read_without_any() {
    let (pair, kflow) = (Pair::new(), Copy::new());
    let file = kflow.0.join("f.pcapng");
    let mut writes = Command::new(tests::kflow::program())
        .args(["capture", "-i", "near0", "--max-packets", "2", "--netns"])
        .arg(pair.near_path())
        .arg("-w")
        .arg(&file)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let client = pair.in_near(|| UdpSocket::bind((crate::pair::NEAR, 0)).unwrap());
    while writes.try_wait().unwrap().is_none() {
        client.send_to(b"a datagram", (crate::pair::FAR, crate::PORT)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let ended = Ended::of(&writes.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let read = kflow.run(&pair, &[], "capture -r f.pcapng");
    assert_eq!((read.code, read.stdout.lines().count()), (Some(0), 2), "{read:?}");
    let traced = kflow.run(&pair, &[], "trace -r f.pcapng 10.9.0.2");
    assert!(traced.stdout.contains("10.9.0.2:7000"), "{traced:?}");
}

#[test]
fn what_takes_more_says_so_when_it_is_asked_for() {
    let (pair, kflow) = (Pair::new(), Copy::new());
    let enter = format!("{CAPTURE} --netns {}", pair.near_path().display());
    let ended = kflow.run(&pair, &NEEDED, &enter);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stderr.contains("this needs the capability CAP_SYS_ADMIN"), "{}", ended.stderr);

    let foreign = format!("{CAPTURE} --netns {}", std::process::id());
    let ended = kflow.run(&pair, &["bpf", "net_admin", "perfmon", "sys_admin"], &foreign);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.stderr.contains("takes the capability CAP_SYS_PTRACE"), "{}", ended.stderr);

    let ended = kflow.run(&pair, &NEEDED, "ifaces");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for name in ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"] {
        assert!(ended.stderr.contains(&format!("which takes {name}")), "{}", ended.stderr);
    }
}

#[test]
fn evidence_names_what_its_gaps_take() {
    let (pair, kflow) = (Pair::new(), Copy::new());
    let ended = kflow.run(&pair, &without("net_admin"), "evidence");
    let snapshot: serde_json::Value = serde_json::from_str(ended.stdout.trim()).unwrap();
    let missing = snapshot["missing"].as_array().unwrap();
    let why = |what: &str| {
        let found = missing.iter().find(|one| one["what"] == what);
        found.unwrap_or_else(|| panic!("{what} is not missing: {missing:?}"))["why"].as_str().unwrap()
    };
    for what in ["nftables", "conntrack", "programs (tcx)"] {
        assert!(why(what).ends_with("that takes CAP_NET_ADMIN"), "{}", why(what));
    }
}
