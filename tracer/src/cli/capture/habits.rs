//! What fingers that know tcpdump type, and what `kflow capture` has instead.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Replaces the general advice about an argument that is unknown by what is meant for it here.
pub(in crate::cli) fn advise(mut error: Error) -> Error {
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg)
        && let Some(advice) = advice(argument)
    {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
    error
}

/// Absent for what is no argument of tcpdump's either.
fn advice(argument: &str) -> Option<String> {
    if !argument.starts_with('-') {
        return Some("a filter expression is put after `--`, or with -f in quotes".to_owned());
    }
    let letter = argument.strip_prefix('-').filter(|letter| letter.len() == 1)?;
    let text = match letter {
        "c" => "`--max-packets N` ends after N packets",
        "n" => "addresses and ports are printed as numbers: leave it out",
        "l" => "lines are handed on as they come: leave it out",
        "p" => "no interface is made promiscuous: leave it out",
        "A" => "-X prints bytes as ASCII, beside the hexadecimal digits",
        "F" => "`-f \"$(cat FILE)\"` reads the filter from a file",
        "a" | "b" | "d" | "E" | "H" | "I" | "j" | "J" | "K" | "L" | "M" | "N" | "O" | "q" | "S" | "t"
        | "T" | "u" | "x" | "y" => {
            return Some(format!(
                "packets are printed with -v, -e and -X; for more, `kflow capture -w - | tcpdump {argument} -r -`"
            ));
        }
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_have_an_answer() {
        let table = [
            ("-c", Some("--max-packets")),
            ("-n", Some("leave it out")),
            ("-t", Some("tcpdump -t -r -")),
            ("tcp", Some("after `--`")),
            ("--cuont", None),
            ("-5", None),
        ];
        for (argument, expected) in table {
            let advice = advice(argument);
            assert_eq!(advice.is_some(), expected.is_some(), "{argument}");
            assert!(advice.unwrap_or_default().contains(expected.unwrap_or_default()), "{argument}");
        }
    }
}
