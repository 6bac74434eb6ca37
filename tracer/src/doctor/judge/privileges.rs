//! What this process may do.

use crate::doctor::check::{Check, State};
use crate::doctor::facts::Facts;
use crate::kernel::probe::trial::Trial;
use crate::kernel::probe::{Capability, Privileges};

/// The name in a container's `securityContext`, what it is for, and what lacks without it.
type Use = (Capability, &'static str, &'static str, &'static str);

const USES: [Use; 4] = [
    (
        Capability::NetAdmin,
        "NET_ADMIN",
        "programs can be attached to interfaces",
        "no program can be attached to an interface: nothing can be captured",
    ),
    (
        Capability::Bpf,
        "BPF",
        "maps can be made and programs loaded",
        "no map can be made and no program loaded: nothing can be captured",
    ),
    (
        Capability::Perfmon,
        "PERFMON",
        "programs may compute with pointers",
        "the verifier refuses programs that compute with pointers: nothing can be captured",
    ),
    (
        Capability::SysAdmin,
        "SYS_ADMIN",
        "other network namespaces can be entered",
        "no other network namespace can be entered: only interfaces of this one can be captured",
    ),
];

/// One check for each capability.
pub(super) fn capabilities(facts: &Facts) -> Vec<Check> {
    USES.iter().map(|entry| capability(facts, *entry)).collect()
}

fn capability(facts: &Facts, (capability, pod, with, without): Use) -> Check {
    let name = capability.name();
    let Some(privileges) = facts.privileges else {
        return Check::new(name, State::Unknown, "/proc/self/status cannot be read", without);
    };
    if privileges.effective.has(capability) {
        return Check::new(name, State::Ok, "effective", with);
    }
    if privileges.effective.holds(capability) {
        return Check::new(name, State::Ok, "implied by cap_sys_admin", with);
    }
    let (found, remedy) = remedy(facts, &privileges, capability, pod);
    Check::new(name, State::Missing, found, without).with(remedy)
}

/// What a process lacks, and who can give it.
fn remedy(
    facts: &Facts,
    privileges: &Privileges,
    capability: Capability,
    pod: &str,
) -> (&'static str, String) {
    let container = format!("`securityContext.capabilities.add: [{pod}]` in a pod");
    if !privileges.bounding.holds(capability) {
        let found = "not effective, and outside of what this process can ever get (CapBnd)";
        return (found, format!("whoever started this container or service has to give it: {container}"));
    }
    if privileges.is_without_new {
        let found = "not effective, and not to be had by executing a file (NoNewPrivs)";
        return (found, format!("start it with the capability: {container}"));
    }
    let all = if capability == Capability::SysAdmin { ",cap_sys_admin" } else { "" };
    let setcap = format!("`sudo setcap cap_bpf,cap_net_admin,cap_perfmon{all}+ep {}`", facts.program);
    ("not effective", format!("run it with sudo, or give it once with {setcap}; {container}"))
}

/// Whether a namespace can really be entered, which a user namespace may forbid to those with the capability.
pub(super) fn netns(facts: &Facts) -> Check {
    const NAME: &str = "netns";
    const WITHOUT: &str = "without it `--netns` and `kflow trace` over several namespaces do not work";
    let is_admin = facts.privileges.is_some_and(|privileges| privileges.effective.has(Capability::SysAdmin));
    match &facts.trials.netns {
        Trial::Works => {
            Check::new(NAME, State::Ok, "entered", "captures can be made in other network namespaces")
        }
        Trial::NotPermitted if !is_admin => {
            Check::new(NAME, State::Unknown, "not to be tried without CAP_SYS_ADMIN", WITHOUT)
        }
        Trial::NotPermitted => {
            Check::new(NAME, State::Missing, "the kernel does not permit to enter one", WITHOUT)
                .with("CAP_SYS_ADMIN in the user namespace that owns the network namespace")
        }
        Trial::Absent => Check::new(NAME, State::Missing, "this kernel has none (CONFIG_NET_NS)", WITHOUT),
        Trial::Failed(error) => Check::new(NAME, State::Missing, error.as_str(), WITHOUT),
        Trial::Untried(why) => Check::new(NAME, State::Unknown, *why, WITHOUT),
    }
}

/// `kernel.unprivileged_bpf_disabled`: kflow never relies on it, whatever it is.
pub(super) fn unprivileged_bpf(facts: &Facts) -> Check {
    let found = match facts.settings.unprivileged_bpf {
        Some(0) => "0: anybody may use bpf(2)",
        Some(1) => "1: only with CAP_BPF, until the next boot",
        Some(_) => "2: only with CAP_BPF",
        None => "no such setting",
    };
    Check::new("unprivileged_bpf", State::Ok, found, "kflow uses its own capabilities, whatever is set here")
}
