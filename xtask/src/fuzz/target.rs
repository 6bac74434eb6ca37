//! What is fuzzed.

/// A target of `tracer-core/fuzz`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) name: &'static str,
    /// The longest input in bytes.
    pub(super) longest: u32,
    /// Whether words of its format are in `dictionaries`.
    pub(super) has_dictionary: bool,
}

/// A packet's headers, a small file, 128 steps of a script, the answers of a cluster and of three namespaces.
pub(super) const TARGETS: [Target; 5] = [
    Target { name: "answers", longest: 24_576, has_dictionary: true },
    Target { name: "correlate", longest: 1700, has_dictionary: false },
    Target { name: "capture", longest: 4096, has_dictionary: false },
    Target { name: "print", longest: 512, has_dictionary: false },
    Target { name: "decode", longest: 512, has_dictionary: false },
];

impl Target {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }
}
