//! Embeds the kernel side as `OUT_DIR/tracer-ebpf`, which is empty on a machine without an eBPF toolchain.

use std::process::ExitCode;

use ebpf_build::Object;

fn main() -> ExitCode {
    ebpf_build::embed(&Object {
        package: "tracer-ebpf",
        sources: &[
            "../Cargo.lock",
            "../Cargo.toml",
            "../tracer-common/Cargo.toml",
            "../tracer-common/src",
            "../tracer-ebpf/Cargo.toml",
            "../tracer-ebpf/src",
        ],
    })
}
