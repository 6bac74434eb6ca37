//! Faults, each injected into the lab in many variants, and whether `kflow trace` names the cause and the place.
//!
//! What is expected is what was injected, and stands beside it; nothing here looks at how kflow comes to its verdict.

mod dns;
mod exchange;
mod fill;
mod healthy;
mod judge;
mod list;
mod queue;
mod run;
mod site;
mod table;
mod variant;

pub use healthy::{Healthy, Named, healthy};
pub use judge::Judged;
pub use list::all;
pub use run::{FaultError, Options, Tell, attempt, attempt_all};
pub use table::{Requirements, Row, Table};
pub use variant::{Expected, Family, Fault, Place, Scene, Step, Traffic, Transport, Variant, Way, Works};
