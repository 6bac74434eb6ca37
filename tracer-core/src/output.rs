//! Events, reports and frames to any writer.

mod columns;
pub mod json;
pub mod line;
pub mod pcapng;
pub mod text;

pub use columns::columns;

/// A name or path that came from elsewhere, whose control characters cannot drive a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_drive_a_terminal() {
        assert_eq!(printable("a\x1b[31mb"), "a\u{fffd}[31mb");
    }
}
