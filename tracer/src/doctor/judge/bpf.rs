//! What the kernel's eBPF does for kflow, as it was tried.

use crate::doctor::check::{Check, State};
use crate::doctor::facts::Facts;
use crate::kernel::probe::trial::Trial;

const NOTHING: &str = "without it nothing can be captured";
const UNTRIED: &str = "not to be tried without the capabilities above";
const REFUSED: &str = "the kernel does not permit it, though the capabilities are there";

/// How one feature is judged.
struct Feature<'a> {
    name: &'static str,
    trial: &'a Trial,
    /// What was found where it works, and what that means.
    works: (&'static str, &'static str),
    /// What was found where the kernel has it not, and how to get it.
    absent: (&'static str, &'static str),
    /// What follows where it does not work.
    without: &'static str,
}

impl Feature<'_> {
    fn check(&self, facts: &Facts) -> Check {
        let check = |state, found: &str| Check::new(self.name, state, found, self.without);
        match self.trial {
            Trial::Works => Check::new(self.name, State::Ok, self.works.0, self.works.1),
            Trial::Absent => check(State::Missing, self.absent.0).with(self.absent.1),
            // Whether the kernel has it is another question than whether this process may.
            Trial::NotPermitted | Trial::Failed(_) if !has_all(facts) => check(State::Unknown, UNTRIED),
            Trial::NotPermitted => check(State::Missing, REFUSED).with(permission(facts)),
            Trial::Failed(error) => check(State::Missing, error),
            Trial::Untried(why) => check(State::Unknown, why),
        }
    }
}

/// Who may stand in the way of a process, likeliest first.
fn permission(facts: &Facts) -> String {
    if facts.is_user_namespace {
        return "run it outside of the user namespace: capabilities inside of one do not count for eBPF"
            .to_owned();
    }
    if facts.privileges.is_some_and(|privileges| privileges.is_filtered) {
        return "let the seccomp profile permit bpf(2): with CAP_BPF, Docker's and containerd's do"
            .to_owned();
    }
    "a security module (SELinux, AppArmor, lockdown) forbids it, or the limit on locked memory does"
        .to_owned()
}

fn has_all(facts: &Facts) -> bool {
    use crate::kernel::probe::Capability::{Bpf, NetAdmin, Perfmon};
    let effective = facts.privileges.unwrap_or_default().effective;
    [Bpf, NetAdmin, Perfmon].into_iter().all(|capability| effective.holds(capability))
}

/// bpf(2) itself.
pub(super) fn syscall(facts: &Facts) -> Check {
    Feature {
        name: "bpf_syscall",
        trial: &facts.trials.map,
        works: ("a map was made", "the kernel lets this process use eBPF"),
        absent: (
            "there is no bpf(2)",
            "a kernel with CONFIG_BPF_SYSCALL, or a seccomp profile that permits bpf(2)",
        ),
        without: NOTHING,
    }
    .check(facts)
}

/// Where the packets come from.
pub(super) fn ring_buffer(facts: &Facts) -> Check {
    Feature {
        name: "ring_buffer",
        trial: &facts.trials.ring_buffer,
        works: ("a ring buffer was made", "packets reach kflow in one buffer for all processors"),
        absent: ("this kernel has no ring buffer", "Linux 5.8 or later"),
        without: NOTHING,
    }
    .check(facts)
}

/// `BPF_PROG_TYPE_SCHED_CLS`.
pub(super) fn program_type(facts: &Facts) -> Check {
    Feature {
        name: "program_type",
        trial: &facts.trials.classifier,
        works: ("a program for traffic control was loaded", "programs can look at the packets of interfaces"),
        absent: (
            "this kernel has no programs for traffic control",
            "a kernel with CONFIG_NET and CONFIG_NET_CLS_BPF",
        ),
        without: NOTHING,
    }
    .check(facts)
}

/// Those that a capture loads.
pub(super) fn programs(facts: &Facts) -> Check {
    Feature {
        name: "programs",
        trial: &facts.trials.programs,
        works: ("kflow's own programs were loaded", "the kernel's verifier accepts them"),
        absent: ("the kernel does not know what they use", "Linux 5.8 or later"),
        without: NOTHING,
    }
    .check(facts)
}

/// Attaching by links, since Linux 6.6.
pub(super) fn tcx(facts: &Facts) -> Check {
    let check = Feature {
        name: "tcx",
        trial: &facts.trials.tcx,
        works: (
            "a program was attached",
            "programs run before those of the network plugin, and go with the process",
        ),
        absent: ("this kernel has none", "Linux 6.6 or later"),
        without: NOTHING,
    }
    .check(facts);
    instead(
        check,
        &facts.trials.clsact,
        "clsact is used instead: a program of the network plugin with the same priority may run first, and what a \
         killed kflow leaves is swept by the next one",
    )
}

/// Attaching by filters of a qdisc, for kernels before that.
pub(super) fn clsact(facts: &Facts) -> Check {
    let check = Feature {
        name: "clsact",
        trial: &facts.trials.clsact,
        works: (
            "a program was attached",
            "programs can be attached on kernels without TCX, and with `--attach clsact`",
        ),
        absent: (
            "this kernel has none",
            "a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF: `modprobe -a sch_ingress cls_bpf`",
        ),
        without: NOTHING,
    }
    .check(facts);
    match check.state {
        State::Missing => {
            instead(check, &facts.trials.tcx, "TCX is used instead; `--attach clsact` does not work")
        }
        State::Unknown => {
            Check { meaning: "needed on kernels without TCX (before Linux 6.6) only".into(), ..check }
        }
        _ => check,
    }
}

/// What the kernel tells of packets that it drops: verdicts of traces are the better for it, captures do without.
pub(super) fn drops(facts: &Facts) -> Check {
    const WITHOUT: &str =
        "a trace tells where a packet was seen last, and the kernel's own drop of it is missing";
    const TYPES: &str = "a kernel with CONFIG_DEBUG_INFO_BTF";
    let check = |state, found: &str| Check::new("drops", state, found, WITHOUT);
    match &facts.trials.drops {
        Trial::Works => reasons(facts),
        Trial::NotPermitted | Trial::Failed(_) if !has_all(facts) => check(State::Unknown, UNTRIED),
        Trial::NotPermitted => check(State::Degraded, REFUSED).with(permission(facts)),
        Trial::Absent => check(State::Degraded, "this kernel does not tell them").with(TYPES),
        Trial::Failed(error) => check(State::Degraded, error).with(TYPES),
        Trial::Untried(why) => check(State::Unknown, why),
    }
}

/// Whether drops are told with all that there is to say of them.
fn reasons(facts: &Facts) -> Check {
    let Some((what, why)) = &facts.lacks_of_drops else {
        let meaning = "verdicts of traces rest on what the kernel says that it dropped";
        return Check::new("drops", State::Ok, "seen, with functions and reasons", meaning);
    };
    let meaning = "verdicts of traces rest on rules, routes and counters instead";
    Check::new("drops", State::Degraded, format!("seen, without {what}: {why}"), meaning)
        .with("Linux 5.17 or later with CONFIG_DEBUG_INFO_BTF")
}

/// What is missing where there is another way is no more than degraded.
fn instead(check: Check, other: &Trial, meaning: &'static str) -> Check {
    let has_other = matches!(other, Trial::Works | Trial::Untried(_));
    if check.state != State::Missing || !has_other {
        return check;
    }
    Check { state: State::Degraded, meaning: meaning.into(), ..check }
}
