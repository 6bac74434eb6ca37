//! The table in docs/kernels.md: a row for each feature, a column for each kernel, between two comments.

use std::fmt::{self, Display};

use anyhow::{Context as _, Result, bail};

use super::result::{Findings, Grade};

const BEGIN: &str = "<!-- vm-test: begin -->\n";
const END: &str = "<!-- vm-test: end -->";
const HEAD: &str = "feature";
/// A feature that is not tried on a kernel.
const UNTRIED: &str = "-";

/// What each kernel is to be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// By column.
    kernels: Vec<String>,
    /// Feature, and its grade on each kernel; absent where it is not tried there.
    rows: Vec<(String, Vec<Option<Grade>>)>,
}

impl Table {
    /// The one of the document.
    pub(super) fn parse(document: &str) -> Result<Self> {
        let (_, rest) = document.split_once(BEGIN).context("docs/kernels.md has no table")?;
        let (text, _) = rest.split_once(END).context("the table of docs/kernels.md has no end")?;
        let mut lines = text.lines().filter(|line| !line.trim().is_empty()).map(cells);
        let head = lines.next().unwrap_or_default();
        let kernels: Vec<String> = head.iter().skip(1).map(|&cell| cell.to_owned()).collect();
        let mut rows = Vec::new();
        // The line below the head has no cells of its own.
        for line in lines.skip(1) {
            let Some((name, words)) = line.split_first() else { continue };
            let grades = words.iter().map(|&word| match word {
                UNTRIED => Ok(None),
                word => Grade::named(word).map(Some).with_context(|| format!("`{word}` of `{name}`")),
            });
            let grades = grades.collect::<Result<Vec<_>>>().context("the table of docs/kernels.md")?;
            if grades.len() != kernels.len() {
                bail!("the table of docs/kernels.md: `{name}` has {} columns", grades.len());
            }
            rows.push(((*name).to_owned(), grades));
        }
        Ok(Self { kernels, rows })
    }

    /// What is worse than it says, of all features or of these only.
    pub(super) fn compare(&self, found: &Findings, only: &[String]) -> Vec<String> {
        let version = &found.version;
        let mut worse: Vec<String> =
            found.failures.iter().map(|failure| format!("Linux {version}: {failure}")).collect();
        for feature in &found.features {
            let expected = self.grade(&feature.name, version);
            let limit = expected.unwrap_or(Grade::None);
            if feature.grade > limit {
                let (name, grade, limit) = (&feature.name, feature.grade.name(), limit.name());
                worse.push(format!("Linux {version}: {name} is {grade}, not {limit}: {}", feature.detail));
            }
        }
        for (name, _) in &self.rows {
            let is_meant = only.is_empty() || only.contains(name);
            let is_found = found.features.iter().any(|feature| feature.name == *name);
            if is_meant && !is_found && self.grade(name, version).is_some() {
                worse.push(format!("Linux {version}: {name} was not tried"));
            }
        }
        worse
    }

    /// Takes over what was found.
    pub(super) fn take(&mut self, found: &Findings) {
        let column = self.column(&found.version);
        for feature in &found.features {
            let known = self.rows.iter().position(|(name, _)| *name == feature.name);
            let index = known.unwrap_or_else(|| {
                self.rows.push((feature.name.clone(), vec![None; self.kernels.len()]));
                self.rows.len() - 1
            });
            self.rows[index].1[column] = Some(feature.grade);
        }
    }

    /// The document with this table.
    pub(super) fn put_into(&self, document: &str) -> Result<String> {
        let (before, rest) = document.split_once(BEGIN).context("docs/kernels.md has no table")?;
        let (_, after) = rest.split_once(END).context("the table of docs/kernels.md has no end")?;
        Ok(format!("{before}{BEGIN}{self}{END}{after}"))
    }

    fn grade(&self, feature: &str, kernel: &str) -> Option<Grade> {
        let column = self.kernels.iter().position(|known| known == kernel)?;
        self.rows.iter().find(|(name, _)| name == feature).and_then(|(_, grades)| grades[column])
    }

    fn column(&mut self, kernel: &str) -> usize {
        if let Some(column) = self.kernels.iter().position(|known| known == kernel) {
            return column;
        }
        self.kernels.push(kernel.to_owned());
        self.rows.iter_mut().for_each(|(_, grades)| grades.push(None));
        self.kernels.len() - 1
    }
}

fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, cells: &[&str]| {
            write!(f, "| {name:<16} |")?;
            cells.iter().try_for_each(|cell| write!(f, " {cell:<8} |"))?;
            writeln!(f)
        };
        row(f, HEAD, &self.kernels.iter().map(String::as_str).collect::<Vec<_>>())?;
        row(f, "---", &vec!["---"; self.kernels.len()])?;
        for (name, grades) in &self.rows {
            let words: Vec<&str> = grades.iter().map(|grade| grade.map_or(UNTRIED, Grade::name)).collect();
            row(f, name, &words)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# Kernels\n\n<!-- vm-test: begin -->\n| feature | 5.10 | 6.12 |\n| --- | --- | --- |\n\
                            | programs | ok | ok |\n| tcx | none | ok |\n| refused | - | - |\n<!-- vm-test: end -->\nMore.\n";

    fn found(version: &str, lines: &str) -> Findings {
        Findings::parse(version, &format!("{lines}\n{{\"complete\":true}}"), 1.0)
    }

    #[test]
    fn worse_is_told_and_better_is_not() {
        let table = Table::parse(DOCUMENT).unwrap();
        let good = r#"{"feature":"programs","result":"ok"}"#;
        let with = |tcx: &str| format!("{good}\n{{\"feature\":\"tcx\",\"result\":\"{tcx}\"}}");
        assert!(table.compare(&found("5.10", &with("none")), &[]).is_empty());
        assert!(table.compare(&found("5.10", &with("ok")), &[]).is_empty());
        assert_eq!(table.compare(&found("5.10", &with("failed")), &[]).len(), 1);
        assert_eq!(table.compare(&found("6.12", &with("none")), &[]).len(), 1);
        assert!(table.compare(&found("6.12", good), &["programs".to_owned()]).is_empty());
        assert_eq!(table.compare(&found("6.12", good), &[]), ["Linux 6.12: tcx was not tried"]);
    }

    #[test]
    fn findings_are_taken_over() {
        let mut table = Table::parse(DOCUMENT).unwrap();
        table.take(&found("7.2", r#"{"feature":"ipip","result":"degraded"}"#));
        let document = table.put_into(DOCUMENT).unwrap();
        assert!(document.starts_with("# Kernels\n") && document.ends_with("-->\nMore.\n"));
        let again = Table::parse(&document).unwrap();
        assert_eq!(again, table);
        assert_eq!(again.grade("ipip", "7.2"), Some(Grade::Degraded));
        assert_eq!(again.grade("tcx", "7.2"), None);
    }
}
