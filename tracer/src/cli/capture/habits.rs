//! What fingers that know tcpdump type, and what `kflow capture` has instead.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Replaces the general advice about an argument that is unknown by what is meant for it here.
pub(in crate::cli) fn advise(mut error: Error) -> Error {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return error };
    let advice = match error.kind() {
        ErrorKind::UnknownArgument => advice(argument),
        // A letter of kubectl without what belongs to it.
        ErrorKind::InvalidValue => without_value(argument).map(str::to_owned),
        _ => None,
    };
    if let Some(advice) = advice {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
    }
    error
}

/// What was meant by letters that tcpdump has without a value, or with another one, and kubectl with one; by clap's words
/// for the argument.
fn without_value(argument: &str) -> Option<&'static str> {
    match argument.split(' ').next()? {
        "--namespace" => Some(
            "-n is kubectl's namespace; addresses and ports are printed as numbers: leave out tcpdump's -n",
        ),
        "--selector" => {
            Some("-l is kubectl's selector; lines are handed on as they come: leave out tcpdump's -l")
        }
        "--container" => Some("-c is kubectl's container; `--max-packets N` ends after N packets"),
        _ => None,
    }
}

/// Absent for what is no argument of tcpdump's either.
fn advice(argument: &str) -> Option<String> {
    if !argument.starts_with('-') {
        return Some("a filter expression is put after `--`, or with -f in quotes".to_owned());
    }
    let letter = argument.strip_prefix('-').filter(|letter| letter.len() == 1)?;
    let text = match letter {
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
    fn letters_of_kubectl_without_a_value_have_an_answer() {
        for (arguments, answer) in
            [("-n -i lo", "as numbers"), ("-l -i lo", "as they come"), ("-c", "--max-packets")]
        {
            let words = ["kflow", "capture"].into_iter().chain(arguments.split(' '));
            let error = crate::cli::command("kflow").try_get_matches_from(words).unwrap_err();
            let text = advise(error).to_string();
            assert!(text.contains(answer), "{text}");
        }
    }

    #[test]
    fn habits_have_an_answer() {
        let table = [
            ("-F", Some("$(cat FILE)")),
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
