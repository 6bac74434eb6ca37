//! What the fuzz targets do with their bytes, and what must hold of the outcome.
//!
//! `cargo xtask fuzz` runs all of them for a while, from seeds that `examples/seeds.rs` makes. One of them, with
//! cargo-fuzz, in the folder `tracer-core`: `RUSTC_BOOTSTRAP=1 cargo fuzz run decode`, or with a nightly toolchain `cargo
//! +nightly fuzz run decode`.
#![forbid(unsafe_code)]

mod answers;
mod capture;
mod correlate;
mod decode;
mod frame;
mod print;
mod script;
mod scripts;

pub use answers::answers;
pub use capture::capture;
pub use correlate::correlate;
pub use decode::{Captured, decode};
pub use print::print;
pub use script::{Action, Packet, Place, Script, Settings, Step};
pub use scripts::scripts;
