//! Events, reports and frames to any writer.

mod columns;
pub mod json;
pub mod line;
pub mod pcapng;
mod screen;
pub mod text;

use std::borrow::Cow;

pub use columns::columns;
pub use screen::Screen;

/// A name, path or text that came from elsewhere, on one line, with nothing in it that drives a terminal: control
/// characters, and those that turn the order of others around or cannot be seen, are shown as `\u{1b}`, `\n` and so on.
pub fn printable(text: &str) -> String {
    escaped(text, |_| false).into_owned()
}

/// The same of a text that may have several lines, and tabulators in them.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, is_left: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_plain = |c: char| is_left(c) || !is_hostile(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_plain(c) { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    Cow::Owned(shown)
}

/// Controls (category Cc of Unicode), what changes the direction of text (UAX #9), line and paragraph separators, and
/// what has no width at all.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_drive_a_terminal() {
        for (name, shown) in [
            ("pod-a", "pod-a"),
            ("größe-日本", "größe-日本"),
            ("a\x1b[31mb", "a\\u{1b}[31mb"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("one\r\ntwo", "one\\r\\ntwo"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("exe.\u{202e}txt", "exe.\\u{202e}txt"),
            ("a\u{2028}b\u{200b}c\u{7f}", "a\\u{2028}b\\u{200b}c\\u{7f}"),
        ] {
            assert_eq!(printable(name), shown);
        }
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(printable_lines("a\nb\r\n\x1b[2J\n"), "a\nb\\r\n\\u{1b}[2J\n");
    }
}
