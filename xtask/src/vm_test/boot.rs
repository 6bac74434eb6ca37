//! A machine from its start to what it found. It is emulated: whether there is KVM makes no difference.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::result::Findings;

/// When a machine is taken for hanging.
const MOST: Duration = Duration::from_mins(15);
const NAP: Duration = Duration::from_millis(200);
/// MiB.
const MEMORY: &str = "2048";
const PROCESSORS: &str = "2";
/// All processors of a machine share a thread: with one each, code that the kernel changes while it runs (static keys) was
/// seen to be executed as it had been before.
const ACCELERATOR: &str = "tcg,thread=single";
/// `panic=-1` restarts at once, which `-no-reboot` makes an end. Without `no_timer_check` a kernel counts the timer's ticks in
/// its first moments, and where the machine under it is busy too few come: "IO-APIC + timer doesn't work!".
const KERNEL_WORDS: &str = "console=ttyS0 quiet panic=-1 oops=panic no_timer_check mitigations=off net.ifnames=0 random.trust_cpu=on";

/// A machine that is ready to be started.
pub(super) struct Machine {
    pub(super) version: &'static str,
    pub(super) qemu: PathBuf,
    pub(super) image: PathBuf,
    pub(super) initramfs: PathBuf,
}

impl Machine {
    /// Starts it, and waits until it turns itself off or its time is over. What went wrong is among the findings.
    pub(super) fn run(&self) -> Findings {
        let start = Instant::now();
        let (console, results) = (self.beside("console.log"), self.beside("results.log"));
        let ended = self.ended(&console, &results);
        let read = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let told = read(&results).unwrap_or_default();
        let mut findings = Findings::parse(self.version, &told, start.elapsed().as_secs_f64());
        if let Err(error) = ended {
            findings.failures.push(format!("{error:#}"));
        }
        if !findings.is_complete {
            let said = read(&console).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(20)..].join("\n  ");
            findings.failures.push(format!("the suite did not come to its end; the console:\n  {last}"));
        }
        findings
    }

    fn ended(&self, console: &Path, results: &Path) -> Result<()> {
        let _ = fs::remove_file(results);
        let mut child = self.command(console, results).spawn().context("cannot run QEMU")?;
        let end = Instant::now() + MOST;
        while Instant::now() < end {
            if child.try_wait().context("cannot wait for QEMU")?.is_some() {
                return Ok(());
            }
            thread::sleep(NAP);
        }
        stop(&mut child);
        anyhow::bail!("it was still running after {} s", MOST.as_secs())
    }

    fn command(&self, console: &Path, results: &Path) -> Command {
        let mut command = Command::new(&self.qemu);
        command
            .args(["-accel", ACCELERATOR, "-cpu", "max", "-M", "pc", "-m", MEMORY, "-smp", PROCESSORS])
            .args(["-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot"])
            .args(["-serial", &format!("file:{}", console.display())])
            .args(["-serial", &format!("file:{}", results.display())])
            .arg("-kernel")
            .arg(&self.image)
            .arg("-initrd")
            .arg(&self.initramfs)
            .args(["-append", KERNEL_WORDS])
            .stdin(Stdio::null());
        command
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.initramfs.with_file_name(name)
    }
}

fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
