//! `kflow doctor`: what works on this machine, what is degraded, what is missing.
//!
//! The facts are gathered first, all of them; what they mean is decided from their values alone.

mod ability;
mod check;
mod facts;
mod judge;
mod output;

use std::io;

pub use ability::Ability;
pub use check::{Check, State};
use facts::Facts;
pub use output::Style;

/// Major and minor version of the oldest Linux that has what kflow needs (the ring buffer, `CAP_BPF`).
pub const KERNEL_FLOOR: (u32, u32) = (5, 8);

/// What was found on a machine.
#[derive(Clone, Debug)]
pub struct Report {
    /// The kernel's release.
    kernel: String,
    /// Every check, in the order in which it is told.
    checks: Vec<Check>,
    /// What can be done, by the checks.
    abilities: Vec<Ability>,
}

/// Examines this machine, for captures with a buffer of this size in KiB.
pub fn examine(buffer_kib: u32) -> Report {
    Report::of(&Facts::gather(buffer_kib))
}

impl Report {
    fn of(facts: &Facts) -> Self {
        let checks = judge::checks(facts);
        Self { kernel: facts.release.clone(), abilities: ability::all(&checks), checks }
    }

    /// Whether `kflow capture` works in this network namespace.
    pub fn can_capture(&self) -> bool {
        self.abilities.iter().any(|ability| ability.name == "capture" && ability.works())
    }

    /// Writes it for people.
    pub fn write_text(&self, out: &mut impl io::Write, style: Style) -> io::Result<()> {
        output::text(out, self, style)
    }

    /// Writes it as one JSON object and a line feed.
    pub fn write_json(&self, out: &mut impl io::Write) -> io::Result<()> {
        output::json(out, self)
    }
}

#[cfg(test)]
mod tests;
