//! The first process of a virtual machine.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    process::{Command, ExitCode, Stdio},
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sys::wait::{WaitStatus, waitpid},
    unistd::Pid,
};

/// Where results go; the first serial port is the kernel's console.
const RESULTS: &str = "/dev/ttyS1";
/// Modules that are wanted, a name on each line; others come when the kernel asks for them.
const MODULES: &str = "/etc/modules";
/// Features that are wanted, a name on each line; all if there is none.
const FEATURES: &str = "/etc/features";
const KFLOW: &str = "/bin/kflow";
/// Type of the file system, and where it is mounted.
const MOUNTS: [(&str, &str); 7] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
    ("bpf", "/sys/fs/bpf"),
    ("securityfs", "/sys/kernel/security"),
];

/// Prepares the machine, runs the suite as a process of its own, and ends the machine.
pub(crate) fn run() -> ExitCode {
    if let Err(error) = prepare().and_then(|()| suite()) {
        eprintln!("init: {error}");
    }
    // A restart at once (Documentation/admin-guide/sysrq.rst), which QEMU takes for the end. A machine that goes on
    // is ended by its time.
    let _ = fs::write("/proc/sysrq-trigger", "b");
    ExitCode::FAILURE
}

fn prepare() -> io::Result<()> {
    for (kind, target) in MOUNTS {
        fs::create_dir_all(target)?;
        // A kernel may lack one of them, or have mounted it itself.
        if let Err(errno) = mount(Some(kind), target, Some(kind), MsFlags::empty(), None::<&str>)
            && errno != Errno::EBUSY
        {
            eprintln!("init: no {kind}: {errno}");
        }
    }
    fs::create_dir_all("/run/netns")?;
    let modules = fs::read_to_string(MODULES)?;
    let load = |name: &str| {
        let ended = Command::new("/sbin/modprobe").args(["-q", name]).status();
        if !ended.is_ok_and(|status| status.success()) {
            eprintln!("init: no module {name}");
        }
    };
    modules.lines().for_each(load);
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    if !up.success() {
        eprintln!("init: no loopback");
    }
    Ok(())
}

fn suite() -> io::Result<()> {
    let mut results = OpenOptions::new().write(true).open(RESULTS)?;
    let to: File = results.try_clone()?;
    let child = Command::new("/bin/vm_suite")
        .arg(KFLOW)
        .args(fs::read_to_string(FEATURES)?.lines())
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(to)
        .spawn()?;
    let pid = Pid::from_raw(child.id().cast_signed());
    // Orphans are this process's to wait for.
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(ended, code)) if ended == pid => {
                return writeln!(results, "{}", serde_json::json!({ "exit": code }));
            }
            Ok(WaitStatus::Signaled(ended, signal, _)) if ended == pid => {
                return writeln!(results, "{}", serde_json::json!({ "signal": signal.as_str() }));
            }
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
