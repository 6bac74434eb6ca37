//! Which network policy a rule was made from, by what its author wrote beside it.

use super::{Action, Chain, Firewall, Rule, Table};

/// How deep chains of policies call each other.
const DEEPEST: usize = 4;
/// Names that are kept.
const MOST_NAMES: usize = 64;

/// Whether a chain is one that network policies are made into: of Calico (in its nftables mode with the table's name before),
/// kube-router, Antrea or Weave.
pub fn is_policy_chain(name: &str) -> bool {
    const PREFIXES: [&str; 6] =
        ["cali-", "KUBE-NWPLCY-", "KUBE-POD-FW-", "KUBE-ROUTER-", "ANTREA-POL-", "WEAVE-NPC"];
    let name =
        ["filter-", "raw-", "mangle-"].iter().find_map(|table| name.strip_prefix(table)).unwrap_or(name);
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

impl Rule {
    /// The policy that its comment names, as `namespace/name` where it has a namespace: those of Calico
    /// (`Policy default/deny-all ingress`) and of kube-router (`... policy name deny-all namespace default`).
    pub fn policy(&self) -> Option<String> {
        let comment = self.comment.as_deref()?;
        let words: Vec<_> = comment.split_whitespace().collect();
        words.windows(2).enumerate().find_map(|(place, pair)| match *pair {
            ["Policy" | "NetworkPolicy", name]
                if words.get(place + 2).is_none_or(|word| is_direction(word)) =>
            {
                Some(name.to_owned())
            }
            ["name", name] if place > 0 && words[place - 1] == "policy" => {
                let namespace = words.get(place + 2).filter(|word| **word == "namespace");
                let namespace = namespace.and_then(|_| words.get(place + 3));
                Some(namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}")))
            }
            ["policy", name] if words[..place].ends_with(&["run", "through", "nw"]) => Some(name.to_owned()),
            _ => None,
        })
    }
}

fn is_direction(word: &str) -> bool {
    matches!(word.trim_end_matches(';'), "ingress" | "egress" | "untracked" | "inbound" | "outbound")
}

impl Firewall {
    /// The policies that a chain and those it calls are made from, each once, in their order.
    ///
    /// `table` is family and name, as `ip filter`. What drops at the end of a pod's chain, because no policy let the packet
    /// pass, names none itself; these are the ones that could have let it pass.
    pub fn policies(&self, table: &str, chain: &str) -> Vec<String> {
        let mut names = Vec::new();
        for table in self.tables.iter().filter(|one| one.label() == table) {
            if let Some(chain) = table.chain(chain) {
                collect(table, chain, DEEPEST, &mut names);
            }
        }
        names
    }
}

fn collect(table: &Table, chain: &Chain, depth: usize, names: &mut Vec<String>) {
    for rule in &chain.rules {
        let called = rule.actions.iter().filter_map(|action| match action {
            Action::Jump { chain } | Action::Goto { chain } => Some(chain.as_str()),
            _ => None,
        });
        let called: Vec<_> = called.filter(|name| is_policy_chain(name)).collect();
        let of_chains = called.iter().filter_map(|name| named_by_chain(name));
        for name in rule.policy().into_iter().chain(of_chains) {
            if names.len() < MOST_NAMES && !names.contains(&name) {
                names.push(name);
            }
        }
        for chain in called.into_iter().filter_map(|name| table.chain(name)).filter(|_| depth > 0) {
            collect(table, chain, depth - 1, names);
        }
    }
}

/// A policy of Calico whose name is short enough to be the chain's; `_` begins a hash.
fn named_by_chain(chain: &str) -> Option<String> {
    let chain = chain.strip_prefix("filter-").unwrap_or(chain);
    let name = chain.strip_prefix("cali-pi-").or_else(|| chain.strip_prefix("cali-po-"))?;
    (!name.starts_with('_') && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Backend;

    fn rule(comment: &str, action: Action) -> Rule {
        Rule {
            matches: Vec::new(),
            actions: vec![action],
            comment: (!comment.is_empty()).then(|| comment.to_owned()),
            packets: None,
            text: String::new(),
            handle: None,
        }
    }

    #[test]
    fn comments_name_policies() {
        for (comment, name) in [
            ("cali:xyz Policy default/deny-all ingress", Some("default/deny-all")),
            ("cali:Qb Policy default/allow-dns egress", Some("default/allow-dns")),
            ("cali:abc Drop if no policies passed packet", None),
            ("cali:abc Return if policy accepted", None),
            (
                "rule to ACCEPT traffic from source pods to dest pods selected by policy name web namespace shop",
                Some("shop/web"),
            ),
            ("run through nw policy web", Some("web")),
            ("kubernetes service portals", None),
            ("", None),
        ] {
            assert_eq!(rule(comment, Action::Drop).policy().as_deref(), name, "{comment}");
        }
    }

    #[test]
    fn a_drop_for_lack_of_a_policy_has_the_policies_before_it() {
        let chain = |name: &str, rules| Chain {
            name: name.to_owned(),
            hook: None,
            kind: None,
            priority: 0,
            policy: None,
            policy_packets: None,
            devices: Vec::new(),
            rules,
        };
        let jump = |name: &str| Action::Jump { chain: name.to_owned() };
        let table = Table {
            backend: Backend::Nft,
            family: "ip".to_owned(),
            name: "filter".to_owned(),
            chains: vec![
                chain(
                    "cali-tw-calia",
                    vec![
                        rule("cali:1", jump("cali-pi-_be3xr")),
                        rule("cali:2", jump("cali-pi-default.web")),
                        rule("cali:3 Drop if no policies passed packet", Action::Drop),
                    ],
                ),
                chain("cali-pi-_be3xr", vec![rule("cali:4 Policy default/deny-all ingress", Action::Return)]),
            ],
            sets: Vec::new(),
        };
        let firewall = Firewall { tables: vec![table], ..Firewall::default() };
        assert_eq!(firewall.policies("ip filter", "cali-tw-calia"), ["default/deny-all", "default.web"]);
        assert!(firewall.policies("ip6 filter", "cali-tw-calia").is_empty());
        assert!(is_policy_chain("filter-cali-tw-calia") && is_policy_chain("KUBE-NWPLCY-X"));
        assert!(!is_policy_chain("KUBE-FORWARD"));
    }
}
