//! Flags of `kflow capture` that say what becomes of the packets.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use thiserror::Error;
use tracer_core::output::line::LineOptions;

use crate::capture::Product;
use crate::sink::{FilePlan, Format, Target, file_size};

/// What becomes of the packets: tcpdump's letters with tcpdump's meaning.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags as they are typed")]
pub(super) struct OutputArgs {
    /// File to write; `-` is standard output. Without it packets are printed.
    #[arg(short, long, visible_short_alias = 'o', value_name = "FILE|-")]
    write: Option<PathBuf>,
    /// Show packets in Wireshark as they come.
    #[arg(long, conflicts_with = "write")]
    wireshark: bool,
    /// Write pcap with times in nanoseconds instead of pcapng: no interfaces, directions and counters.
    #[arg(long)]
    pcap: bool,
    /// Begin another file when this one is larger than so many million bytes; k, m and g are KiB, MiB and GiB.
    #[arg(short = 'C', value_name = "SIZE", requires = "write", value_parser = |text: &str| file_size(text))]
    size: Option<u64>,
    /// With -C, go on with the first file after so many; with -G, end after so many.
    #[arg(short = 'W', value_name = "N", requires = "write", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Begin another file every so many seconds; the file's name is a format of strftime(3).
    #[arg(short = 'G', value_name = "SECONDS", requires = "write", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Run this program with the name of each file that another one follows.
    #[arg(short = 'z', value_name = "PROGRAM", requires = "write")]
    postrotate: Option<OsString>,
    /// Become this user before the first file is opened.
    #[arg(short = 'Z', long = "relinquish-privileges", value_name = "USER")]
    user: Option<String>,
    /// Hand each packet to the file or the reader as it comes.
    #[arg(short = 'U', long)]
    packet_buffered: bool,
    /// Print the link-layer header.
    #[arg(short = 'e')]
    link: bool,
    /// Print the bytes of each packet in hexadecimal and ASCII, without the link-layer header.
    #[arg(short = 'X')]
    hex: bool,
}

/// Flags that do not go together.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum OutputError {
    /// Standard output is one file.
    #[error("-{0} makes several files: standard output is one")]
    SeveralFiles(char),
    /// Neither a size nor a time.
    #[error("-W counts the files of -C or -G: give one of them as well")]
    NothingToCount,
    /// Likewise.
    #[error("-z is for the files of -C or -G: give one of them as well")]
    NothingToFollow,
    /// Files are for programs that do not decompress them.
    #[error("--compress is for standard output: use `-w -`, or compress the file afterwards")]
    CompressedFile,
    /// Lines have no size.
    #[error("--max-size is for files and pipes of packets: give -w as well, or use --max-packets")]
    NothingToMeasure,
}

impl OutputArgs {
    pub(super) fn product(&self, verbose: bool, is_compressed: bool) -> Result<Product, OutputError> {
        let format = if self.pcap { Format::Pcap } else { Format::Pcapng };
        if self.wireshark {
            return Ok(Product::Capture(Target::Wireshark, format));
        }
        let Some(path) = &self.write else {
            let options = LineOptions { verbose, hex: self.hex, link: self.link, label: false };
            // A format without a file is one for standard output, which a terminal refuses.
            return Ok(if self.pcap {
                Product::Capture(Target::Stdout, format)
            } else {
                Product::Lines(options)
            });
        };
        if self.size.is_none() && self.seconds.is_none() {
            if self.count.is_some() {
                return Err(OutputError::NothingToCount);
            }
            if self.postrotate.is_some() {
                return Err(OutputError::NothingToFollow);
            }
        }
        if path.as_os_str() == "-" {
            let several = self.size.map(|_| 'C').or(self.seconds.map(|_| 'G'));
            let target = if is_compressed { Target::CompressedStdout } else { Target::Stdout };
            return several
                .map_or(Ok(Product::Capture(target, format)), |flag| Err(OutputError::SeveralFiles(flag)));
        }
        if is_compressed {
            return Err(OutputError::CompressedFile);
        }
        let files = FilePlan {
            path: path.clone(),
            size: self.size,
            count: self.count,
            seconds: self.seconds,
            postrotate: self.postrotate.clone(),
        };
        Ok(Product::Capture(Target::Files(files), format))
    }

    pub(super) const fn is_packet_buffered(&self) -> bool {
        self.packet_buffered
    }

    pub(super) fn user(&self) -> Option<String> {
        self.user.clone()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        output: OutputArgs,
    }

    fn product(arguments: &str) -> Result<Product, OutputError> {
        let command = Command::try_parse_from(["kflow"].into_iter().chain(arguments.split_whitespace()));
        command.map_err(|error| error.to_string()).unwrap().output.product(false, false)
    }

    #[test]
    fn letters_of_tcpdump() {
        let single = FilePlan::single("x");
        let table = [
            ("-w x", Target::Files(single.clone()), Format::Pcapng),
            ("-o - --pcap", Target::Stdout, Format::Pcap),
            ("--pcap", Target::Stdout, Format::Pcap),
            ("--wireshark", Target::Wireshark, Format::Pcapng),
            (
                "-w x -C 2 -W 3 -z gzip",
                Target::Files(FilePlan {
                    size: Some(2_000_000),
                    count: Some(3),
                    postrotate: Some("gzip".into()),
                    ..single.clone()
                }),
                Format::Pcapng,
            ),
            ("-w x -G 60", Target::Files(FilePlan { seconds: Some(60), ..single }), Format::Pcapng),
        ];
        for (arguments, target, format) in table {
            assert_eq!(product(arguments), Ok(Product::Capture(target, format)), "{arguments}");
        }
        let lines = LineOptions { hex: true, link: true, ..LineOptions::default() };
        assert_eq!(product("-e -X"), Ok(Product::Lines(lines)));
    }

    #[test]
    fn what_does_not_go_together() {
        assert_eq!(product("-w - -C 1"), Err(OutputError::SeveralFiles('C')));
        assert_eq!(product("-w - -G 1"), Err(OutputError::SeveralFiles('G')));
        assert_eq!(product("-w x -W 2"), Err(OutputError::NothingToCount));
        assert_eq!(product("-w x -z gzip"), Err(OutputError::NothingToFollow));
        for arguments in ["-C 1", "-W 1", "-G 0 -w x", "-z gzip", "--wireshark -w x"] {
            let command = Command::try_parse_from(["kflow"].into_iter().chain(arguments.split_whitespace()));
            assert!(command.is_err(), "{arguments}");
        }
    }
}
