//! `kflow`: where did my packet go?

use std::process::ExitCode;

fn main() -> ExitCode {
    tracer::cli::main()
}
