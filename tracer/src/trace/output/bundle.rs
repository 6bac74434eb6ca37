//! All that a ticket needs in one archive: headers of the packets, the report, and what each node's kernel said.
//!
//! Payload is left out, whatever was captured of it; the cluster is told by names and addresses alone.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};
use tracer_core::capture::LinkLayer;
use tracer_core::evidence::{Evidence, Snapshot};
use tracer_core::output::pcapng::TraceWriter;
use tracer_core::output::text::{Colour, Style};
use tracer_core::output::{json, printable, text};
use tracer_core::packet::segment::header_len;
use tracer_core::point::Points;
use tracer_core::report::Report;
use tracer_core::resolve::{ClusterState, Names};
use tracer_core::trace::TracedFrame;
use tracer_core::units::SnapLength;

use super::OutputError;
use crate::cli::version;
use crate::error::chain;

/// What the archive says of itself.
const CONTENTS: &str = "\
report.txt      flows, verdicts and all that speaks for them, as text
report.jsonl    the same as JSON Lines
trace.pcapng    headers of the packets at every hop, their payload left out; comments tell flow and hop
cluster.json    names and addresses of the cluster (`kflow trace --state`)
evidence/       one directory per node and pod: what its kernel said before and after, and its rules as text
";

/// What is told at the end.
pub(in crate::trace) struct Findings<'a> {
    /// With its verdicts.
    pub(in crate::trace) report: &'a Report,
    /// Of each namespace.
    pub(in crate::trace) evidence: &'a [Evidence],
    /// The cluster.
    pub(in crate::trace) state: &'a ClusterState,
}

/// An archive that is being made. Nothing is in it before the end.
struct Open {
    archive: File,
    packets: File,
    writer: TraceWriter<BufWriter<File>>,
}

/// The archive, if one was asked for. A full disk ends it, not the trace.
pub(super) struct Bundle {
    path: PathBuf,
    open: Option<Open>,
    has_failed: bool,
}

impl Bundle {
    /// Creates the file, so that one that cannot be is told of at once.
    pub(super) fn create(
        path: Option<&Path>,
        snap: SnapLength,
        names: &Names,
    ) -> Result<Option<Self>, OutputError> {
        let Some(path) = path else { return Ok(None) };
        let failed = |source| OutputError::Create { path: path.to_owned(), source };
        let archive = File::create(path).map_err(failed)?;
        let packets = unnamed(path).map_err(failed)?;
        let written = BufWriter::new(packets.try_clone().map_err(failed)?);
        let application = concat!("kflow ", env!("CARGO_PKG_VERSION"));
        let writer = TraceWriter::new(written, application, snap, names)
            .map_err(|source| OutputError::Capture { path: path.to_owned(), source })?;
        let open = Some(Open { archive, packets, writer });
        Ok(Some(Self { path: path.to_owned(), open, has_failed: false }))
    }

    /// Whether it could not be written.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Keeps the headers of frames.
    pub(super) fn frames(&mut self, frames: &[TracedFrame], points: &Points) {
        let Some(open) = &mut self.open else { return };
        for traced in frames {
            let mut traced = traced.clone();
            let headers = header_len(LinkLayer::Ethernet, &traced.frame.data);
            traced.frame.data.to_mut().truncate(headers);
            if let Err(source) = open.writer.frame(&traced, points) {
                let path = self.path.clone();
                return self.fail(&OutputError::Capture { path, source });
            }
        }
    }

    /// Makes the archive.
    pub(super) fn finish(&mut self, findings: &Findings<'_>, points: &Points) {
        let Some(mut open) = self.open.take() else { return };
        let path = self.path.clone();
        if let Err(source) = open.writer.finish(&findings.report.loss, points) {
            return self.fail(&OutputError::Capture { path, source });
        }
        match open.pack(findings) {
            Ok(()) => {
                say!("evidence of {} namespaces written to {}", findings.evidence.len(), path.display());
            }
            Err(source) => self.fail(&OutputError::Bundle { path, source }),
        }
    }

