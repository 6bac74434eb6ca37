//! Runs one program on one core and says what it took: `measure OUTPUT PROGRAM [ARGUMENT ...]`.
//!
//! The program's standard output goes to the file OUTPUT. What is printed is one line: seconds on the wall, seconds
//! of the processor, the greatest resident memory in KiB, and the exit code.

use std::ffi::OsString;
use std::fs::File;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::unistd::Pid;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(output), Some(program)) = (args.next(), args.next()) else {
        eprintln!("usage: measure OUTPUT PROGRAM [ARGUMENT ...]");
        return ExitCode::from(2);
    };
    match measure(&output, &program, args) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("measure: cannot run {}: {failure}", program.display());
            ExitCode::FAILURE
        }
    }
}

fn measure(
    output: &OsString,
    program: &OsString,
    args: impl Iterator<Item = OsString>,
) -> Result<String, Failure> {
    stay_on_one_core()?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(File::create(output)?);
    let begin = Instant::now();
    let status = command.status()?;
    let seconds = begin.elapsed().as_secs_f64();
    // This process has had one child: what is counted for all of them is that one's.
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let code = status.code().ok_or("a signal ended it")?;
    Ok(format!("{seconds} {} {} {code}", processor(&usage), usage.max_rss()))
}

/// The last one that this process may run on: the first ones serve interrupts.
fn stay_on_one_core() -> nix::Result<()> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let last = (0..CpuSet::count()).rfind(|core| allowed.is_set(*core).unwrap_or(false));
    let mut one = CpuSet::new();
    one.set(last.unwrap_or_default())?;
    sched_setaffinity(this, &one)
}

/// Seconds.
#[expect(clippy::cast_precision_loss, reason = "microseconds of a program's run are far below 2^53")]
fn processor(usage: &Usage) -> f64 {
    (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6
}
