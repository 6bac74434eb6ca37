//! What captures add to each packet, and what they lose.

use serde_json::Value;

use crate::bench::figure::Figure;
use crate::bench::measure::median;

pub(super) const HEAD: &str = "\
| load | a packet without capture | kflow adds to it | kflow's own time | tcpdump adds to it | tcpdump's own time | kflow / tcpdump | required |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

pub(super) const LOSS_HEAD: &str = "\
| flood at full rate | kflow lost at most | tcpdump lost, median | kflow's memory | tcpdump's memory |
| --- | ---: | ---: | ---: | ---: |";

/// Nanoseconds of the processor for each packet.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Added {
    /// On its way.
    way: f64,
    /// In the process that captures.
    process: f64,
}

impl Added {
    fn of(run: &Value) -> Option<Self> {
        Some(Self { way: run["added"].as_f64()?, process: run["processor"].as_f64()? })
    }

    fn sum(self) -> f64 {
        self.way + self.process
    }

    fn median(of: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> f64| median(of.iter().map(figure).collect());
        Some(Self { way: of(|one| one.way)?, process: of(|one| one.process)? })
    }
}

/// One load, captured by either tool.
#[derive(Debug)]
pub(super) struct Cost {
    name: String,
    bare: f64,
    kflow: Added,
    tcpdump: Added,
    /// Median of the ratios of paired runs, and these.
    ratio: f64,
    ratios: Vec<f64>,
    most: f64,
}

impl Cost {
    pub(super) fn of(name: &str, runs: &[Value], most: f64) -> Option<Self> {
        let each = |tool: &str| runs.iter().map(|run| Added::of(&run[tool])).collect::<Option<Vec<_>>>();
        let (kflow, tcpdump) = (each("kflow")?, each("tcpdump")?);
        let ratios = kflow.iter().zip(&tcpdump).map(|(ours, theirs)| ours.sum() / theirs.sum());
        let ratios: Vec<f64> = ratios.collect();
        let bare = runs.iter().map(|run| run["tcpdump"]["bare"].as_f64()).collect::<Option<Vec<_>>>()?;
        Some(Self {
            name: name.to_owned(),
            bare: median(bare)?,
            kflow: Added::median(&kflow)?,
            tcpdump: Added::median(&tcpdump)?,
            ratio: median(ratios.clone())?,
            ratios,
            most,
        })
    }

    pub(super) fn line(&self) -> String {
        let Self { name, bare, kflow, tcpdump, ratio, most, .. } = self;
        format!(
            "| {name} | {bare:.0} ns | {:.0} ns | {:.0} ns | {:.0} ns | {:.0} ns | {ratio:.2} | {most} |",
            kflow.way, kflow.process, tcpdump.way, tcpdump.process
        )
    }

    pub(super) fn figure(&self) -> Option<Figure> {
        Figure::of(format!("capture: {} / tcpdump", self.name), "ratio", &self.ratios)
    }

    pub(super) fn missed(&self) -> Option<String> {
        let Self { name, ratio, most, .. } = self;
        if self.kflow.way <= 0.0 || self.tcpdump.way <= 0.0 {
            return Some(format!("{name}: what the load varies by is more than what is added to it"));
        }
        (ratio > most).then(|| format!("{name}: {ratio:.2} of what tcpdump adds, more than {most}"))
    }
}

/// What was lost of a flood.
#[derive(Debug)]
pub(super) struct Loss {
    name: String,
    kflow: u64,
    /// KiB, of each run.
    memories: Vec<f64>,
    /// Part of all packets, of each run.
    parts: Vec<f64>,
    /// Part of all packets.
    tcpdump: f64,
    /// KiB.
    kflow_memory: u64,
    tcpdump_memory: u64,
    most_memory: u64,
}

impl Loss {
    #[expect(clippy::cast_precision_loss, reason = "no flood has 2^53 packets")]
    pub(super) fn of(name: &str, runs: &[Value], most_memory: u64) -> Option<Self> {
        let most = |tool: &str, what: &str| runs.iter().filter_map(|run| run[tool][what].as_u64()).max();
        let part = |run: &Value, tool: &str| {
            let run = &run[tool];
            Some(run["dropped"].as_u64()? as f64 / run["packets"].as_u64()? as f64)
        };
        Some(Self {
            name: name.to_owned(),
            kflow: most("kflow", "dropped")?,
            memories: runs.iter().map(|run| run["kflow"]["memory"].as_f64()).collect::<Option<_>>()?,
            parts: runs.iter().map(|run| part(run, "kflow")).collect::<Option<_>>()?,
            tcpdump: median(runs.iter().filter_map(|run| part(run, "tcpdump")).collect())?,
            kflow_memory: most("kflow", "memory")?,
            tcpdump_memory: most("tcpdump", "memory")?,
            most_memory,
        })
    }

    pub(super) fn line(&self) -> String {
        let Self { name, kflow, tcpdump, kflow_memory, tcpdump_memory, .. } = self;
        let (ours, theirs) = (kflow_memory / 1024, tcpdump_memory / 1024);
        format!("| {name} | {kflow} | {:.1} % | {ours} MiB | {theirs} MiB |", tcpdump * 100.0)
    }

    pub(super) fn figures(&self) -> Vec<Figure> {
        let name = &self.name;
        let lost = Figure::of(format!("loss: full rate, {name}"), "of all", &self.parts);
        let memory = Figure::of(format!("memory: full rate, {name}"), "KiB", &self.memories);
        [lost, memory].into_iter().flatten().collect()
    }

    pub(super) fn missed(&self) -> Vec<String> {
        let Self { name, kflow, kflow_memory, most_memory, .. } = self;
        let lost = (*kflow > 0).then(|| format!("{name} at full rate: {kflow} packets lost"));
        let large = (kflow_memory >= most_memory)
            .then(|| format!("{name}: {} MiB, not less than {}", kflow_memory / 1024, most_memory / 1024));
        [lost, large].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(kflow: f64, dropped: u64) -> Value {
        let tool = |added: f64, dropped: u64| {
            json!({
                "added": added, "processor": 100.0, "bare": 3000.0, "packets": 1000, "dropped": dropped,
                "memory": 20480,
            })
        };
        json!({ "kflow": tool(kflow, dropped), "tcpdump": tool(700.0, 250) })
    }

    #[test]
    fn costs_are_compared_by_pairs() {
        let runs = [run(200.0, 0), run(900.0, 0), run(300.0, 0)];
        let cost = Cost::of("flood, 96 bytes", &runs, 0.5).expect("all figures");
        assert_eq!(
            cost.line(),
            "| flood, 96 bytes | 3000 ns | 300 ns | 100 ns | 700 ns | 100 ns | 0.50 | 0.5 |"
        );
        assert_eq!(cost.missed(), None);
        assert!(Cost::of("flood", &runs[1..2], 0.5).is_some_and(|cost| cost.missed().is_some()));
        assert!(Cost::of("flood", &[run(-900.0, 0)], 0.5).is_some_and(|cost| cost.missed().is_some()));
        assert!(Cost::of("flood", &[json!({})], 0.5).is_none());
    }

    #[test]
    fn one_lost_packet_is_too_much() {
        let loss = Loss::of("96 bytes", &[run(1.0, 0), run(1.0, 2), run(1.0, 0)], 48 << 10).expect("figures");
        assert_eq!(loss.line(), "| 96 bytes | 2 | 25.0 % | 20 MiB | 20 MiB |");
        assert_eq!(loss.missed().len(), 1);
        assert!(Loss::of("96 bytes", &[run(1.0, 0)], 48 << 10).is_some_and(|loss| loss.missed().is_empty()));
    }
}
