//! What `kflow --version` says: enough to tell two builds apart, and where one of them works.

use std::sync::LazyLock;

use crate::doctor::KERNEL_FLOOR;

/// The commit that this was built from, with `-dirty` if its sources differed from it; `unknown` where the build was of
/// no checkout.
pub const COMMIT: &str = env!("KFLOW_COMMIT");

/// SHA-256 of the eBPF object inside, in hexadecimal; `none` where it was built without.
pub const OBJECT: &str = env!("KFLOW_OBJECT");

/// What `-V` adds to the name of the program, and what versions are compared by.
pub const SHORT: &str = env!("CARGO_PKG_VERSION");

/// What `--version` adds to it.
pub fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let (major, minor) = KERNEL_FLOOR;
        let object = object();
        format!("{SHORT}\ncommit: {COMMIT}\nobject: {object}\nkernel: Linux {major}.{minor} or later")
    });
    &TEXT
}

fn object() -> String {
    match OBJECT {
        "none" => "none (built without eBPF)".to_owned(),
        hash => format!("sha256:{hash}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::object;

    #[test]
    fn says_what_it_was_made_of_one_thing_to_a_line() {
        let text = long();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(SHORT));
        let keys: Vec<&str> = lines.filter_map(|line| line.split_once(": ")).map(|(key, _)| key).collect();
        assert_eq!(keys, ["commit", "object", "kernel"]);
        assert!(text.ends_with("\nkernel: Linux 5.8 or later"), "{text}");
    }

    #[test]
    fn a_commit_is_forty_digits_unless_it_is_unknown() {
        let digits = COMMIT.strip_suffix("-dirty").unwrap_or(COMMIT);
        let is_hash = digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_hash || COMMIT == "unknown" || std::env::var_os("KFLOW_COMMIT").is_some(), "{COMMIT}");
    }

    #[test]
    fn an_object_is_named_if_there_is_one() {
        let is_hash = OBJECT.len() == 64 && OBJECT.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert_eq!(is_hash, object::is_embedded().is_ok(), "{OBJECT}");
    }
}
