//! What a client did with the streams of many nodes.

use serde_json::Value;

use crate::bench::figure::Figure;
use crate::bench::measure::median;

/// How long a line may take from its packet, in seconds.
const MOST_LATENCY: f64 = 0.2;
/// How long a trace waits until a packet's way is certain: its window, and what recorders tell of their losses after it
/// (`tracer-core/src/trace.rs`).
const WINDOW: f64 = 1.75;

/// What counts as the time in which packets came goes on for so many seconds (`tests/src/bin/nodes/main.rs`).
const SETTLE: f64 = 0.2;

pub(super) const HEAD: &str = "\
| client | nodes | each sees | observations/s | of one core | an observation | memory | p99 to the line | behind at the end | keeps up |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |";

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Lines,
    File,
    Trace,
}

impl What {
    /// As `nodes` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::File => "file",
            Self::Trace => "trace",
        }
    }

    /// What one types.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Lines => "kflow capture",
            Self::File => "kflow capture -w",
            Self::Trace => "kflow trace",
        }
    }
}

/// Medians of some runs.
#[derive(Debug)]
pub(super) struct Run {
    what: What,
    nodes: u64,
    rate: u64,
    /// Seconds that the packets took.
    seconds: f64,
    /// Seconds of the processor, to the end of what was to be done.
    pub(super) processor: f64,
    /// Of these, those while packets came, and those after the last one.
    used: f64,
    behind: f64,
    /// MiB.
    pub(super) memory: f64,
    /// From a packet to its line, in seconds, of 99 in 100; absent where there are none.
    p99: Option<f64>,
    /// Whether every run had every packet.
    is_whole: bool,
    /// Nanoseconds of the processor for an observation, of each run.
    each: Vec<f64>,
}

impl Run {
    /// Absent where a figure is.
    pub(super) fn of(what: What, nodes: u64, rate: u64, seconds: u64, runs: &[Value]) -> Option<Self> {
        let all = |of: fn(&Value) -> Option<f64>| runs.iter().map(of).collect::<Option<Vec<_>>>();
        let seconds = u32::try_from(seconds).map(f64::from).ok()?;
        let whole =
            |run: &Value| run["code"] == 0 && run["taken"].is_u64() && run["taken"] == run["observations"];
        Some(Self {
            what,
            nodes,
            rate,
            seconds,
            processor: median(all(|run| run["processor"].as_f64())?)?,
            used: median(all(|run| run["used"].as_f64())?)?,
            behind: median(all(|run| Some(run["processor"].as_f64()? - run["used"].as_f64()?))?)?,
            memory: median(all(|run| run["memory"].as_f64())?)? / 1024.0,
            p99: all(|run| run["latency"]["p99"].as_f64()).and_then(median),
            is_whole: runs.iter().all(whole),
            each: all(|run| Some(run["processor"].as_f64()? * 1e9 / run["observations"].as_f64()?))?,
        })
    }

    /// Of one core, while packets came.
    fn load(&self) -> f64 {
        self.used / (self.seconds + SETTLE)
    }

    /// Whether a core is enough: nothing is missing, less than its time is taken, and nothing waits.
    pub(super) fn keeps_up(&self) -> bool {
        let is_behind = match (self.what, self.p99) {
            (What::Lines, Some(p99)) => p99 > MOST_LATENCY,
            (What::Trace, Some(p99)) => p99 > WINDOW + MOST_LATENCY,
            _ => self.behind > MOST_LATENCY,
        };
        self.is_whole && self.load() < 1.0 && !is_behind
    }

    /// How many nodes there are.
    #[expect(clippy::cast_precision_loss, reason = "no cluster has 2^53 nodes")]
    pub(super) fn count(&self) -> f64 {
        self.nodes as f64
    }

    pub(super) fn each_runs(&self) -> Vec<f64> {
        self.each.clone()
    }

    pub(super) fn figures(&self) -> Vec<Figure> {
        let Self { what, nodes, rate, each, .. } = self;
        let name = what.command();
        let rate = Figure::of(
            format!("nodes: {name}, {nodes} nodes, kept up with"),
            "/s each",
            &[f64::from(u32::try_from(*rate).unwrap_or(u32::MAX))],
        );
        let memory = Figure::of(format!("nodes: {name}, {nodes} nodes, memory"), "MiB", &[self.memory]);
        let each = Figure::of(format!("nodes: {name}, {nodes} nodes, an observation"), "ns", each);
        [rate.map(Figure::more), memory, each].into_iter().flatten().collect()
    }

    pub(super) fn line(&self) -> String {
        let Self { nodes, rate, memory, p99, behind, .. } = self;
        let each = median(self.each.clone()).unwrap_or_default();
        let p99 = p99.map_or_else(String::new, |p99| format!("{:.0} ms", p99 * 1e3));
        let keeps_up = if self.keeps_up() { "yes" } else { "no" };
        format!(
            "| {} | {nodes} | {rate}/s | {} | {:.0} % | {each:.0} ns | {memory:.0} MiB | {p99} | {behind:.1} s | {keeps_up} |",
            self.what.command(),
            nodes * rate,
            self.load() * 100.0,
        )
    }

    /// What it does not do that it must.
    pub(super) fn missed(&self, most_memory: f64) -> Vec<String> {
        let name = format!("{}, {} nodes of {}/s", self.what.command(), self.nodes, self.rate);
        let slow = (!self.keeps_up()).then(|| {
            let (load, behind) = (self.load() * 100.0, self.behind);
            format!("{name}: one core does not keep up ({load:.0} % of it, {behind:.1} s behind at the end)")
        });
        let late = self.p99.filter(|p99| *p99 > MOST_LATENCY).map(|p99| {
            format!("{name}: {:.0} ms from packet to line, more than {:.0}", p99 * 1e3, MOST_LATENCY * 1e3)
        });
        let large = (self.memory > most_memory)
            .then(|| format!("{name}: {:.0} MiB, more than {most_memory:.0}", self.memory));
        [slow, late, large].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(processor: f64, p99: f64, taken: u64) -> Value {
        json!({
            "processor": processor, "used": processor - 0.1, "memory": 102_400, "latency": { "p99": p99 },
            "observations": 1_000_000, "taken": taken, "code": 0,
        })
    }

    fn run(what: What, told: &Value) -> Run {
        Run::of(what, 64, 20_000, 4, std::slice::from_ref(told)).expect("all figures")
    }

    #[test]
    fn a_core_is_enough() {
        let good = run(What::Lines, &told(3.0, 0.1, 1_000_000));
        assert!(good.keeps_up() && good.missed(512.0).is_empty());
        assert_eq!(
            good.line(),
            "| kflow capture | 64 | 20000/s | 1280000 | 69 % | 3000 ns | 100 MiB | 100 ms | 0.1 s | yes |"
        );
        assert_eq!(HEAD.lines().next().map(|head| head.matches('|').count()), Some(11));
    }

    #[test]
    fn a_core_is_not_enough() {
        for bad in [told(4.5, 0.1, 1_000_000), told(3.0, 0.3, 1_000_000), told(3.0, 0.1, 999_999)] {
            assert!(!run(What::Lines, &bad).keeps_up(), "{bad}");
        }
        let trace = run(What::Trace, &told(3.0, 1.9, 1_000_000));
        assert!(trace.keeps_up());
        assert_eq!(
            trace.missed(50.0).len(),
            2,
            "its window is longer than a line may take, and its memory too large"
        );
        assert!(Run::of(What::File, 2, 1, 1, &[json!({})]).is_none());
    }
}
