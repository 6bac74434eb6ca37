//! Filter expressions word by word, as libpcap's scanner reads them (`scanner.l`).

use std::ops::Range;

/// A word of an expression: a name, number, address or operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Word<'a> {
    /// As it is written, with the backslash that makes a keyword a name.
    pub text: &'a str,
    /// Where in the expression it begins, in bytes.
    pub start: usize,
}

impl Word<'_> {
    /// Where in the expression it is, in bytes.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

/// The words of an expression in order. Characters that are no part of the language are words of their own.
pub fn words(expression: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut brackets = 0_usize;
    let mut rest = expression.trim_ascii_start();
    while let Some(first) = rest.chars().next() {
        match first {
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        let len = word_len(rest, first, brackets > 0);
        words.push(Word { text: &rest[..len], start: expression.len() - rest.len() });
        rest = rest[len..].trim_ascii_start();
    }
    words
}

/// Whether the expression looks for VLAN tags, or into what is behind them: the keyword `vlan` is in it. Packets
/// then need their tags in their bytes.
pub fn vlan_matters(expression: &str) -> bool {
    words(expression).iter().any(|word| word.text == "vlan")
}

fn word_len(rest: &str, first: char, in_brackets: bool) -> usize {
    const OPERATORS: [&str; 8] = ["&&", "||", "<=", ">=", "!=", "==", "<<", ">>"];
    let is_ender = |c: char| c.is_ascii_whitespace() || "!()".contains(c);
    match first {
        '\\' => rest.find(is_ender).unwrap_or(rest.len()).max(1),
        'a'..='z' | 'A'..='Z' | '0'..='9' => name_len(rest, in_brackets),
        ':' if !in_brackets => name_len(rest, in_brackets),
        _ if OPERATORS.iter().any(|operator| rest.starts_with(operator)) => 2,
        _ => first.len_utf8(),
    }
}

/// Names hold dots, hyphens and underscores, but end with none of the latter two; addresses hold colons, which
/// part offset and size in brackets.
fn name_len(rest: &str, in_brackets: bool) -> usize {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || (c == ':' && !in_brackets);
    let end = rest.find(|c| !goes_on(c)).unwrap_or(rest.len());
    rest[..end].trim_end_matches(['-', '_']).len().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_come_apart_as_libpcap_takes_them() {
        for (expression, expected) in [
            ("", ""),
            (" \n", ""),
            ("tcp port 80", "tcp|port|80"),
            (
                "tcp[((tcp[12:1]&0xf0)>>2):4]=0x504f",
                "tcp|[|(|(|tcp|[|12|:|1|]|&|0xf0|)|>>|2|)|:|4|]|=|0x504f",
            ),
            ("host fe80::1&&!ip6", "host|fe80::1|&&|!|ip6"),
            ("host ::1||net ::/0", "host|::1||||net|::|/|0"),
            ("ether host 0:1:2:3:4:5", "ether|host|0:1:2:3:4:5"),
            ("tcp[tcpflags]&(tcp-syn|tcp-ack)!=0", "tcp|[|tcpflags|]|&|(|tcp-syn|||tcp-ack|)|!=|0"),
            // Minus without spaces is part of a name.
            ("ip[len-20] - 1", "ip|[|len-20|]|-|1"),
            ("ip proto \\tcp)", "ip|proto|\\tcp|)"),
            ("\\ip", "\\ip"),
            ("a_- b", "a|_|-|b"),
            ("host é;", "host|é|;"),
        ] {
            let words = words(expression);
            let texts: Vec<&str> = words.iter().map(|word| word.text).collect();
            assert_eq!(texts.join("|"), expected);
            for word in words {
                assert_eq!(&expression[word.range()], word.text);
            }
        }
    }

    #[test]
    fn vlan_is_a_keyword_unless_escaped() {
        for (expression, expected) in [
            ("vlan", true),
            ("ip and(vlan 5)", true),
            ("!vlan", true),
            ("host \\vlan", false),
            ("host vlan.example", false),
            ("port 80", false),
        ] {
            assert_eq!(vlan_matters(expression), expected, "{expression}");
        }
    }
}
