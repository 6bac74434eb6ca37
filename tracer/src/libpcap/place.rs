//! Where in an expression libpcap stumbles: it says what is wrong, but not where.

use std::ops::Range;

use tracer_core::filter::{Word, words};

/// What an expression may go on with, so that some continuation of every good beginning is here. In expressions
/// closing brackets follow, and a comparison after the last of them.
const CONTINUATIONS: [&str; 15] = [
    "",
    "1",
    "len",
    "ip",
    "1 > 0",
    "> 0",
    "host 1.2.3.4",
    "255.255.255.255",
    "00:00:5e:00:53:01",
    "::1",
    "[0]",
    "port 80",
    "proto 6",
    "1-2",
    "broadcast",
];

/// Stands for a host name while beginnings are tried: the resolver is asked for names by the whole only.
const ADDRESS: &str = "192.0.2.1";

/// The part of the expression that libpcap's message is about. Where the message names a word, it is that word; or
/// else the first word that no beginning of an expression that `compiles` has, or the end of the expression.
/// Absent where every word is in order by itself.
pub(super) fn find(expression: &str, message: &str, compiles: impl Fn(&str) -> bool) -> Option<Range<usize>> {
    let words = words(expression);
    let is_syntax = message.contains("syntax error");
    if !is_syntax && let Some(place) = named(expression, &words, message) {
        return Some(place);
    }
    let bad = (1..=words.len()).find(|count| !can_begin(expression, &words[..*count], &compiles));
    match bad.and_then(|count| words.get(count - 1)) {
        Some(word) => Some(word.range()),
        None if is_syntax => Some(expression.trim_end().len()..expression.trim_end().len()),
        None => None,
    }
}

/// What the message names: in quotes, words that follow each other without spaces; or one word as its last.
fn named(expression: &str, words: &[Word<'_>], message: &str) -> Option<Range<usize>> {
    let quoted = |quote: char| message.split(quote).skip(1).step_by(2);
    let place = |name: &str| {
        let begins = |word: &&Word<'_>| {
            let rest = expression[word.start..].trim_start_matches('\\');
            rest.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        };
        let word = words.iter().find(begins).filter(|_| !name.is_empty())?;
        let end = word.start + expression[word.start..].find(name)? + name.len();
        Some(word.start..end)
    };
    let last = || message.split([' ', ':']).next_back().filter(|name| name.len() > 1);
    quoted('\'').chain(quoted('"')).find_map(place).or_else(|| {
        words.iter().find(|word| last() == Some(word.text.trim_start_matches('\\'))).map(Word::range)
    })
}

/// Whether an expression can begin with these words, which are its first.
fn can_begin(expression: &str, words: &[Word<'_>], compiles: &impl Fn(&str) -> bool) -> bool {
    let mut text = String::with_capacity(expression.len());
    let mut open = Vec::new();
    for word in words {
        match word.text {
            "(" => open.push(')'),
            "[" => open.push(']'),
            ")" | "]" => drop(open.pop()),
            _ => {}
        }
        let is_name = word.text.contains('.') && word.text.contains(|c: char| c.is_ascii_alphabetic());
        text.push_str(if is_name { ADDRESS } else { word.text });
        text.push(' ');
    }
    // A comparison may be missing after any of the closing brackets.
    let closings = (0..=open.len()).map(|compared| {
        let mut closing = String::new();
        for (at, bracket) in open.iter().rev().enumerate() {
            closing.push(*bracket);
            if at + 1 == compared {
                closing.push_str(" > 0");
            }
        }
        closing
    });
    closings.into_iter().any(|closing| {
        CONTINUATIONS.iter().any(|continuation| compiles(&format!("{text}{continuation}{closing}")))
    })
}
