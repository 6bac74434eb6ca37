//! The kernel, its settings and its limits.

use crate::doctor::KERNEL_FLOOR;
use crate::doctor::check::{Check, State};
use crate::doctor::facts::Facts;
use crate::kernel::probe::Capability;
use crate::kernel::probe::trial::Trial;

/// What kflow itself takes besides the buffer.
const RESIDENT: u64 = 40 << 20;
/// Since then maps count against the control group and not against the limit on locked memory.
const ACCOUNTED: (u32, u32) = (5, 11);
/// A table of connections that is that full, in hundredths, soon drops new ones.
const NEARLY_FULL: u64 = 95;
/// Sources of time that take a microsecond or more to read, or that are too coarse to tell packets apart.
const SLOW_CLOCKS: [&str; 5] = ["acpi_pm", "hpet", "jiffies", "pit", "refined-jiffies"];

/// The eBPF programs are part of this program, unless it was built without them.
pub(super) fn object(facts: &Facts) -> Check {
    const NAME: &str = "object";
    if facts.has_object {
        return Check::new(NAME, State::Ok, "embedded", "this kflow has its eBPF programs");
    }
    Check::new(NAME, State::Missing, "this kflow was built without eBPF", "nothing can be captured")
        .with("build it with an eBPF toolchain: `cargo xtask setup`")
}

/// The release, where the ring buffer does not prove it wrong: some distributions take features into old kernels.
pub(super) fn kernel(facts: &Facts) -> Check {
    const NAME: &str = "kernel";
    let found = facts.release.as_str();
    match version(found) {
        Some(version) if version >= KERNEL_FLOOR => {
            Check::new(NAME, State::Ok, found, "Linux 5.8 is the oldest that works")
        }
        None => Check::new(NAME, State::Unknown, found, "Linux 5.8 is the oldest that works"),
        Some(_) if facts.trials.ring_buffer == Trial::Works => {
            Check::new(NAME, State::Ok, found, "older than Linux 5.8, but with its ring buffer")
        }
        Some(_) => Check::new(NAME, State::Missing, found, "Linux 5.8 is the oldest that works")
            .with("Linux 5.8 or later"),
    }
}

/// Major and minor number of a release; absent where it begins with none.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// `RLIMIT_MEMLOCK`, which counts before Linux 5.11 only.
pub(super) fn memlock(facts: &Facts) -> Check {
    const NAME: &str = "memlock";
    let found = facts.memlock.map_or("unlimited".to_owned(), |limit| format!("limit of {}", size(limit)));
    if version(&facts.release).is_none_or(|version| version >= ACCOUNTED) {
        let meaning = "not counted: since Linux 5.11 maps count against the control group";
        return Check::new(NAME, State::Ok, found, meaning);
    }
    let privileges = facts.privileges.unwrap_or_default();
    let is_enough = facts.memlock.is_none_or(|limit| limit >= facts.buffer * 2);
    if is_enough || privileges.effective.holds(Capability::SysResource) {
        return Check::new(NAME, State::Ok, found, "enough for the buffer, or lifted by kflow itself");
    }
    let meaning = format!("the buffer of {} does not fit: making it fails", size(facts.buffer));
    Check::new(NAME, State::Missing, found, meaning)
        .with("`ulimit -l unlimited`, CAP_SYS_RESOURCE, a smaller buffer (-B), or Linux 5.11")
}

/// The memory that control groups leave for the buffer and for kflow.
pub(super) fn cgroup_memory(facts: &Facts) -> Check {
    const NAME: &str = "cgroup_memory";
    let Some(limit) = &facts.memory else {
        return Check::new(NAME, State::Ok, "no limit", "the buffer may have any size");
    };
    let found = format!("limit of {} ({})", size(limit.bytes), limit.file.display());
    let buffer = size(facts.buffer);
    let remedy = "raise the limit (`resources.limits.memory` of a pod), or take a smaller buffer (-B)";
    if limit.bytes <= facts.buffer {
        let meaning =
            format!("the buffer of {buffer} does not fit: making it fails, or the kernel kills kflow");
        return Check::new(NAME, State::Missing, found, meaning).with(remedy);
    }
    if limit.bytes < facts.buffer + RESIDENT {
        let meaning = format!(
            "with the buffer of {buffer} kflow may need up to {}: the kernel may kill it",
            size(facts.buffer + RESIDENT)
        );
        return Check::new(NAME, State::Degraded, found, meaning).with(remedy);
    }
    Check::new(NAME, State::Ok, found, format!("enough for kflow with a buffer of {buffer}"))
}

