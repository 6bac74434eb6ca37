//! Embeds the lab's TC programs as `OUT_DIR/lab-ebpf`, which is empty on a machine without an eBPF toolchain.

use std::process::ExitCode;

use ebpf_build::Object;

fn main() -> ExitCode {
    ebpf_build::embed(&Object {
        package: "lab-ebpf",
        sources: &["../Cargo.lock", "../Cargo.toml", "lab-ebpf/Cargo.toml", "lab-ebpf/src"],
    })
}
