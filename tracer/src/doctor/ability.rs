//! What a user can do here, by the checks.

use super::check::{Check, State};

/// Every one of these is needed; each is a list of checks of which one is enough.
type Needs = &'static [&'static [&'static str]];

const CAPTURE: Needs = &[
    &["object"],
    &["kernel"],
    &["cap_net_admin"],
    &["cap_bpf"],
    &["cap_perfmon"],
    &["bpf_syscall"],
    &["ring_buffer"],
    &["program_type"],
    &["programs"],
    &["tcx", "clsact"],
    &["memlock"],
    &["cgroup_memory"],
];
const NAMESPACES: Needs = &[&["cap_sys_admin"], &["netns"]];

/// Name, how people call it, what it needs.
const ABILITIES: [(&str, &str, &[Needs]); 6] = [
    ("capture", "kflow capture", &[CAPTURE]),
    ("capture_filter", "a filter expression (-f)", &[CAPTURE, &[&["libpcap"]]]),
    ("capture_namespace", "kflow capture --netns", &[CAPTURE, NAMESPACES]),
    ("capture_wireshark", "kflow capture --wireshark", &[CAPTURE, &[&["wireshark"]]]),
    ("trace", "kflow trace", &[CAPTURE]),
    ("trace_namespaces", "kflow trace across namespaces", &[CAPTURE, NAMESPACES]),
];

/// Something that a user may want to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ability {
    /// Its name, the same for ever: programs read it.
    pub name: &'static str,
    /// How people call it.
    pub label: &'static str,
    /// The checks that stand in its way.
    pub blockers: Vec<&'static str>,
}

impl Ability {
    /// Whether it works here, as far as is known.
    pub fn works(&self) -> bool {
        self.blockers.is_empty()
    }
}

/// Every ability. What could not be found out blocks nothing: whatever hindered it does.
pub(super) fn all(checks: &[Check]) -> Vec<Ability> {
    let is_missing =
        |name: &str| checks.iter().any(|check| check.name == name && check.state == State::Missing);
    let blockers = |needs: &[Needs]| {
        let blocked = needs.iter().copied().flatten().filter(|any| any.iter().all(|name| is_missing(name)));
        blocked.copied().flatten().copied().collect()
    };
    ABILITIES.iter().map(|(name, label, needs)| Ability { name, label, blockers: blockers(needs) }).collect()
}

/// One sentence on all of them, for people. The names of checks in it are as in their list.
pub(super) fn verdict(abilities: &[Ability]) -> String {
    let Some((capture, others)) = abilities.split_first() else { return String::new() };
    if !capture.works() {
        return format!("{} does not work here: it needs {}", capture.label, needs(capture));
    }
    let blocked: Vec<_> = others.iter().filter(|ability| !ability.works()).collect();
    if blocked.is_empty() {
        return format!("{} and kflow trace work here, in other network namespaces too", capture.label);
    }
    let clauses = blocked.iter().map(|ability| format!("{} needs {}", ability.label, needs(ability)));
    format!("{} works here; {}", capture.label, clauses.collect::<Vec<_>>().join("; "))
}

fn needs(ability: &Ability) -> String {
    let name = |name: &&str| if name.starts_with("cap_") { name.to_uppercase() } else { (*name).to_owned() };
    ability.blockers.iter().map(name).collect::<Vec<_>>().join(", ")
}
