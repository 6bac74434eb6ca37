//! Which of several conditions was in the way.

/// What fails at one condition alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NearMisses {
    /// Number of the condition.
    pub condition: usize,
    /// Numbers of the packets that meet all others, in their order; at least one.
    pub packets: Vec<usize>,
}

/// Of packets that do not meet all of so many conditions, those that fail at one of them alone: for the condition that
/// the most fail at, the first of several. Absent where each fails at more, and where there is but one condition, which
/// everything fails at.
pub fn near_misses(
    conditions: usize,
    packets: usize,
    meets: impl Fn(usize, usize) -> bool,
) -> Option<NearMisses> {
    if conditions < 2 {
        return None;
    }
    let mut failing = vec![Vec::new(); conditions];
    for packet in 0..packets {
        let mut failed = (0..conditions).filter(|condition| !meets(*condition, packet));
        if let (Some(condition), None) = (failed.next(), failed.next()) {
            failing[condition].push(packet);
        }
    }
    let most = failing.iter().map(Vec::len).max().filter(|most| *most > 0)?;
    let condition = failing.iter().position(|packets| packets.len() == most)?;
    Some(NearMisses { condition, packets: failing.swap_remove(condition) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By a row for each packet, of what it meets.
    fn near(rows: &[&[bool]]) -> Option<(usize, Vec<usize>)> {
        let conditions = rows.first().map_or(0, |row| row.len());
        near_misses(conditions, rows.len(), |condition, packet| rows[packet][condition])
            .map(|near| (near.condition, near.packets))
    }

    #[test]
    fn condition_that_most_fail_at_alone() {
        let (yes, no) = (true, false);
        assert_eq!(near(&[&[yes, no, yes], &[no, no, yes], &[yes, no, yes]]), Some((1, vec![0, 2])));
        assert_eq!(near(&[&[yes, no], &[no, yes]]), Some((0, vec![1])), "the first of two");
        assert_eq!(near(&[&[no, no], &[no, no]]), None, "all fail at more");
        assert_eq!(near(&[&[yes, yes]]), None, "nothing failed");
        assert_eq!(near(&[&[no], &[no]]), None, "one condition");
        assert_eq!(near(&[]), None);
    }
}
