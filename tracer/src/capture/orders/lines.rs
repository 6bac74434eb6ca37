//! Bytes into lines of bounded length.

/// Enough for as many addresses as the kernel's table takes.
const LONGEST: usize = 8 << 20;

/// A line that has not come to its end.
#[derive(Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// What there was of it was too long, and is forgotten.
    is_too_long: bool,
}

impl Lines {
    /// Takes bytes from the front of `rest` up to the end of a line. Absent where it does not end in them: they are
    /// kept, and all were taken.
    pub(super) fn next(&mut self, rest: &mut &[u8]) -> Option<Result<String, &'static str>> {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (part, behind) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (*rest, &[][..]),
        };
        *rest = behind;
        if self.begun.len() + part.len() > LONGEST {
            self.is_too_long = true;
            self.begun = Vec::new();
        } else if !self.is_too_long {
            self.begun.extend(part);
        }
        end?;
        let line = std::mem::take(&mut self.begun);
        Some(if std::mem::take(&mut self.is_too_long) {
            Err("a line is too long")
        } else {
            String::from_utf8(line).map_err(|_| "a line is no text")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines, mut bytes: &[u8]) -> Vec<Result<String, &'static str>> {
        std::iter::from_fn(|| lines.next(&mut bytes)).collect()
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut lines = Lines::default();
        assert_eq!(all(&mut lines, b"\n--ho"), [Ok(String::new())]);
        assert_eq!(all(&mut lines, b"st a"), []);
        assert_eq!(all(&mut lines, b"\nb\nc"), [Ok("--host a".to_owned()), Ok("b".to_owned())]);
        assert_eq!(all(&mut lines, b"\n\xff\n"), [Ok("c".to_owned()), Err("a line is no text")]);
    }

    #[test]
    fn endless_line_takes_no_memory_and_the_next_one_is_heard() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            assert_eq!(all(&mut lines, &piece), []);
            assert!(lines.begun.capacity() <= 2 * LONGEST);
        }
        assert!(lines.begun.is_empty());
        assert_eq!(all(&mut lines, b"y\nz\n"), [Err("a line is too long"), Ok("z".to_owned())]);
    }
}
