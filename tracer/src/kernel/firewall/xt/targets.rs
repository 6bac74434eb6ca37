//! What is done with packets.

use tracer_core::evidence::Action;

use super::{Blob, nat};
use crate::kernel::firewall::words;

/// Targets that count, log or change what decides nothing here.
const HARMLESS: [&str; 15] = [
    "AUDIT",
    "CLASSIFY",
    "CONNSECMARK",
    "DSCP",
    "ECN",
    "HL",
    "IDLETIMER",
    "LED",
    "RATEEST",
    "SECMARK",
    "SET",
    "TCPOPTSTRIP",
    "TEE",
    "TOS",
    "TRACE",
];

/// What a target does.
pub(in crate::kernel::firewall) fn read_target(blob: &Blob<'_>) -> Action {
    let known = match blob.name {
        "DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT" => nat::translation(blob),
        "MARK" => mark(blob),
        "CONNMARK" => connmark(blob),
        "REJECT" => {
            blob.u32(0).and_then(|with| words::reject(with, blob.is_v6)).map(|with| Action::Reject { with })
        }
        "NOTRACK" => Some(Action::NoTrack),
        "CT" => ct(blob),
        "NFQUEUE" => blob.u16(0).map(|number| Action::Queue { number }),
        "LOG" => Some(log(blob)),
        "NFLOG" => Some(nflog(blob)),
        "TCPMSS" => tcpmss(blob),
        "CHECKSUM" => Some(Action::Nothing { text: "-j CHECKSUM --checksum-fill".to_owned() }),
        "TPROXY" => tproxy(blob),
        "TTL" => Some(Action::Nothing { text: "-j TTL".to_owned() }),
        name if HARMLESS.contains(&name) => Some(Action::Nothing { text: format!("-j {name}") }),
        _ => None,
    };
    known.unwrap_or_else(|| Action::Other { text: format!("-j {}", blob.name) })
}

/// `struct xt_mark_tginfo2`.
fn mark(blob: &Blob<'_>) -> Option<Action> {
    (blob.revision == 2).then_some(())?;
    Some(Action::Mark { value: blob.u32(0)?, mask: blob.u32(4)? })
}

/// `struct xt_connmark_tginfo1` and `2`; where bits are shifted, it is not understood.
fn connmark(blob: &Blob<'_>) -> Option<Action> {
    let (value, of_connection, of_packet) = (blob.u32(0)?, blob.u32(4)?, blob.u32(8)?);
    let (shift, mode) = match blob.revision {
        1 => (0, blob.u8(12)?),
        2 => (blob.u8(13)?, blob.u8(14)?),
        _ => return None,
    };
    match mode {
        _ if shift != 0 => None,
        0 => Some(Action::ConnectionMark { value, mask: of_connection }),
        1 if of_connection == of_packet => Some(Action::SaveMark { mask: of_packet }),
        2 if of_connection == of_packet => Some(Action::RestoreMark { mask: of_packet }),
        _ => None,
    }
}

/// `struct xt_ct_target_info`.
fn ct(blob: &Blob<'_>) -> Option<Action> {
    if blob.u16(0)? & 1 != 0 {
        return Some(Action::NoTrack);
    }
    let zone = blob.u16(2)?;
    let zone = if zone == 0 { String::new() } else { format!(" --zone {zone}") };
    Some(Action::Nothing { text: format!("-j CT{zone}") })
}

/// `struct xt_tcpmss_info`: all ones is what the path takes.
fn tcpmss(blob: &Blob<'_>) -> Option<Action> {
    let text = match blob.u16(0)? {
        u16::MAX => "-j TCPMSS --clamp-mss-to-pmtu".to_owned(),
        mss => format!("-j TCPMSS --set-mss {mss}"),
    };
    Some(Action::Nothing { text })
}

/// `struct xt_tproxy_target_info` and `_v1`: to a program of this node, which the packet's addresses do not show.
fn tproxy(blob: &Blob<'_>) -> Option<Action> {
    let (mask, value, address) = (blob.u32(0)?, blob.u32(4)?, blob.inet(8)?);
    let port = blob.be16(if blob.revision == 0 { 12 } else { 24 })?;
    Some(Action::Other {
        text: format!("-j TPROXY --on-port {port} --on-ip {address} --tproxy-mark 0x{value:x}/0x{mask:x}"),
    })
}

/// `struct xt_log_info`.
fn log(blob: &Blob<'_>) -> Action {
    Action::Nothing { text: format!("-j LOG{}", prefix("--log-prefix", blob.text(2, 30))) }
}

/// `struct xt_nflog_info`.
fn nflog(blob: &Blob<'_>) -> Action {
    let group = blob.u16(4).filter(|group| *group != 0).map(|group| format!(" --nflog-group {group}"));
    let prefix = prefix("--nflog-prefix", blob.text(12, 64));
    Action::Nothing { text: format!("-j NFLOG{prefix}{}", group.unwrap_or_default()) }
}

fn prefix(option: &str, prefix: Option<String>) -> String {
    prefix
        .filter(|prefix| !prefix.is_empty())
        .map_or_else(String::new, |prefix| format!(" {option} \"{prefix}\""))
}