/// Lockdown forbids to read the kernel's memory, which programs that see packets only do not.
pub(super) fn lockdown(facts: &Facts) -> Check {
    const NAME: &str = "lockdown";
    let line = facts.settings.lockdown.as_deref().unwrap_or_default();
    let mode = line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(mode, _)| mode);
    let meaning = "kflow's programs read packets and not the kernel's memory: no mode forbids that";
    match mode {
        "" => Check::new(NAME, State::Ok, "not active, or not to be seen from here", meaning),
        mode => Check::new(NAME, State::Ok, mode, meaning),
    }
}

/// Without compilation to machine code programs cost several times as much.
pub(super) fn jit(facts: &Facts) -> Check {
    const NAME: &str = "jit";
    let setting = facts.settings.jit.map(|value| format!("net.core.bpf_jit_enable = {value}"));
    match (facts.settings.jit, setting) {
        (Some(0), Some(found)) => {
            let meaning = "programs are interpreted: each packet costs several times as much";
            Check::new(NAME, State::Degraded, found, meaning).with("`sudo sysctl net.core.bpf_jit_enable=1`")
        }
        (_, Some(found)) => Check::new(NAME, State::Ok, found, "programs run as machine code"),
        (_, None) => {
            let found = "net.core.bpf_jit_enable is not to be seen from here";
            Check::new(NAME, State::Unknown, found, "without a JIT each packet costs several times as much")
        }
    }
}

/// Types of the kernel.
pub(super) fn btf(facts: &Facts) -> Check {
    const NAME: &str = "btf";
    let meaning = "capturing does not need it; it names the kernel's reasons for dropping packets";
    match facts.settings.btf {
        Some(bytes) => {
            Check::new(NAME, State::Ok, format!("/sys/kernel/btf/vmlinux, {}", size(bytes)), meaning)
        }
        None => Check::new(NAME, State::Degraded, "no /sys/kernel/btf/vmlinux", meaning)
            .with("a kernel with CONFIG_DEBUG_INFO_BTF"),
    }
}

/// Types of modules, `nf_conntrack` among them.
pub(super) fn module_btf(facts: &Facts) -> Check {
    let meaning = "capturing does not need it; what is built in has its types in btf";
    Check::new("module_btf", State::Ok, format!("types of {} modules", facts.settings.module_btf), meaning)
}

/// What packets are stamped by.
pub(super) fn clock(facts: &Facts) -> Check {
    const NAME: &str = "clock";
    match facts.settings.clock.as_deref() {
        Some(clock) if SLOW_CLOCKS.contains(&clock) => {
            let meaning = "reading the time is slow or coarse: each packet costs more, times are less exact";
            Check::new(NAME, State::Degraded, clock, meaning)
                .with("a better one, where /sys/devices/system/clocksource/clocksource0/available_clocksource has it")
        }
        Some(clock) => Check::new(NAME, State::Ok, clock, "times are fast to read and exact to nanoseconds"),
        None => Check::new(NAME, State::Unknown, "/sys does not tell", "times may be slow to read"),
    }
}

/// Where netfilter keeps the connections that it translates.
pub(super) fn conntrack(facts: &Facts) -> Check {
    const NAME: &str = "conntrack";
    let meaning = "kflow recognises translated packets by themselves and asks no table";
    match facts.settings.conntrack {
        Some((count, max)) if max > 0 && count >= max / 100 * NEARLY_FULL => {
            let meaning = "the table is full, or nearly: the kernel drops packets of new connections";
            Check::new(NAME, State::Degraded, format!("{count} of {max} connections"), meaning)
                .with("`sudo sysctl net.netfilter.nf_conntrack_max=...`")
        }
        Some((count, max)) => Check::new(NAME, State::Ok, format!("{count} of {max} connections"), meaning),
        None => Check::new(NAME, State::Ok, "not active in this network namespace", meaning),
    }
}

/// A number of bytes in binary units, to one place.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    match (bytes / unit, bytes % unit * 10 / unit) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, tenths) => format!("{whole}.{tenths} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_as_distributions_write_them() {
        let table = [
            ("6.18.44-fc-v657", Some((6, 18))),
            ("5.10.0-28-amd64", Some((5, 10))),
            ("4.18.0-553.el8.x86_64", Some((4, 18))),
            ("7.2+deb14", Some((7, 2))),
            ("unknown", None),
            ("", None),
        ];
        for (release, expected) in table {
            assert_eq!(version(release), expected, "{release}");
        }
    }

    #[test]
    fn sizes_in_binary_units() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (8 << 20, "8 MiB"), (1_610_612_736, "1.5 GiB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
