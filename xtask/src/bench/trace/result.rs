//! Whether a trace found what is in the capture: a wrong result at any speed is none.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::capture::Capture;

/// Interfaces on the way of every packet.
const HOPS: usize = 8;

/// Checks the JSON Lines of a trace: every connection, all hops both ways, every packet at each of them.
pub(super) fn check(path: &Path, capture: &Capture) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut connections = 0;
    let mut summary = None;
    for line in BufReader::new(file).lines() {
        let line: Value = serde_json::from_str(&line?).with_context(|| format!("{}", path.display()))?;
        match line["type"].as_str() {
            Some("flow") => {
                connections += 1;
                let is_whole = is_whole(&line["forward"]) && is_whole(&line["reply"]);
                ensure!(is_whole, "not every packet was followed over {HOPS} hops: {line}");
            }
            Some("summary") => summary = Some(line),
            _ => {}
        }
    }
    let expected = capture.connections;
    ensure!(connections == expected, "{connections} flows of {expected} connections");
    let summary = summary.context("no summary")?;
    ensure!(summary["complete"] == true, "the trace is incomplete: {}", summary["loss"]);
    Ok(())
}

/// Whether all packets of one direction were seen at all hops. A connection whose answer comes after the end of the
/// capture has none back.
fn is_whole(lane: &Value) -> bool {
    if lane["packets"] == 0 {
        return true;
    }
    let hops = lane["hops"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stopped = lane["stopped"].as_array().map_or(0, Vec::len);
    hops.len() == HOPS && stopped == 0 && hops.iter().all(|hop| hop["packets"] == lane["packets"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_direction_is_whole_when_every_hop_saw_all() {
        let lane = |last: u64| {
            let mut hops = vec![json!({"packets": 5}); HOPS - 1];
            hops.push(json!({"packets": last}));
            json!({"packets": 5, "hops": hops, "stopped": []})
        };
        assert!(is_whole(&lane(5)));
        assert!(!is_whole(&lane(4)));
        assert!(!is_whole(&json!({"packets": 5, "hops": [], "stopped": []})));
        assert!(is_whole(&json!({"packets": 0, "hops": [], "stopped": []})));
    }
}
