//! Packets that a TCP connection can do without, though a kernel says that it dropped them.

use crate::drops::DropReport;
use crate::report::FlowReport;
use crate::timeline::Orientation;

/// Older than what had been received (RFC 7323, section 5): it was overtaken, or sent again.
const OLD: &str = "TCP_RFC7323_PAWS";
/// To a socket that is closed, or gone.
const OF_CLOSED: [&str; 6] =
    ["NO_SOCKET", "SOCKET_CLOSE", "TCP_ABORT_ON_DATA", "TCP_CLOSE", "TCP_FLAGS", "TCP_RFC7323_TW_PAWS"];

/// Whether a dropped packet harmed nobody:
///
/// 1. The connection was opened, and the packet was older than what had come before it; or
/// 2. its receiver had said that it was done, by a FIN or a RST.
pub(super) fn is_passed_over(flow: &FlowReport, drop: &DropReport, direction: Orientation) -> bool {
    let (Some(tcp), Some(reason)) = (&flow.tcp, drop.reason.as_deref()) else { return false };
    let receiver = direction.reversed();
    let has_ended = tcp.fin.contains(&receiver) || tcp.reset == Some(receiver);
    tcp.answered && (reason == OLD || (has_ended && OF_CLOSED.contains(&reason)))
}
