//! What is in an IP packet: transport, control messages, tunnels.

use super::tunnel::Carried;
use super::{Innermost, Layer, Next, Walk};

const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
const TCP_OFFSET: usize = 12;
const ICMP_HEADER: usize = 8;
const SCTP_HEADER: usize = 12;
const UDP_LITE_HEADER: usize = 8;
/// Security parameters index and sequence number (RFC 4303, section 2).
const ESP_HEADER: usize = 8;
/// ICMP errors that quote a packet (RFC 792): unreachable, source quench, redirect, time exceeded, parameter.
const ICMP_ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
const ICMP_ECHO: [u8; 2] = [0, 8];
/// ICMPv6 errors have the top bit clear (RFC 4443, section 2.1).
const ICMPV6_INFORMATIONAL: u8 = 0x80;
const ICMPV6_ECHO: [u8; 2] = [128, 129];

impl Walk<'_> {
    pub(super) fn protocol(&mut self, protocol: u8) -> Option<Next> {
        if let Ok(next) = self.extension(protocol) {
            return next;
        }
        match protocol {
            1 => self.icmp(&ICMP_ECHO, |kind| ICMP_ERRORS.contains(&kind)),
            58 => self.icmp(&ICMPV6_ECHO, |kind| kind & ICMPV6_INFORMATIONAL == 0),
            2 => {
                self.keep_all();
                None
            }
            4 | 41 => self.tunnel(Next::Ip),
            6 => self.tcp(),
            17 => self.udp(),
            47 => self.gre(),
            50 => self.last(ESP_HEADER),
            132 => self.last(SCTP_HEADER),
            136 => self.last(UDP_LITE_HEADER),
            _ => None,
        }
    }

    /// A header behind which nothing is read.
    fn last(&mut self, len: usize) -> Option<Next> {
        let _ = self.skip(len);
        None
    }

    fn tcp(&mut self) -> Option<Next> {
        let header = self.fixed::<TCP_HEADER>()?;
        let len = usize::from(header[TCP_OFFSET] >> 4) * 4;
        if len < TCP_HEADER {
            return self.last(TCP_HEADER);
        }
        let at = self.headers.end;
        self.push(Layer::Tcp { at });
        self.found(Innermost::Tcp);
        self.last(len)
    }

    fn udp(&mut self) -> Option<Next> {
        self.fixed::<UDP_HEADER>()?;
        let at = self.headers.end;
        self.push(Layer::Udp { at });
        let carried = self.carried();
        self.skip(UDP_HEADER)?;
        match carried {
            Carried::Tunnel(len, next) => {
                self.skip(len)?;
                return self.tunnel(next);
            }
            Carried::Cut => self.keep_all(),
            Carried::Payload => self.found(Innermost::Udp),
        }
        None
    }

    /// Goes on inside, unless there were too many encapsulations.
    pub(super) fn tunnel(&mut self, inside: Next) -> Option<Next> {
        self.tunnels += 1;
        (self.tunnels <= super::MAX_TUNNELS).then_some(inside)
    }

    /// The headers that an error quotes are kept; of control messages without a payload everything is.
    fn icmp(&mut self, echo: &[u8], is_error: impl Fn(u8) -> bool) -> Option<Next> {
        let [kind, ..] = self.fixed::<ICMP_HEADER>()?;
        if is_error(kind) {
            self.skip(ICMP_HEADER)?;
            let was_quoted = std::mem::replace(&mut self.is_quoted, true);
            return (!was_quoted).then_some(Next::Ip);
        }
        if echo.contains(&kind) {
            return self.last(ICMP_HEADER);
        }
        self.keep_all();
        None
    }
}
