//! What the facts mean: one check each, by the values alone.

mod bpf;
mod machine;
mod privileges;
mod tools;

use super::check::Check;
use super::facts::Facts;

/// Every check, what a capture cannot do without first.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![machine::object(facts), machine::kernel(facts)];
    checks.extend(privileges::capabilities(facts));
    checks.extend([
        bpf::syscall(facts),
        bpf::ring_buffer(facts),
        bpf::program_type(facts),
        bpf::programs(facts),
        bpf::tcx(facts),
        bpf::clsact(facts),
        bpf::drops(facts),
        privileges::netns(facts),
        machine::memlock(facts),
        machine::cgroup_memory(facts),
        machine::lockdown(facts),
        privileges::unprivileged_bpf(facts),
        machine::jit(facts),
        machine::btf(facts),
        machine::module_btf(facts),
        machine::clock(facts),
        machine::conntrack(facts),
        tools::af_packet(),
        tools::libpcap(facts),
        tools::wireshark(facts),
        tools::tshark(facts),
    ]);
    checks
}
