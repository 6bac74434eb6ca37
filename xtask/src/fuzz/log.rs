//! What a run of libFuzzer wrote.

/// Lines of a target's output that are shown when it found something.
const SHOWN: usize = 30;

/// A number of the closing statistics (`-print_final_stats=1`); absent where the run did not get there.
pub(super) fn statistic(log: &str, name: &str) -> Option<u64> {
    let value = log.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))?;
    value.trim_start_matches(':').trim().parse().ok()
}

/// A word behind its name in the last line about coverage: `cov`, `corp`.
pub(super) fn last<'a>(log: &'a str, name: &str) -> Option<&'a str> {
    let line = log.lines().rfind(|line| line.contains(" cov: "))?;
    line.split_whitespace().skip_while(|word| *word != format!("{name}:")).nth(1)
}

/// The panic, or what libFuzzer or the sanitizer complain of, with the first lines of the stack.
pub(super) fn finding(log: &str) -> String {
    let is_first = |line: &&str| line.contains(" panicked at ") || line.contains("ERROR: ");
    let lines = log.lines().skip_while(|line| !is_first(line)).take(SHOWN);
    lines.collect::<Vec<_>>().join("\n")
}

/// The file with the input that made it fail.
pub(super) fn input(log: &str) -> Option<&str> {
    log.split("Test unit written to ").nth(1)?.lines().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: Seed: 1\n#2\tINITED cov: 10 ft: 10 corp: 2/9b exec/s: 0 rss: 30Mb\n\
                       #99\tDONE   cov: 321 ft: 400 corp: 20/4Kb lim: 8 exec/s: 3 rss: 31Mb\n\
                       stat::number_of_executed_units: 99\nstat::average_exec_per_sec:     3\n\
                       stat::peak_rss_mb:              31\n###### End.\n";

    #[test]
    fn figures_are_those_at_the_end() {
        assert_eq!(statistic(LOG, "number_of_executed_units"), Some(99));
        assert_eq!(statistic(LOG, "peak_rss_mb"), Some(31));
        assert_eq!((last(LOG, "cov"), last(LOG, "corp")), (Some("321"), Some("20/4Kb")));
        assert_eq!(statistic("thread panicked", "peak_rss_mb"), None);
        assert_eq!(last("thread panicked", "cov"), None);
    }

    #[test]
    fn a_finding_begins_with_the_panic() {
        let log = format!("{LOG}\nthread '<unnamed>' panicked at src/decode.rs:56:5:\nmore payload\n");
        assert_eq!(finding(&log), "thread '<unnamed>' panicked at src/decode.rs:56:5:\nmore payload");
        assert_eq!(finding("==1== ERROR: libFuzzer: timeout"), "==1== ERROR: libFuzzer: timeout");
        assert_eq!(input("x\nTest unit written to /a/b-crash-1\nBase64"), Some("/a/b-crash-1"));
    }
}
