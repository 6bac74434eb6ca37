//! Whether time and memory grow in proportion to what there is more of.

/// A fitted exponent above this is no proportion any more: 1 is one, less is what every run takes besides.
const MOST: f64 = 1.15;

pub(super) const HEAD: &str = "\
| what | grows with | from | to | exponent | each, first step | each, last step |
| --- | --- | ---: | ---: | ---: | ---: | ---: |";

/// Something that grows.
#[derive(Debug)]
pub(super) struct Growth {
    pub(super) what: String,
    /// Of what there is more.
    pub(super) with: &'static str,
    pub(super) unit: &'static str,
    /// How many there are, and what they take.
    pub(super) points: Vec<(f64, f64)>,
}

impl Growth {
    /// The exponent of the power that fits best, by the least squares of the logarithms. Absent with fewer than two
    /// points.
    pub(super) fn exponent(&self) -> Option<f64> {
        let logs: Vec<_> = self.points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
        let count = u32::try_from(logs.len()).ok().filter(|count| *count > 1)?;
        let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / f64::from(count);
        let (x, y) = (mean(|log| log.0), mean(|log| log.1));
        let spread: f64 = logs.iter().map(|log| (log.0 - x).powi(2)).sum();
        let common: f64 = logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum();
        Some(common / spread).filter(|exponent| exponent.is_finite())
    }

    /// What one more takes between two neighbouring points.
    fn each(&self, from: usize) -> Option<f64> {
        let ((x, y), (next_x, next_y)) = (*self.points.get(from)?, *self.points.get(from + 1)?);
        Some((next_y - y) / (next_x - x))
    }

    pub(super) fn line(&self) -> String {
        let Self { what, with, unit, points } = self;
        let end = |point: Option<&(f64, f64)>| point.map_or_else(String::new, |(x, _)| format!("{x:.0}"));
        let (first, last) = (end(points.first()), end(points.last()));
        let each = |from: Option<usize>| {
            let each = from.and_then(|from| self.each(from));
            each.map_or_else(String::new, |each| format!("{each:.1} {unit}"))
        };
        let exponent = self.exponent().map_or_else(String::new, |exponent| format!("{exponent:.2}"));
        let (begin, end) = (each(Some(0)), each(points.len().checked_sub(2)));
        format!("| {what} | {with} | {first} | {last} | {exponent} | {begin} | {end} |")
    }

    pub(super) fn missed(&self) -> Option<String> {
        let exponent = self.exponent().filter(|exponent| *exponent > MOST)?;
        let Self { what, with, .. } = self;
        Some(format!(
            "{what} grows with the {exponent:.2}th power of the number of {with}, not in proportion"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(power: i32) -> Growth {
        let points = [10.0, 100.0, 1000.0].map(|x: f64| (x, 3.0 * x.powi(power))).to_vec();
        Growth { what: "start".to_owned(), with: "interfaces", unit: "µs", points }
    }

    #[test]
    fn a_power_is_found() {
        assert_eq!(growth(1).line(), "| start | interfaces | 10 | 1000 | 1.00 | 3.0 µs | 3.0 µs |");
        assert_eq!(growth(1).missed(), None);
        let squared = growth(2);
        assert!(squared.exponent().is_some_and(|exponent| (exponent - 2.0).abs() < 1e-9));
        assert!(squared.missed().is_some());
        assert_eq!(Growth { points: vec![(1.0, 1.0)], ..growth(1) }.exponent(), None);
    }
}
