//! Programs attached by TCX, and the names of those attached by XDP.

use aya::programs::tc::TcAttachType;
use aya::programs::{ProgramError, SchedClassifier, TcError, loaded_programs};
use tracer_core::evidence::{Link, Missing, Program, ProgramHook};
use tracer_core::way::LinkIndex;

use super::note;

/// What kflow's own programs are called; the kernel keeps 15 bytes of a name.
const OWN: &str = "kflow_";
/// What is said to be missing where programs are known to be there, but not who they are.
pub const UNNAMED: &str = "names of programs";
/// The system call that asks for a program by its id, as aya calls it.
const BY_ID: &str = "bpf_prog_get_fd_by_id";
const EPERM: i32 = 1;
const EINVAL: i32 = 22;
const ENOENT: i32 = 2;
const ENODEV: i32 = 19;

/// The TCX programs of these links, in the order in which they run. Kernels before 6.6 have none.
///
/// Who they are takes `CAP_SYS_ADMIN`: without it one without id or name stands for those of a place, however many.
pub(super) fn tcx(links: &[Link], missing: &mut Vec<Missing>) -> Vec<Program> {
    let mut all = Vec::new();
    let mut are_unnamed = false;
    for link in links {
        for (attachment, hook) in
            [(TcAttachType::Ingress, ProgramHook::TcxIngress), (TcAttachType::Egress, ProgramHook::TcxEgress)]
        {
            match SchedClassifier::query_tcx(&link.name, attachment) {
                Ok((_, found)) => all.extend(found.iter().map(|info| {
                    let name = info.name_as_str().filter(|name| !name.is_empty());
                    program(link.index, hook, Some(info.id()), name)
                })),
                Err(error) => match cause(&error) {
                    // No TCX here.
                    (_, Some(EINVAL)) => return all,
                    // The link, or a program, went meanwhile.
                    (_, Some(ENODEV | ENOENT)) => {}
                    (Some(BY_ID), Some(EPERM)) => {
                        are_unnamed = true;
                        all.push(program(link.index, hook, None, None));
                    }
                    _ => {
                        note(missing, "programs (tcx)", &error);
                        return all;
                    }
                },
            }
        }
    }
    if are_unnamed {
        let why = "asking the kernel for a program by its id takes CAP_SYS_ADMIN".to_owned();
        missing.push(Missing { what: UNNAMED.to_owned(), why });
    }
    all
}

/// Writes down what programs are called that are known by their ids only, as far as this process may ask.
pub(super) fn name(programs: &mut [Program]) {
    if programs.iter().all(|program| program.name.is_some() || program.id.is_none()) {
        return;
    }
    for info in loaded_programs().map_while(Result::ok) {
        let Some(name) = info.name_as_str().filter(|name| !name.is_empty()) else { continue };
        for program in
            programs.iter_mut().filter(|program| program.id == Some(info.id()) && program.name.is_none())
        {
            program.name = Some(name.to_owned());
            program.is_own = name.starts_with(OWN);
        }
    }
}

fn program(link: LinkIndex, hook: ProgramHook, id: Option<u32>, name: Option<&str>) -> Program {
    Program {
        link,
        hook,
        id,
        is_own: name.is_some_and(|name| name.starts_with(OWN)),
        name: name.map(str::to_owned),
        kind: "bpf".to_owned(),
        priority: None,
    }
}

/// The system call that failed, as aya calls it, and its error number.
fn cause(error: &ProgramError) -> (Option<&str>, Option<i32>) {
    match error {
        ProgramError::SyscallError(error) => (Some(error.call), error.io_error.raw_os_error()),
        ProgramError::TcError(TcError::IoError(error)) => (None, error.raw_os_error()),
        _ => (None, None),
    }
}