    fn fail(&mut self, error: &OutputError) {
        say!("kflow: {}", chain(error));
        self.open = None;
        self.has_failed = true;
    }
}

impl Open {
    fn pack(self, findings: &Findings<'_>) -> io::Result<()> {
        let Self { archive, mut packets, writer } = self;
        // What it has buffered is in the file when it is gone.
        drop(writer);
        let mut archive =
            Archive(Builder::new(GzEncoder::new(BufWriter::new(archive), Compression::default())));
        archive.add("README.txt", format!("{}\n{CONTENTS}", version::long()).as_bytes())?;
        let mut report = Vec::new();
        text::report(&mut report, findings.report, Style { colour: Colour::Never, why: true })?;
        archive.add("report.txt", &report)?;
        report.clear();
        json::report(&mut report, findings.report)?;
        archive.add("report.jsonl", &report)?;
        drop(report);
        archive.add("cluster.json", &serde_json::to_vec_pretty(&findings.state.to_json())?)?;
        for evidence in findings.evidence {
            archive.evidence(evidence)?;
        }
        let length = packets.seek(SeekFrom::End(0))?;
        packets.rewind()?;
        archive.0.append_data(&mut header(length), "trace.pcapng", packets)?;
        let mut file = archive.0.into_inner()?.finish()?;
        file.flush()?;
        file.get_ref().sync_all()
    }
}

/// The archive as it grows.
struct Archive(Builder<GzEncoder<BufWriter<File>>>);

impl Archive {
    fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.0.append_data(&mut header(content.len() as u64), name, content)
    }

    fn evidence(&mut self, evidence: &Evidence) -> io::Result<()> {
        let Evidence { before, after } = evidence;
        let directory = match &before.pod {
            Some(pod) => format!("evidence/{}/pod-{}", plain(&before.node), plain(pod)),
            None => format!("evidence/{}/node", plain(&before.node)),
        };
        self.add(&format!("{directory}/before.json"), &serde_json::to_vec_pretty(before)?)?;
        if let Some(after) = after {
            self.add(&format!("{directory}/after.json"), &serde_json::to_vec_pretty(after)?)?;
        }
        self.add(&format!("{directory}/rules.txt"), rules(evidence.last()).as_bytes())
    }
}

/// Rules as a person reads them, each with what it counted.
fn rules(snapshot: &Snapshot) -> String {
    let mut lines = Vec::new();
    for table in &snapshot.firewall.tables {
        lines.push(format!("table {} {}", table.family, printable(&table.name)));
        for chain in &table.chains {
            lines.push(format!("  chain {}", printable(&chain.name)));
            for rule in &chain.rules {
                let packets = rule.packets.map_or_else(|| "-".to_owned(), |packets| packets.to_string());
                lines.push(format!("    {packets:>10}  {}", printable(&rule.text)));
            }
        }
    }
    lines.join("\n") + "\n"
}

/// A name that is no path.
fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if name.trim_matches('.').is_empty() { "_".to_owned() } else { name }
}

fn header(length: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o644);
    header.set_mtime(u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default());
    header
}

/// A file without a name on the disk of the archive, or where that has none of the kind, among the temporary ones.
fn unnamed(beside: &Path) -> io::Result<File> {
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt as _;
    let directory = beside.parent().filter(|parent| !parent.as_os_str().is_empty());
    let open = |directory: &Path| {
        let flags = nix::fcntl::OFlag::O_TMPFILE.bits();
        OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(flags).open(directory)
    };
    open(directory.unwrap_or(Path::new("."))).or_else(|_| open(&std::env::temp_dir()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_directory() {
        for (name, expected) in [
            ("k8s-node1", "k8s-node1"),
            ("default/pod-a", "default_pod-a"),
            ("../../etc", ".._.._etc"),
            ("..", "_"),
            ("", "_"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }
}
