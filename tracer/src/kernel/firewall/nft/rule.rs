//! A rule, from the expressions that `nf_tables` evaluates to what they mean together.

use tracer_core::evidence::{Action, Field, Match, Rule, iptables_text, nft_text};

use super::super::super::netfilter::attributes;
use super::super::super::netlink::{attribute, text};
use super::super::xt::{self, Blob, read_match, read_target};
use super::compare::{Test, conditions};
use super::load;
use super::number::{be32, be64, data_value};
use super::register::{Origin, Registers, VERDICT};
use super::scope::Scope;
use super::sets::condition;
use super::statement;

const RULE_HANDLE: u16 = 3;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;

/// What is known of a rule while its expressions are read.
pub(super) struct Reader<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) registers: Registers,
    matches: Vec<Match>,
    actions: Vec<Action>,
    comments: Vec<String>,
    packets: Option<u64>,
}

/// The rule of a message (`NFT_MSG_NEWRULE`) in a chain.
pub(super) fn rule(chain: &str, message: &[u8], scope: Scope<'_>) -> Rule {
    let mut reader = Reader {
        scope,
        registers: Registers::default(),
        matches: Vec::new(),
        actions: Vec::new(),
        comments: Vec::new(),
        packets: None,
    };
    let expressions: Vec<_> = attributes(attribute(message, RULE_EXPRESSIONS).unwrap_or(&[]))
        .map(|(_, expression)| {
            (text(expression, EXPR_NAME).unwrap_or_default(), attribute(expression, EXPR_DATA).unwrap_or(&[]))
        })
        .collect();
    let mut rest = expressions.as_slice();
    while let [(name, data), after @ ..] = rest {
        rest = after;
        if let ("cmp", [(second, upper), after @ ..]) = (name.as_str(), after)
            && second == "cmp"
            && reader.range_of_two(data, upper)
        {
            rest = after;
            continue;
        }
        reader.expression(name, data);
    }
    reader.comments.extend(attribute(message, RULE_USERDATA).and_then(comment));
    reader.finish(chain, attribute(message, RULE_HANDLE).and_then(be64))
}

/// The comment in the data that `nft` keeps beside a rule, a set's element or a set: type, length, value.
pub(super) fn comment(mut userdata: &[u8]) -> Option<String> {
    const COMMENT: u8 = 0;
    while let [kind, length, rest @ ..] = userdata {
        let value = rest.get(..usize::from(*length))?;
        if *kind == COMMENT {
            return Some(xt::text(value));
        }
        userdata = rest.get(usize::from(*length)..)?;
    }
    None
}

