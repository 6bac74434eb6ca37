//! An explanation for people.

mod course;
mod things;

use std::io::{self, Write};

use super::{Explanation, Story};
use crate::output::Screen;

impl Explanation {
    /// Writes it as text: what it is, what is wrong, then the ways of packets.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let out = &mut Screen(out);
        self.heading(out)?;
        self.problems(out)?;
        match &self.story {
            Story::Service(service) => things::service(out, service)?,
            Story::Pod(pod) => things::pod(out, pod)?,
            Story::Address(address) => things::address(out, address)?,
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        for missing in &self.missing {
            writeln!(out, "not read: {}: {}", missing.what, missing.why)?;
        }
        Ok(())
    }

    fn heading(&self, out: &mut impl Write) -> io::Result<()> {
        let kernel = if self.kernel.is_empty() { String::new() } else { format!(", kernel {}", self.kernel) };
        writeln!(out, "{}", things::title(&self.story, &self.subject))?;
        writeln!(out, "  as {} carries it: services by {}{kernel}", self.node, self.proxy)
    }

    fn problems(&self, out: &mut impl Write) -> io::Result<()> {
        if self.problems.is_empty() {
            return writeln!(out, "  nothing wrong found");
        }
        for problem in &self.problems {
            writeln!(out, "  wrong: {}", problem.text)?;
            writeln!(out, "     do: {}", problem.remedy)?;
        }
        Ok(())
    }
}
