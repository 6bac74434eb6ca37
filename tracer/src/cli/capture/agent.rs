//! Flags of a capture that a kflow elsewhere leads, and the lines that it tells it.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use tracer_core::output::printable;
use tracer_core::way::Extent;

use super::host::{HostSpec, address_set};
use crate::capture::{Claim, Expression, FilterError, Lead, Orders, PodLinks};

/// What the kflow that leads it adds to its command line. People have shorter words for the same.
#[derive(Args, Debug)]
pub(super) struct LeadArgs {
    /// End when standard input has no line for so many seconds.
    #[arg(long, value_name = "SECONDS", hide = true, requires = "until_stdin_closes", value_parser = super::seconds)]
    heartbeat: Option<Duration>,
    /// Compress standard output.
    #[arg(long, value_name = "HOW", hide = true, requires = "write")]
    compress: Option<Compression>,
    /// Write no more than so many bytes per second; packets beyond are counted as lost.
    #[arg(long, value_name = "BYTES", hide = true, value_parser = clap::value_parser!(u64).range(1..))]
    output_rate: Option<u64>,
    /// Who the cluster takes the user for, for the agent's log.
    #[arg(long, value_name = "NAME", hide = true)]
    for_user: Option<String>,
    /// What the compiled filter was made of, for the agent's log.
    #[arg(long, value_name = "EXPR", hide = true, allow_hyphen_values = true)]
    program_text: Option<String>,
    /// Compiled filter.
    #[arg(long, value_name = "TEXT", hide = true, conflicts_with_all = ["filter", "words"])]
    program: Option<String>,
    /// All interfaces that packets of this local pod can pass, or `none` of the pods'. May be repeated.
    #[arg(long, value_name = "ADDR", hide = true, conflicts_with_all = ["interface", "link_of"])]
    way_of: Vec<OrNone<IpAddr>>,
    /// The interface that leads to this local pod, or `none`. May be repeated.
    #[arg(long, value_name = "ADDR", hide = true, conflicts_with = "interface")]
    link_of: Vec<OrNone<IpAddr>>,
}

/// How output is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Compression {
    /// RFC 8878.
    Zstd,
}

/// One of a list, or the word that makes an empty list of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OrNone<T> {
    One(T),
    None,
}

impl<T: FromStr> FromStr for OrNone<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::One) }
    }
}

/// Those of a list that are.
pub(super) fn those<T: Copy>(list: &[OrNone<T>]) -> impl Iterator<Item = T> {
    list.iter().filter_map(|each| match each {
        OrNone::One(one) => Some(*one),
        OrNone::None => None,
    })
}

impl LeadArgs {
    pub(super) fn lead(&self) -> Option<Lead> {
        self.heartbeat.map(|heartbeat| Lead { heartbeat, parse: orders })
    }

    pub(super) const fn is_compressed(&self) -> bool {
        matches!(self.compress, Some(Compression::Zstd))
    }

    pub(super) const fn output_rate(&self) -> Option<u64> {
        self.output_rate
    }

    pub(super) fn claim(&self) -> Claim {
        Claim { user: self.for_user.clone(), filter: self.program_text.clone() }
    }

    pub(super) fn pods(&self) -> Option<PodLinks> {
        pods(&self.way_of, &self.link_of)
    }

    pub(super) fn expression(&self, innermost: bool) -> Result<Option<Expression>, FilterError> {
        self.program.as_deref().map(|text| Expression::from_portable(text, innermost)).transpose()
    }
}

fn pods(way_of: &[OrNone<IpAddr>], link_of: &[OrNone<IpAddr>]) -> Option<PodLinks> {
    let links = |extent, list: &[_]| {
        (!list.is_empty()).then(|| PodLinks { extent, addresses: those(list).collect() })
    };
    links(Extent::Way, way_of).or_else(|| links(Extent::Ends, link_of))
}

/// A line on standard input: flags, each kind of which replaces what was there of that kind.
#[derive(Debug, Default, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Line {
    /// `end`: nothing more comes.
    #[arg(value_parser = ["end"])]
    end: Option<String>,
    #[arg(long)]
    host: Vec<OrNone<HostSpec>>,
    #[arg(long)]
    inner_host: Vec<OrNone<HostSpec>>,
    #[arg(long, conflicts_with = "link_of")]
    way_of: Vec<OrNone<IpAddr>>,
    #[arg(long)]
    link_of: Vec<OrNone<IpAddr>>,
    #[arg(long, alias = "max-rate", value_parser = clap::value_parser!(u64).range(1..))]
    output_rate: Option<u64>,
}

fn orders(line: &str) -> Result<Orders, String> {
    let words = line.split_whitespace();
    let line = Line::try_parse_from(words).map_err(|error| fault(&error))?;
    let has_hosts = !line.host.is_empty() || !line.inner_host.is_empty();
    let addresses = || address_set(&line.host, &line.inner_host).map_err(|error| error.to_string());
    Ok(Orders {
        addresses: has_hosts.then(addresses).transpose()?,
        pods: pods(&line.way_of, &line.link_of),
        max_rate: line.output_rate,
        is_end: line.end.is_some(),
    })
}

/// What clap says first: the rest is advice about a command line.
fn fault(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    printable(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::filter::AddressSet;

    fn links(extent: Extent, addresses: &[&str]) -> PodLinks {
        PodLinks { extent, addresses: addresses.iter().map(|text| text.parse().unwrap()).collect() }
    }

    fn set(line: &str) -> AddressSet {
        orders(line).unwrap().addresses.unwrap()
    }

    #[test]
    fn lines_replace_what_they_mention() {
        let only = |pods| Ok(Orders { pods: Some(pods), ..Orders::default() });
        let way = Extent::Way;
        assert_eq!(orders("--way-of 10.0.0.1 --way-of fd00::1"), only(links(way, &["10.0.0.1", "fd00::1"])));
        assert_eq!(orders("--way-of none"), only(links(way, &[])));
        assert_eq!(orders("  --link-of=10.0.0.1\r"), only(links(Extent::Ends, &["10.0.0.1"])));
        assert_eq!(set("--host none"), AddressSet::nothing());
        assert_eq!(set("--host 10.0.0.1:80/tcp --host none"), set("--host 10.0.0.1:80/tcp"));
        assert_ne!(set("--host 10.0.0.1"), set("--inner-host 10.0.0.1"));
        for name in ["output", "max"] {
            let orders = orders(&format!("--{name}-rate 4096")).unwrap();
            assert_eq!(orders, Orders { max_rate: Some(4096), ..Orders::default() });
        }
        assert_eq!(orders("end"), Ok(Orders { is_end: true, ..Orders::default() }));
    }

    #[test]
    fn what_makes_no_sense_changes_nothing_and_says_so_on_one_line() {
        for line in [
            "stop",
            "--hots 10.0.0.1",
            "--host pod-a",
            "--host",
            "--way-of 10.0.0.1:80",
            "--way-of 10.0.0.1 --link-of 10.0.0.2",
            "--output-rate 0",
            "--help",
            "\u{1b}[2J\u{7}",
            "end end",
        ] {
            let fault = orders(line).expect_err(line);
            assert!(!fault.is_empty() && !fault.contains('\n'), "{line}: {fault}");
            assert!(!fault.contains('\u{1b}'), "{line}: {fault:?}");
        }
    }
}
