//! A network namespace with rules.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tests::Namespace;
use tracer::kernel::firewall;
use tracer_core::evidence::Firewall;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A namespace of one's own.
pub(crate) fn namespace() -> Namespace {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let namespace = Namespace::create(format!("kr-{}-{number}", std::process::id())).unwrap();
    run(&namespace, "ip link set lo up");
    namespace
}

/// Runs a program inside, which must succeed; what it prints.
pub(crate) fn run(namespace: &Namespace, words: &str) -> String {
    feed(namespace, words, "")
}

/// Runs a program inside with an input.
pub(crate) fn feed(namespace: &Namespace, words: &str, input: &str) -> String {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = namespace.spawn(&mut command).unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}\n{input}");
    String::from_utf8(output.stdout).unwrap()
}

/// The rules that kflow reads inside, of which nothing may be missing.
pub(crate) fn read(namespace: &Namespace) -> Firewall {
    let (firewall, missing) = namespace
        .run(|| {
            let mut missing = Vec::new();
            (firewall::read(&mut missing), missing)
        })
        .unwrap();
    assert_eq!(missing, []);
    firewall
}
