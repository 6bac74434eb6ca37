//! A writer of text for people: whatever names are in a line, it stays one line and drives no terminal.

use std::fmt;
use std::io::{self, Write};

use super::{printable, printable_lines};

/// Writes what one `write!` or `writeln!` makes as one line: a line feed at its end ends it, others are escaped like all
/// control characters. What is written as bytes may have several lines.
pub struct Screen<W>(pub W);

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(printable_lines(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn write_fmt(&mut self, words: fmt::Arguments<'_>) -> io::Result<()> {
        let text = words.to_string();
        let (line, end) = text.strip_suffix('\n').map_or((text.as_str(), ""), |line| (line, "\n"));
        self.0.write_all(printable(line).as_bytes())?;
        self.0.write_all(end.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_makes_no_line_of_its_own() {
        let mut screen = Screen(Vec::new());
        let (name, line) = ("a\nnothing wrong found\x1b[2J", "b\n");
        writeln!(screen, "pod {name}").unwrap();
        write!(screen, "{line}").unwrap();
        screen.write_all(b"c\n\x07d\n").unwrap();
        let shown = "pod a\\nnothing wrong found\\u{1b}[2J\nb\nc\n\\u{7}d\n";
        assert_eq!(String::from_utf8(screen.0).unwrap(), shown);
    }
}
