//! Lower convex hulls of points in time.
//!
//! Over a minute the offset between two quartz clocks is a straight line. A line that lies below every point lies
//! below their lower convex hull, and nothing lower than the hull bounds it: so the hull of the smallest differences
//! is the sharpest upper bound of the offset that the packets give.

/// Points of one direction: time and value in nanoseconds.
pub(super) type Sample = (u64, i64);

/// How fast two clocks may drift apart at most: 500 ppm, the most that NTP corrects by.
pub(super) const DRIFT: i64 = 2000;

/// The lower convex hull of points that are sorted by time.
pub(super) fn lower(points: impl Iterator<Item = Sample>) -> Vec<Sample> {
    let mut hull: Vec<Sample> = Vec::new();
    for point in points {
        while let [.., a, b] = hull[..] {
            if turns_left(a, b, point) {
                break;
            }
            hull.pop();
        }
        if let Some(last) = hull.last_mut().filter(|last| last.0 == point.0) {
            last.1 = last.1.min(point.1);
        } else {
            hull.push(point);
        }
    }
    hull
}

/// The hull's value at a time. Outside of the points' times a straight line is not enough: the clocks may have
/// drifted either way since.
pub(super) fn at(hull: &[Sample], time: u64) -> Option<i64> {
    let next = hull.partition_point(|point| point.0 < time);
    let drifted = |point: &Sample| {
        let distance = i64::try_from(point.0.abs_diff(time)).unwrap_or(i64::MAX);
        point.1.saturating_add(distance / DRIFT)
    };
    match (next.checked_sub(1).map(|before| &hull[before]), hull.get(next)) {
        (Some(a), Some(b)) => {
            let share = i128::from(time - a.0) * i128::from(b.1 - a.1) / i128::from(b.0 - a.0);
            i64::try_from(i128::from(a.1) + share).ok()
        }
        (Some(only), None) | (None, Some(only)) => Some(drifted(only)),
        (None, None) => None,
    }
}

fn turns_left(a: Sample, b: Sample, c: Sample) -> bool {
    let run = |from: Sample, to: Sample| i128::from(to.0) - i128::from(from.0);
    let rise = |from: Sample, to: Sample| i128::from(to.1) - i128::from(from.1);
    run(a, b) * rise(a, c) - rise(a, b) * run(a, c) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hull_keeps_the_lowest_and_interpolates() {
        let hull = lower([(0, 10), (10, 30), (20, 20), (30, 5), (40, 50)].into_iter());
        assert_eq!(hull, [(0, 10), (30, 5), (40, 50)]);
        assert_eq!(at(&hull, 0), Some(10));
        assert_eq!(at(&hull, 18), Some(7));
        assert_eq!(at(&hull, 35), Some(27));
        assert_eq!(at(&hull, 4040), Some(52));
        assert_eq!(at(&[], 5), None);
    }

    #[test]
    fn equal_times_keep_the_smaller_value() {
        assert_eq!(lower([(5, 9), (5, 7), (5, 8)].into_iter()), [(5, 7)]);
    }
}
