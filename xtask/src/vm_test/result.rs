//! What a machine found, as it said it on its second serial port: a JSON object on each line.

use std::fmt::{self, Display};

use serde_json::Value;

/// How it is with a feature, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// It works.
    Ok,
    /// It works, and kflow says what is missing.
    Degraded,
    /// The kernel has none.
    None,
    /// It does not work.
    Failed,
}

impl Grade {
    const ALL: [Self; 4] = [Self::Ok, Self::Degraded, Self::None, Self::Failed];

    /// By its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grade| grade.name() == name)
    }

    /// As the suite and the table write it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::None => "none",
            Self::Failed => "failed",
        }
    }
}

/// What was found of a feature.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Feature {
    pub(super) name: String,
    pub(super) grade: Grade,
    pub(super) detail: String,
    seconds: u64,
}

/// What a machine found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Major and minor version of its kernel.
    pub(super) version: String,
    /// As `uname -r` prints it; empty where it did not come to that.
    pub(super) release: String,
    pub(super) features: Vec<Feature>,
    /// Whether the suite came to its end.
    pub(super) is_complete: bool,
    /// What went wrong with the machine.
    pub(super) failures: Vec<String>,
    pub(super) seconds: f64,
}

impl Findings {
    /// From the lines of the serial port. What is no such line is passed over.
    pub(super) fn parse(version: &str, lines: &str, seconds: f64) -> Self {
        let mut findings = Self { version: version.to_owned(), seconds, ..Self::default() };
        for value in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok()) {
            let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
            if value["complete"] == true {
                findings.is_complete = true;
            } else if let Some(release) = value["kernel"].as_str() {
                release.clone_into(&mut findings.release);
            } else if let (Some(name), Some(grade)) =
                (value["feature"].as_str(), Grade::named(&text("result")))
            {
                let seconds = value["seconds"].as_u64().unwrap_or_default();
                let detail = text("detail");
                findings.features.push(Feature { name: name.to_owned(), grade, detail, seconds });
            } else if let Some(signal) = value["signal"].as_str() {
                findings.failures.push(format!("the suite was ended by {signal}"));
            }
        }
        findings
    }
}

impl Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nLinux {} ({}), {:.0} s", self.version, self.release, self.seconds)?;
        for Feature { name, grade, detail, seconds } in &self.features {
            writeln!(f, "  {:<9} {name:<17} {seconds:>3} s  {detail}", grade.name())?;
        }
        self.failures.iter().try_for_each(|failure| writeln!(f, "  {failure}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_serial_port() {
        let lines = "{\"kernel\":\"6.1.0\"}\r\n{\"feature\":\"tcx\",\"result\":\"none\",\"detail\":\"no TCX\",\"seconds\":2}\r\n\
                     [    1.0] noise\r\n{\"complete\":true}\r\n{\"exit\":0}\r\n";
        let findings = Findings::parse("6.1", lines, 9.0);
        assert!(findings.is_complete);
        assert_eq!(findings.release, "6.1.0");
        let tcx =
            Feature { name: "tcx".to_owned(), grade: Grade::None, detail: "no TCX".to_owned(), seconds: 2 };
        assert_eq!(findings.features, [tcx]);
        assert!(!Findings::parse("6.1", "{\"kernel\":\"6.1.0\"}\n", 9.0).is_complete);
    }
}