impl Reader<'_> {
    fn expression(&mut self, name: &str, data: &[u8]) {
        let is_known = match name {
            "cmp" => self.compare(data),
            "range" => self.range(data),
            "lookup" => self.lookup(data),
            "counter" => {
                self.packets = attribute(data, 2).and_then(be64);
                Some(())
            }
            "match" => self.match_of_xtables(data),
            "target" => self.target_of_xtables(data),
            _ => load::load(self, name, data).or_else(|| statement::statement(self, name, data)),
        };
        if is_known.is_none() {
            self.condition(Match::Other { text: name.to_owned() });
        }
    }

    /// A condition. What a counter before it counted are other packets too, and no packets of the rule.
    pub(super) fn condition(&mut self, condition: Match) {
        match &condition {
            Match::Protocol { protocol, is_negated: false } => self.scope.protocol = Some(*protocol),
            Match::Source { networks, is_negated: false }
            | Match::Destination { networks, is_negated: false } => {
                self.scope.is_v6 = networks.first().map(|network| network.address.is_ipv6());
            }
            _ => {}
        }
        self.packets = None;
        self.matches.push(condition);
    }

    /// Something that is done.
    pub(super) fn action(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn compare(&mut self, data: &[u8]) -> Option<()> {
        let value = data_value(attribute(data, 3)?)?;
        let test = match attribute(data, 2).and_then(be32)? {
            0 => Test::Equal { data: value, is_negated: false },
            1 => Test::Equal { data: value, is_negated: true },
            2 => Test::Below { data: value, is_included: false },
            3 => Test::Below { data: value, is_included: true },
            4 => Test::Above { data: value, is_included: false },
            5 => Test::Above { data: value, is_included: true },
            _ => return None,
        };
        self.test(attribute(data, 1).and_then(be32)?, test, value.len())
    }

    /// `>=` and then `<=` of one register are a range.
    fn range_of_two(&mut self, lower: &[u8], upper: &[u8]) -> bool {
        let of = |data, wanted| {
            let operation = attribute(data, 2).and_then(be32)?;
            let register = attribute(data, 1).and_then(be32)?;
            (operation == wanted).then_some((register, data_value(attribute(data, 3)?)?))
        };
        let (Some((register, first)), Some((same, last))) = (of(lower, 5), of(upper, 3)) else {
            return false;
        };
        register == same
            && self.test(register, Test::Range { first, last, is_negated: false }, first.len()).is_some()
    }

    fn range(&mut self, data: &[u8]) -> Option<()> {
        let is_negated = attribute(data, 2).and_then(be32)? != 0;
        let (first, last) = (data_value(attribute(data, 3)?)?, data_value(attribute(data, 4)?)?);
        self.test(attribute(data, 1).and_then(be32)?, Test::Range { first, last, is_negated }, first.len())
    }

    fn test(&mut self, register: u32, test: Test<'_>, length: usize) -> Option<()> {
        let values: Vec<_> = self.registers.run(register, length)?.into_iter().cloned().collect();
        if let [value] = values.as_slice() {
            for condition in conditions(value, test, &self.scope) {
                self.condition(condition);
            }
            return Some(());
        }
        let words: Vec<_> = values.iter().map(super::register::Value::words).collect();
        self.condition(Match::Other { text: words.join(" . ") });
        Some(())
    }

    fn lookup(&mut self, data: &[u8]) -> Option<()> {
        let name = text(data, 1)?;
        let set = self.scope.sets.get(&name)?;
        let source = attribute(data, 2).and_then(be32)?;
        let is_negated = attribute(data, 5).and_then(be32).is_some_and(|flags| flags & 1 != 0);
        let fields: Vec<Field> = self
            .registers
            .run(source, set.key_length)?
            .into_iter()
            .map(super::register::Value::field)
            .collect();
        match attribute(data, 3).and_then(be32) {
            None => {
                let condition = condition(set, fields, is_negated);
                self.condition(condition);
            }
            Some(VERDICT) => self.action(Action::Lookup { fields, map: name }),
            Some(register) => {
                let origin = Origin::Other(format!("map @{name}"));
                self.registers.put(register, super::register::Value::of(origin));
            }
        }
        Some(())
    }

    fn match_of_xtables(&mut self, data: &[u8]) -> Option<()> {
        let name = text(data, 1)?;
        let blob = self.blob(&name, data)?;
        if name == "comment" {
            self.comments.push(xt::text(blob.data));
            return Some(());
        }
        let conditions = if name == "set" { self.scope.ipsets.conditions(&blob) } else { read_match(&blob) };
        for condition in conditions {
            self.condition(condition);
        }
        Some(())
    }

    fn target_of_xtables(&mut self, data: &[u8]) -> Option<()> {
        let name = text(data, 1)?;
        let action = read_target(&self.blob(&name, data)?);
        self.action(action);
        Some(())
    }

    fn blob<'b>(&self, name: &'b str, data: &'b [u8]) -> Option<Blob<'b>> {
        let revision = attribute(data, 2).and_then(be32).unwrap_or(0);
        Some(Blob { name, revision, data: attribute(data, 3)?, is_v6: self.scope.family == 10 })
    }

    fn finish(mut self, chain: &str, handle: Option<u64>) -> Rule {
        self.drop_needless_family();
        self.join_icmp();
        let comment = (!self.comments.is_empty()).then(|| self.comments.join(" "));
        let mut rule = Rule {
            matches: self.matches,
            actions: self.actions,
            comment,
            packets: self.packets,
            text: String::new(),
            handle,
        };
        rule.text = if self.scope.is_iptables { iptables_text(chain, &rule) } else { nft_text(&rule) };
        rule
    }

    /// `nft` asks for the family before it asks for an address of it, which says as much.
    fn drop_needless_family(&mut self) {
        let is_family = |condition: &Match| matches!(condition, Match::Source { networks, .. } if networks.len() == 1 && networks[0].length == 0);
        let is_address = |condition: &Match| {
            matches!(
                condition,
                Match::Source { is_negated: false, .. } | Match::Destination { is_negated: false, .. }
            ) && !is_family(condition)
        };
        if self.matches.iter().any(is_address) {
            self.matches.retain(|condition| !is_family(condition));
        }
    }

    /// A type and then a code of ICMP are one condition.
    fn join_icmp(&mut self) {
        let code_of = |condition: &Match| match condition {
            Match::Other { text } => text.strip_prefix(load::ICMP_CODE)?.parse().ok(),
            _ => None,
        };
        let Some((place, found)) = self
            .matches
            .iter()
            .enumerate()
            .find_map(|(place, condition)| code_of(condition).map(|code| (place, code)))
        else {
            return;
        };
        let before = place.checked_sub(1).and_then(|before| self.matches.get_mut(before));
        if let Some(Match::IcmpType { code: code @ None, is_negated: false, .. }) = before {
            *code = Some(found);
            self.matches.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tracer_core::evidence::{PortRange, Prefix};
    use tracer_core::flow::Protocol;

    use super::super::super::super::netlink::put_attribute;
    use super::super::super::ipset::IpSets;
    use super::super::sets::TableSet;
    use super::*;

    const NESTED: u16 = 0x8000;

    fn nested(parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in parts {
            put_attribute(&mut bytes, *kind, value);
        }
        bytes
    }

    fn be(number: u32) -> [u8; 4] {
        number.to_be_bytes()
    }

    fn value(bytes: &[u8]) -> Vec<u8> {
        nested(&[(1, bytes)])
    }

    fn expression(name: &str, data: &[(u16, &[u8])]) -> Vec<u8> {
        nested(&[(EXPR_NAME, format!("{name}\0").as_bytes()), (EXPR_DATA | NESTED, &nested(data))])
    }

    /// `ip saddr 10.0.0.0/8 tcp dport 80-90 counter jump next`, a comment and a match of xtables.
    fn message() -> Vec<u8> {
        let verdict = nested(&[(2, &nested(&[(1, &be(u32::MAX - 2)), (2, b"next\0")]))]);
        let expressions = [
            expression("payload", &[(1, &be(1)), (2, &be(1)), (3, &be(12)), (4, &be(1))]),
            expression("cmp", &[(1, &be(1)), (2, &be(0)), (3, &value(&[10]))]),
            expression("meta", &[(1, &be(1)), (2, &be(16))]),
            expression("cmp", &[(1, &be(1)), (2, &be(0)), (3, &value(&[6]))]),
            expression("payload", &[(1, &be(1)), (2, &be(2)), (3, &be(2)), (4, &be(2))]),
            expression("cmp", &[(1, &be(1)), (2, &be(5)), (3, &value(&[0, 80]))]),
            expression("cmp", &[(1, &be(1)), (2, &be(3)), (3, &value(&[0, 90]))]),
            expression("match", &[(1, b"comment\0"), (2, &be(0)), (3, b"from xtables\0\0\0\0")]),
            expression("counter", &[(1, &[0; 8]), (2, &7u64.to_be_bytes())]),
            expression("immediate", &[(1, &be(0)), (2, &verdict)]),
        ];
        let list: Vec<_> = expressions.iter().map(|one| (1u16, one.as_slice())).collect();
        nested(&[
            (1, b"filter\0"),
            (2, b"FORWARD\0"),
            (RULE_HANDLE, &9u64.to_be_bytes()),
            (RULE_EXPRESSIONS | NESTED, &nested(&list)),
            (RULE_USERDATA, b"\0\x05here\0"),
        ])
    }

    fn read(message: &[u8], is_iptables: bool) -> Rule {
        let (sets, interfaces, ipsets) =
            (BTreeMap::<String, TableSet>::new(), BTreeMap::new(), IpSets::default());
        let scope = Scope {
            family: 2,
            is_iptables,
            sets: &sets,
            ipsets: &ipsets,
            interfaces: &interfaces,
            is_v6: Some(false),
            protocol: None,
        };
        rule("FORWARD", message, scope)
    }

    #[test]
    fn expressions_together_are_a_rule() {
        let rule = read(&message(), true);
        let networks = vec![Prefix { address: "10.0.0.0".parse().unwrap(), length: 8 }];
        assert_eq!(
            rule.matches,
            [
                Match::Source { networks, is_negated: false },
                Match::Protocol { protocol: Protocol::TCP, is_negated: false },
                Match::DestinationPort { ports: vec![PortRange { first: 80, last: 90 }], is_negated: false },
            ]
        );
        assert_eq!(rule.actions, [Action::Jump { chain: "next".to_owned() }]);
        assert_eq!((rule.packets, rule.handle), (Some(7), Some(9)));
        assert_eq!(rule.comment.as_deref(), Some("from xtables here"));
        assert_eq!(
            rule.text,
            "-A FORWARD -s 10.0.0.0/8 -p tcp -m comment --comment \"from xtables here\" -m tcp --dport 80:90 -j next"
        );
    }

    #[test]
    fn damaged_messages_do_not_panic() {
        let whole = message();
        for length in 0..whole.len() {
            read(&whole[..length], false);
        }
        for place in 0..whole.len() {
            for byte in [0, 1, 2, 7, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] = byte;
                read(&damaged, true);
            }
        }
    }

    #[test]
    fn a_counter_before_a_condition_counts_others_too() {
        let counter = expression("counter", &[(2, &7u64.to_be_bytes())]);
        let load = expression("meta", &[(1, &be(1)), (2, &be(16))]);
        let compare = expression("cmp", &[(1, &be(1)), (2, &be(0)), (3, &value(&[6]))]);
        let list = |parts: &[&Vec<u8>]| {
            let parts: Vec<_> = parts.iter().map(|one| (1u16, one.as_slice())).collect();
            nested(&[(RULE_EXPRESSIONS, &nested(&parts))])
        };
        assert_eq!(read(&list(&[&counter, &load, &compare]), false).packets, None);
        assert_eq!(read(&list(&[&load, &compare, &counter]), false).packets, Some(7));
    }
}
