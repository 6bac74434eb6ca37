//! What a process is permitted: capabilities(7), seccomp(2), as `/proc/PID/status` tells it (proc(5)).

/// Capabilities that observing packets needs (capabilities(7)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Capability {
    /// Attach programs to interfaces.
    NetAdmin,
    /// Enter a network namespace.
    SysAdmin,
    /// Load programs with pointer arithmetic.
    Perfmon,
    /// Load programs and make maps.
    Bpf,
    /// Lift the limit on locked memory, which maps count against before Linux 5.11.
    SysResource,
}

impl Capability {
    const fn bit(self) -> u32 {
        match self {
            Self::NetAdmin => 12,
            Self::SysAdmin => 21,
            Self::SysResource => 24,
            Self::Perfmon => 38,
            Self::Bpf => 39,
        }
    }

    /// Name as `setcap` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "cap_net_admin",
            Self::SysAdmin => "cap_sys_admin",
            Self::SysResource => "cap_sys_resource",
            Self::Perfmon => "cap_perfmon",
            Self::Bpf => "cap_bpf",
        }
    }
}

/// A set of capabilities, as the kernel numbers them (`linux/capability.h`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// Whether a capability is in it, or one that implies it: before Linux 5.8 split them off, `CAP_SYS_ADMIN` was
    /// what BPF needed, and it still implies the new ones.
    pub fn holds(self, capability: Capability) -> bool {
        match capability {
            Capability::Bpf | Capability::Perfmon => self.has(capability) || self.has(Capability::SysAdmin),
            Capability::NetAdmin | Capability::SysAdmin | Capability::SysResource => self.has(capability),
        }
    }

    /// Whether a capability is in it by itself.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability.bit()) != 0
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(capabilities.into_iter().fold(0, |set, capability| set | 1 << capability.bit()))
    }
}

/// What a process is permitted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Privileges {
    /// `CapEff`: what it can do now. Empty where the kernel does not tell.
    pub effective: CapabilitySet,
    /// `CapBnd`: what a program that it executes could get at most.
    pub bounding: CapabilitySet,
    /// Whether system calls are filtered by seccomp.
    pub is_filtered: bool,
    /// Whether capabilities of a file have no effect (`PR_SET_NO_NEW_PRIVS`).
    pub is_without_new: bool,
}

impl Privileges {
    /// Reads the text of `/proc/PID/status`; a line that is not there leaves its field empty.
    pub(super) fn parse(status: &str) -> Self {
        let value = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.map_or("", str::trim)
        };
        let set = |key| CapabilitySet(u64::from_str_radix(value(key), 16).unwrap_or(0));
        Self {
            effective: set("CapEff"),
            bounding: set("CapBnd"),
            // 1 is the strict mode, in which this program could not run.
            is_filtered: value("Seccomp") == "2",
            is_without_new: value("NoNewPrivs") == "1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_are_read_from_the_status_file() {
        let status = "Name:\tkflow\nCapPrm:\t0000000000000000\nCapEff:\t000000c000001000\n\
                      CapBnd:\t0000000000001000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let privileges = Privileges::parse(status);
        let effective = privileges.effective;
        assert!(effective.holds(Capability::Bpf) && effective.holds(Capability::Perfmon));
        assert!(effective.holds(Capability::NetAdmin) && !effective.holds(Capability::SysAdmin));
        assert_eq!(privileges.bounding, CapabilitySet::from_iter([Capability::NetAdmin]));
        assert!(privileges.is_filtered && privileges.is_without_new);
        assert_eq!(Privileges::parse("nothing"), Privileges::default());
    }

    #[test]
    fn sys_admin_implies_the_bpf_capabilities_but_not_net_admin() {
        let effective = CapabilitySet::from_iter([Capability::SysAdmin]);
        assert!(effective.holds(Capability::Bpf) && effective.holds(Capability::Perfmon));
        assert!(!effective.holds(Capability::NetAdmin) && !effective.holds(Capability::SysResource));
        assert!(!effective.has(Capability::Bpf));
    }
}
