//! Command lines that make no sense, and machines that cannot do it: one cause, and a remedy where there is one.

use std::process::Command;

use crate::process::kflow;
use crate::running::run;
use crate::scene::Scene;

/// Words, the exit code, and what is said.
type Refusal = (&'static [&'static str], i32, &'static str);

const FLAGS: [Refusal; 26] = [
    (&["tcp", "port", "80"], 2, "`tcp` begins a filter expression: it is put after `--`"),
    (&["-nn"], 2, "addresses and ports are always printed as numbers: leave out tcpdump's -nn"),
    (&["-c", "5"], 2, "`--max-packets 5` ends after so many packets"),
    (&["-tttt"], 2, "`kflow capture -w - | tcpdump -t -r -`"),
    (&["-p"], 2, "no interface is made promiscuous: leave it out"),
    (&["-n"], 2, "-n is kubectl's namespace"),
    (&["-f", "tcp", "--", "udp"], 2, "cannot be used with"),
    (&["-Q", "sideways"], 2, "expected in, out or inout"),
    (&["-s", "much"], 2, "expected a number of bytes, or `headers`"),
    (&["-B", "0"], 2, "0 is not in 1..=1048576"),
    (&["--vxlan-port", "0"], 2, "0 is not in 1..=65535"),
    (&["--attach", "glue"], 2, "expected auto, tcx or clsact"),
    (&["--duration", "soon"], 2, "expected a number of seconds above 0"),
    (&["--max-packets", "0"], 2, "0 is not in 1.."),
    (&["--max-size", "big"], 2, "`big` is no file size: give a number from 1 on"),
    (&["--max-size", "5"], 2, "--max-size is for files and pipes of packets: give -w as well"),
    (&["-C", "1"], 2, "--write <FILE|->"),
    (&["-w", "x", "-W", "3"], 2, "-W counts the files of -C or -G: give one of them as well"),
    (&["-w", "x", "-z", "gzip"], 2, "-z is for the files of -C or -G: give one of them as well"),
    (&["-w", "-", "-C", "1"], 2, "-C makes several files: standard output is one"),
    (&["--wireshark", "-w", "x"], 2, "cannot be used with"),
    (&["-r", "x", "-i", "lo"], 2, "'--read <FILE|->' cannot be used with '--interface <IFACE>'"),
    (&["-r", "x", "--duration", "1"], 2, "cannot be used with"),
    (&["--state", "x"], 2, "--list-interfaces"),
    (&["-D", "--netns", "/nowhere"], 1, "there is no network namespace /nowhere: `ip netns` lists"),
    (&["-D", "--state", "/etc/passwd"], 1, "/etc/passwd: the cluster state is malformed"),
];

const FILTERS: [Refusal; 6] = [
    (&["--", "tcp", "prot", "80"], 2, "syntax error\n  tcp prot 80\n      ^^^^\n"),
    (&["-f", "tcp port"], 2, "\n          ^ something is missing here\n"),
    (&["--", "host", "no-such.invalid"], 2, "unknown host 'no-such.invalid'\n  host no-such.invalid\n"),
    (&["--", "1 = 2"], 2, "expression rejects all packets"),
    (&["-i", "tun7", "--", "arp"], 2, "the filter cannot match on tun7, whose packets have no link layer"),
    (&["-i", "tun7", "--", "ether", "host", "1:2:3:4:5:6"], 2, "the filter cannot match on tun7"),
];

const PLACES: [Refusal; 5] = [
    (&["-i", "near1"], 1, "there is no interface near1 (did you mean near0?); there are lo, near0"),
    (&["-i", "near0", "-w", "missing/x"], 1, "cannot create missing/x: No such file or directory"),
    (&["-i", "near0", "-w", "."], 1, "cannot create .: Is a directory"),
    (&["-i", "near0", "-w", "x", "-Z", "nobody-of-that-name"], 1, "there is no user nobody-of-that-name"),
    (&["-i", "near0", "-w", "private/x", "-Z", "nobody"], 1, "cannot create private/x: Permission denied"),
];

fn assert_refused(command: &mut Command, (words, code, said): Refusal) {
    let outcome = run(command);
    assert_eq!(outcome.code, Some(code), "{words:?}: {}", outcome.stderr);
    assert!(outcome.stderr.contains(said), "{words:?}: {}", outcome.stderr);
    assert_eq!(outcome.text(), "", "{words:?}");
}

#[test]
fn flags_that_make_no_sense() {
    for refusal in FLAGS {
        assert_refused(&mut kflow(refusal.0.iter().copied()), refusal);
    }
}

#[test]
fn filters_and_places_that_are_none() {
    let scene = Scene::new();
    scene.near_ip("tuntap add mode tun name tun7");
    let private = scene.path("private");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    for refusal in FILTERS.into_iter().chain(PLACES) {
        let mut command = scene.kflow("");
        assert_refused(command.args(refusal.0), refusal);
    }
    assert!(!scene.path("x").exists(), "nothing is made before it is needed");
}

#[test]
fn without_privileges_files_are_read_and_interfaces_are_not() {
    let scene = Scene::new();
    let capture = scene.capture("-i near0 -w a.pcapng");
    scene.send(2, b"read by anybody");
    capture.stop();
    let unprivileged = |words: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"]);
        run(command.arg(tests::kflow::program()).arg("capture").args(words).current_dir(scene.directory()))
    };
    let read = unprivileged(&["-r", "a.pcapng", "--", "udp"]);
    assert_eq!((read.code, read.text().lines().count()), (Some(0), 2), "{}", read.stderr);
    let list = unprivileged(&["-D"]);
    assert_eq!(list.code, Some(0), "{}", list.stderr);
    let refused = unprivileged(&["-i", "lo"]);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("CAP_NET_ADMIN") && refused.stderr.contains("sudo"),
        "{}",
        refused.stderr
    );
}
