//! A filter expression, compiled for everything that packets may begin with.

mod portable;

use thiserror::Error;
use tracer_core::capture::{LinkLayer, SNAP_WHOLE};
use tracer_core::filter::{
    FilterInput, Program, ProgramError, ProgramTextError, TagView, TranslateError, vlan_matters,
};
use tracer_core::packet::segment::ip_places;

use crate::error::{Exit, ExitStatus};
use crate::kernel::interfaces::{Link, LinkType};
use crate::kernel::room::PacketFilter;
use crate::libpcap::{Dlt, ExpressionError, Libpcap, LibpcapError};

/// Headers that the kernel follows of a chain (`protochain`), where a loop without an end is refused.
const CHAIN: usize = 8;

/// A filter expression and its programs.
#[derive(Clone, Debug)]
pub struct Expression {
    /// As it was typed; empty where it came compiled.
    text: String,
    /// For packets that begin with an Ethernet header, or what is against it.
    ethernet: Result<Program, String>,
    /// For packets that begin with an IP header, likewise.
    ip: Result<Program, String>,
    /// Whether it has the keyword `vlan`.
    has_vlan: bool,
    innermost: bool,
}

/// Why a filter cannot be used.
#[derive(Debug, Error)]
pub enum FilterError {
    /// No libpcap, which compiles expressions.
    #[error(transparent)]
    Libpcap(#[from] LibpcapError),
    /// libpcap does not take the expression.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// None of the interfaces can have packets that match.
    #[error("the filter cannot match on {interfaces}, whose packets have no link layer: {why}")]
    NoLinkLayer {
        /// Names.
        interfaces: String,
        /// What libpcap says.
        why: String,
    },
    /// A program that came as text and is none.
    #[error("cannot read the compiled filter")]
    ProgramText(#[source] ProgramTextError),
    /// A text without any program that could be run.
    #[error(
        "the compiled filter has no program: expected `ethernet:PROGRAM;ip:PROGRAM`, and `ip:` with --inner"
    )]
    NoProgram,
    /// Its chains of headers are longer than programs may be.
    #[error("cannot unroll the filter's loop")]
    Chain(#[from] ProgramError),
    /// It cannot run in the kernel.
    #[error(transparent)]
    Translate(#[from] TranslateError),
}

impl ExitStatus for FilterError {
    fn exit(&self) -> Exit {
        match self {
            Self::Libpcap(_) => Exit::Environment,
            _ => Exit::Usage,
        }
    }
}

impl Expression {
    /// Compiles an expression, for the innermost packets of tunnels if `innermost`.
    pub fn compile(text: &str, innermost: bool) -> Result<Self, FilterError> {
        /// As tcpdump compiles: `ip broadcast` then is 255.255.255.255 and 0.0.0.0.
        const NETMASK: Option<u32> = Some(0);
        let libpcap = Libpcap::load()?;
        let compile = |link| libpcap.compile(text, link, SNAP_WHOLE.0, NETMASK);
        let ip = compile(Dlt::RAW);
        let has_vlan = vlan_matters(text);
        if innermost {
            let ip = ip?;
            let ethernet = Err("not asked".to_owned());
            let text = text.to_owned();
            return Ok(Self { text, ethernet, ip: Ok(ip), has_vlan, innermost });
        }
        match (compile(Dlt::ETHERNET), ip) {
            (Err(error), Err(_)) => Err(error.into()),
            (ethernet, ip) => Ok(Self {
                text: text.to_owned(),
                ethernet: ethernet.map_err(|error| reason(&error)),
                ip: ip.map_err(|error| reason(&error)),
                has_vlan,
                innermost,
            }),
        }
    }

    /// As it was typed; empty where it came compiled.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Fails when no packet of these interfaces can match, and tells of the interfaces of which that is so.
    pub(super) fn check(&self, links: &[&Link]) -> Result<Option<String>, FilterError> {
        let Err(why) = &self.ip else { return Ok(None) };
        let without: Vec<_> = links
            .iter()
            .filter(|link| link.link_type == LinkType::Ip)
            .map(|link| link.name.as_str())
            .collect();
        if without.is_empty() {
            return Ok(None);
        }
        let interfaces = without.join(", ");
        if without.len() == links.len() {
            return Err(FilterError::NoLinkLayer { interfaces, why: why.clone() });
        }
        Ok(Some(format!("the filter cannot match on {interfaces}, whose packets have no link layer: {why}")))
    }

    /// Whether only the innermost packets of tunnels count.
    pub(super) const fn is_innermost(&self) -> bool {
        self.innermost
    }

    /// Whether it takes a packet that begins with an IP header, of which these are the first bytes.
    pub(super) fn takes_ip(&self, data: &[u8], original_len: u32, is_received: bool) -> bool {
        /// `PACKET_HOST`, `PACKET_OUTGOING` (`linux/if_packet.h`).
        const TO_US: u8 = 0;
        const FROM_US: u8 = 4;
        /// `LINKTYPE_RAW` (tcpdump.org/linktypes.html).
        const RAW: LinkLayer = LinkLayer::Other(101);
        let Ok(program) = &self.ip else { return false };
        let inner =
            if self.innermost { ip_places(RAW, data).map(|places| places.innermost) } else { Some(0) };
        let Some((inner, data)) = inner.and_then(|at| Some((u32::try_from(at).ok()?, data.get(at..)?)))
        else {
            return false;
        };
        let packet_type = if is_received { TO_US } else { FROM_US };
        let original_len = original_len.saturating_sub(inner);
        program.run(&FilterInput { data, original_len, packet_type, ..FilterInput::default() }) != 0
    }

    /// Where the programs see a VLAN tag that the kernel keeps beside a packet.
    ///
    /// The keyword `vlan` looks for it in the packet, and moves all that follows. Without the keyword a packet is looked
    /// at as if it had no tag, which is how tcpdump's filters see packets in the kernel.
    ///
    /// With the keyword, the answer is the one that `tcpdump -r` has of the file. That of a capturing tcpdump may be
    /// another one for received packets, whose tags are beside them: it does not count the tag in `len`, does not find it
    /// by `ether[12:2]`, asks what comes before the keyword of the packet without its tag (`tcp or (vlan and udp)` then has
    /// all of TCP), and takes a packet with two tags for one with one in `ip or (vlan and ip)`.
    pub(super) fn tags(&self) -> TagView {
        if self.has_vlan { TagView::Inside } else { TagView::Beside }
    }

    /// The programs as the kernel takes them.
    pub(super) fn translate(&self) -> Result<PacketFilter, FilterError> {
        let translate = |program: &Result<Program, String>, tags| {
            let Ok(program) = program else { return Ok(None) };
            Ok::<_, FilterError>(Some(program.unrolled(CHAIN)?.translate(tags)?))
        };
        Ok(PacketFilter {
            ethernet: translate(&self.ethernet, self.tags())?,
            ip: translate(&self.ip, TagView::Beside)?,
            innermost: self.innermost,
        })
    }
}

fn reason(error: &ExpressionError) -> String {
    match error {
        ExpressionError::Rejected(rejection) => rejection.message.clone(),
        error => error.to_string(),
    }
}
