//! The name that this program was called by.

use std::ffi::OsStr;
use std::path::Path;

/// Its own.
pub const NAME: &str = "kflow";

/// How a person calls a program of this path, so that usage lines can be typed as they stand.
///
/// kubectl finds the plugin `kubectl a b-c` as the file `kubectl-a-b_c`, because `-` parts the words of a command.
pub fn called(program: Option<&OsStr>) -> String {
    let file = program.and_then(|path| Path::new(path).file_name()).and_then(OsStr::to_str);
    match file.and_then(|file| file.strip_prefix("kubectl-")) {
        Some(words) if !words.is_empty() => format!("kubectl {}", words.replace('-', " ").replace('_', "-")),
        _ => NAME.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_of_kubectl_is_called_by_kubectl() {
        let table = [
            (Some("kflow"), "kflow"),
            (Some("./target/release/kflow"), "kflow"),
            (Some("/usr/local/bin/kubectl-kflow"), "kubectl kflow"),
            (Some("/root/.krew/bin/kubectl-packet_trace"), "kubectl packet-trace"),
            (Some("kubectl-net-trace"), "kubectl net trace"),
            (Some("kubectl-"), "kflow"),
            (Some("renamed"), "kflow"),
            (Some("/"), "kflow"),
            (None, "kflow"),
        ];
        for (program, expected) in table {
            assert_eq!(called(program.map(OsStr::new)), expected, "{program:?}");
        }
    }
}
