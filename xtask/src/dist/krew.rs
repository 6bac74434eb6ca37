//! The manifest by which krew installs the plugin of kubectl.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::VERSION;
use super::archive::Archive;
use crate::workspace::Workspace;

/// Its name there, and the file's.
const NAME: &str = "packet-trace.yaml";

/// Fills the manifest's form with the archives, which will be found below `releases`. Without one, or without an archive
/// that it names, there is none, and that is said.
pub(super) fn write(
    workspace: &Workspace,
    archives: &[Archive],
    releases: Option<&str>,
    out: &Path,
) -> Result<()> {
    let Some(releases) = releases else {
        eprintln!("no krew manifest: `--releases URL` says where the archives will be");
        return Ok(());
    };
    let form = workspace.root().join("deploy/krew").join(NAME);
    let form = fs::read_to_string(&form).with_context(|| format!("cannot read {}", form.display()))?;
    match fill(&form, releases, archives) {
        Ok(manifest) => fs::write(out.join(NAME), manifest).context("cannot write the krew manifest"),
        Err(reason) => {
            eprintln!("no krew manifest: {reason}");
            Ok(())
        }
    }
}

fn fill(form: &str, releases: &str, archives: &[Archive]) -> Result<String> {
    let mut text = form.replace("${VERSION}", VERSION).replace("${RELEASES}", releases.trim_end_matches('/'));
    for archive in archives {
        let word = format!("${{SHA256_{}}}", archive.target.architecture().to_uppercase());
        text = text.replace(&word, &archive.sha256);
        ensure!(text.contains(&archive.name), "it does not name {}", archive.name);
    }
    let rest = text.split_once("${").and_then(|(_, rest)| rest.split_once('}'));
    match rest {
        Some((word, _)) => anyhow::bail!("nothing was built for {word}"),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::target::Target;

    fn archive(target: Target) -> Archive {
        let name = format!("kflow-{VERSION}-linux-{}.tar.gz", target.architecture());
        Archive { target, name, sha256: "ab".repeat(32) }
    }

    #[test]
    fn the_form_in_this_tree_can_be_filled() {
        let form = include_str!("../../../deploy/krew/packet-trace.yaml");
        let all = Target::ALL.map(archive);
        let manifest = fill(form, "https://example.org/v1/", &all).expect("a manifest");
        assert!(manifest.contains(&format!("version: v{VERSION}\n")), "{manifest}");
        for archive in &all {
            assert!(
                manifest.contains(&format!("uri: https://example.org/v1/{}\n", archive.name)),
                "{manifest}"
            );
        }
        assert_eq!(manifest.matches(&"ab".repeat(32)).count(), all.len());
        let short = manifest.lines().find_map(|line| line.trim().strip_prefix("shortDescription: "));
        assert!(short.is_some_and(|text| text.len() < 50), "krew refuses more");
    }

    #[test]
    fn a_target_that_was_not_built_is_named() {
        let form = include_str!("../../../deploy/krew/packet-trace.yaml");
        let error = fill(form, "https://example.org", &[archive(Target::X86_64)]).expect_err("no manifest");
        assert_eq!(error.to_string(), "nothing was built for SHA256_ARM64");
    }
}
