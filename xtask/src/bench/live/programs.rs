//! What the eBPF programs take for a packet, without any interface.

use anyhow::{Result, ensure};

use crate::bench::figure::Figure;
use crate::step::output;
use crate::workspace::Workspace;

pub(super) const HEAD: &str = "\
| program | median | least | required |
| --- | ---: | ---: | ---: |";

/// What a case whose name begins so may take, nanoseconds.
const MOST: [(&str, f64); 3] =
    [("miss, ", 60.0), ("everything, 96 bytes,", 200.0), ("everything, 1500 bytes,", 250.0)];

/// One case of `tests/benches/programs.rs`.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    median: f64,
    least: f64,
}

/// Runs all cases.
pub(super) fn measure(workspace: &Workspace) -> Result<Vec<Program>> {
    let told = output(&mut workspace.cargo("bench --locked --package tests --bench programs"))?;
    let programs: Vec<_> = told.lines().filter_map(Program::parse).collect();
    for (name, _) in MOST {
        let is_there = programs.iter().any(|program| program.name.starts_with(name));
        ensure!(is_there, "no case \"{name}\" in:\n{told}");
    }
    Ok(programs)
}

impl Program {
    /// Of a line with name, median and least nanoseconds, between tabs.
    fn parse(line: &str) -> Option<Self> {
        let [name, median, least] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
        Some(Self { name: name.to_owned(), median: median.parse().ok()?, least: least.parse().ok()? })
    }

    fn most(&self) -> Option<f64> {
        MOST.iter().find(|(begin, _)| self.name.starts_with(begin)).map(|(_, most)| *most)
    }

    pub(super) fn line(&self) -> String {
        let Self { name, median, least } = self;
        let most = self.most().map_or_else(String::new, |most| format!("{most:.0} ns"));
        format!("| {name} | {median:.0} ns | {least:.0} ns | {most} |")
    }

    /// Half of its runs are no further from the median than the least.
    pub(super) fn figure(&self) -> Option<Figure> {
        let runs = [self.least, self.median, self.median];
        Figure::of(format!("program: {}", self.name), "ns", &runs)
    }

    pub(super) fn missed(&self) -> Option<String> {
        let most = self.most().filter(|most| self.median > *most)?;
        Some(format!("{}: {:.0} ns, more than {most:.0}", self.name, self.median))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_and_its_limit() {
        let program = |line| Program::parse(line).expect("three columns");
        let miss = program("miss, udp port 53\t61\t50");
        assert_eq!(miss.line(), "| miss, udp port 53 | 61 ns | 50 ns | 60 ns |");
        assert!(miss.missed().is_some());
        assert_eq!(program("everything, 1500 bytes, snap 96\t250\t240").missed(), None);
        assert_eq!(program("miss by address\t900\t800").missed(), None);
        assert!(Program::parse("warning: unused").is_none());
    }
}
