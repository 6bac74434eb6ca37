//! Which rules counted packets between two snapshots.

use std::collections::HashMap;

use super::{Backend, Chain, Firewall, Rule};

/// A rule that counted packets between two snapshots.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counted<'a> {
    /// Family and table, as `ip nat`.
    pub table: String,
    /// Chain.
    pub chain: &'a str,
    /// Place in the chain of the later snapshot, from 0.
    pub index: usize,
    /// Packets counted in between; never 0.
    pub packets: u64,
}

impl Firewall {
    /// The rules that counted packets between two snapshots.
    ///
    /// A rule is the same one if its handle and its text are; where there are no handles, or they have changed because the
    /// rules were written anew, if it is the one of its text that is at the same turn among them. A rule that is new, or has
    /// counted less than before, has counted what it says now.
    pub fn counted<'a>(before: &Self, after: &'a Self) -> Vec<Counted<'a>> {
        let chains: HashMap<(Backend, String, &str), &Chain> = before
            .tables
            .iter()
            .flat_map(|table| {
                table.chains.iter().map(|chain| ((table.backend, table.label(), chain.name.as_str()), chain))
            })
            .collect();
        let mut counted = Vec::new();
        for table in &after.tables {
            for chain in &table.chains {
                let old = chains.get(&(table.backend, table.label(), chain.name.as_str()));
                let pairs = pairs(old.map_or(&[], |old| &old.rules), &chain.rules);
                let rises = pairs.into_iter().enumerate().filter_map(|(index, (old, new))| {
                    let packets = rise(old, new)?;
                    Some(Counted { table: table.label(), chain: &chain.name, index, packets })
                });
                counted.extend(rises);
            }
        }
        counted
    }
}

/// What a rule has counted since; absent for nothing.
fn rise(old: Option<&Rule>, new: &Rule) -> Option<u64> {
    let (before, now) = (old.and_then(|old| old.packets).unwrap_or(0), new.packets?);
    Some(now.checked_sub(before).unwrap_or(now)).filter(|packets| *packets > 0)
}

/// Each rule with what it was before.
fn pairs<'a, 'b>(old: &'b [Rule], new: &'a [Rule]) -> Vec<(Option<&'b Rule>, &'a Rule)> {
    let by_handle: HashMap<_, _> =
        old.iter().filter_map(|rule| Some(((rule.handle?, rule.text.as_str()), rule))).collect();
    let mut by_text: HashMap<&str, std::collections::VecDeque<&Rule>> = HashMap::new();
    let kept: std::collections::HashSet<_> =
        new.iter().filter_map(|rule| Some((rule.handle?, rule.text.as_str()))).collect();
    for rule in old {
        if rule.handle.is_none_or(|handle| !kept.contains(&(handle, rule.text.as_str()))) {
            by_text.entry(&rule.text).or_default().push_back(rule);
        }
    }
    let find = |rule: &'a Rule| {
        let same = rule.handle.and_then(|handle| by_handle.get(&(handle, rule.text.as_str())).copied());
        (same.or_else(|| by_text.get_mut(rule.text.as_str())?.pop_front()), rule)
    };
    new.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Action, Table};
    use super::*;

    fn rule(handle: Option<u64>, text: &str, packets: u64) -> Rule {
        Rule {
            matches: Vec::new(),
            actions: vec![Action::Drop],
            comment: None,
            packets: Some(packets),
            text: text.to_owned(),
            handle,
        }
    }

    fn firewall(rules: Vec<Rule>) -> Firewall {
        let chain = Chain {
            name: "FORWARD".to_owned(),
            hook: None,
            kind: None,
            priority: 0,
            policy: None,
            policy_packets: None,
            devices: Vec::new(),
            rules,
        };
        let table = Table {
            backend: Backend::Nft,
            family: "ip".to_owned(),
            name: "filter".to_owned(),
            chains: vec![chain],
            sets: Vec::new(),
        };
        Firewall { tables: vec![table], ..Firewall::default() }
    }

    fn told(before: Vec<Rule>, after: Vec<Rule>) -> Vec<(usize, u64)> {
        let (before, after) = (firewall(before), firewall(after));
        Firewall::counted(&before, &after).into_iter().map(|one| (one.index, one.packets)).collect()
    }

    #[test]
    fn rules_are_recognised_by_handle() {
        let before = vec![rule(Some(1), "a", 5), rule(Some(2), "a", 7)];
        let after = vec![rule(Some(9), "b", 1), rule(Some(2), "a", 8)];
        assert_eq!(told(before, after), [(0, 1), (1, 1)]);
    }

    #[test]
    fn rules_that_were_written_anew_are_recognised_by_text() {
        let before = vec![rule(Some(1), "a", 5), rule(Some(2), "a", 7)];
        let after = vec![rule(Some(3), "a", 6), rule(Some(4), "a", 2)];
        assert_eq!(told(before, after), [(0, 1), (1, 2)], "the second began anew");
        assert_eq!(told(vec![rule(None, "a", 5)], vec![rule(None, "a", 5)]), []);
    }

    #[test]
    fn what_was_not_there_before_counts_whole() {
        assert_eq!(told(Vec::new(), vec![rule(None, "a", 3)]), [(0, 3)]);
        assert_eq!(Firewall::counted(&Firewall::default(), &firewall(vec![rule(None, "a", 3)])).len(), 1);
    }
}
