//! Messages for a person, on standard error.

use std::fmt;

use tracer_core::output::printable_lines;

/// Like `eprintln!`, for words that may have names and texts of strangers in them: none of them drives a terminal.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::tell::line(format_args!($($words)*))
    };
}

/// Writes the words, and the end of a line. Control characters in them are escaped.
pub(crate) fn line(words: fmt::Arguments<'_>) {
    eprintln!("{}", printable_lines(&words.to_string()));
}
