//! A capture of a node sees its own packets leave: they would be captured again, and again.
//!
//! They go from the agent to the kubelet, from its port to the API server, and from there to this process. On a node
//! that is captured as a whole the ports of these are left out, unless they are asked for.

use std::collections::BTreeSet;
use std::fmt;

use tracer_core::filter::{Instruction, Program, ProgramError};

use crate::capture::{Expression, FilterError};

/// Where kubelets listen, unless a node says otherwise (`--port` of the kubelet).
pub(super) const KUBELET_PORT: u16 = 10_250;

/// TCP ports that are left out.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Excluded(pub(super) BTreeSet<u16>);

impl Excluded {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An expression without these ports; absent where all packets pass.
    pub(super) fn apply(&self, expression: Option<&Expression>) -> Result<Option<Expression>, FilterError> {
        match expression {
            expression if self.is_empty() => Ok(expression.cloned()),
            Some(expression) => {
                let text = format!("({}) and not ({self})", expression.text());
                Expression::compile(&text, expression.is_innermost()).map(Some)
            }
            // No libpcap is needed where nobody asked for an expression.
            None => Expression::from_portable(&self.portable()?, false).map(Some),
        }
    }

    fn portable(&self) -> Result<String, ProgramError> {
        Ok(format!("ethernet:{};ip:{}", self.program(Begin::Ethernet)?, self.program(Begin::Ip)?))
    }

    /// What libpcap makes of `not (tcp port A or tcp port B)`.
    fn program(&self, begin: Begin) -> Result<Program, ProgramError> {
        /// `ret` of everything and of nothing.
        const PASS: Instruction = Instruction { code: 0x06, jump_true: 0, jump_false: 0, k: 262_144 };
        const DROP: Instruction = Instruction { k: 0, ..PASS };
        let six = self.six(begin);
        let mut four = self.four(begin);
        let mut instructions = begin.load_family();
        // Where it is IPv6, what follows; else over it.
        instructions.push(branch(begin.six(), 0, six.len() + 1));
        instructions.extend(six);
        instructions.push(PASS);
        instructions.push(branch(begin.four(), 0, four.len()));
        instructions.append(&mut four);
        let drop_at = instructions.len() + 1;
        instructions.extend([PASS, DROP]);
        // Branches to the verdicts were left open, as their distance was not known.
        for (at, instruction) in instructions.iter_mut().enumerate() {
            for open in [&mut instruction.jump_true, &mut instruction.jump_false] {
                match *open {
                    TO_PASS => *open = distance(at, drop_at - 1),
                    TO_DROP => *open = distance(at, drop_at),
                    _ => {}
                }
            }
        }
        Program::new(instructions)
    }

    /// IPv6 without extension headers: TCP's ports.
    fn six(&self, begin: Begin) -> Vec<Instruction> {
        let link = begin.len();
        let mut all = vec![absolute(LDB, link + 6), jump_if(TCP, 0, TO_PASS)];
        all.push(absolute(LDH, link + 40));
        all.extend(self.any_port());
        all.push(absolute(LDH, link + 42));
        all.extend(self.any_port());
        all
    }

    /// IPv4, first fragments only: TCP's ports.
    fn four(&self, begin: Begin) -> Vec<Instruction> {
        /// The offset of a fragment.
        const FRAGMENT: u32 = 0x1fff;
        let link = begin.len();
        let mut all = vec![
            absolute(LDB, link + 9),
            jump_if(TCP, 0, TO_PASS),
            absolute(LDH, link + 6),
            Instruction { code: JSET, jump_true: TO_PASS, jump_false: 0, k: FRAGMENT },
            absolute(LDX_HEADER, link),
            absolute(LDH_X, link),
        ];
        all.extend(self.any_port());
        all.push(absolute(LDH_X, link + 2));
        all.extend(self.any_port());
        all
    }

    fn any_port(&self) -> impl Iterator<Item = Instruction> {
        self.0.iter().map(|port| jump_if(u32::from(*port), TO_DROP, 0))
    }
}

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<_> = self.0.iter().map(|port| format!("tcp port {port}")).collect();
        f.write_str(&ports.join(" or "))
    }
}

/// What packets begin with.
#[derive(Clone, Copy)]
enum Begin {
    Ethernet,
    Ip,
}

impl Begin {
    const fn len(self) -> u32 {
        match self {
            Self::Ethernet => 14,
            Self::Ip => 0,
        }
    }

    /// The ethertype, or the version of IP where it stands.
    fn load_family(self) -> Vec<Instruction> {
        match self {
            Self::Ethernet => vec![absolute(LDH, 12)],
            Self::Ip => vec![absolute(LDB, 0), absolute(AND, 0xf0)],
        }
    }

    const fn six(self) -> u32 {
        match self {
            Self::Ethernet => 0x86dd,
            Self::Ip => 0x60,
        }
    }

    const fn four(self) -> u32 {
        match self {
            Self::Ethernet => 0x0800,
            Self::Ip => 0x40,
        }
    }
}

/// Codes of classic BPF (linux/filter.h, `linux/bpf_common.h`).
const LDH: u16 = 0x28;
const LDB: u16 = 0x30;
const LDH_X: u16 = 0x48;
/// Four times the low four bits of a byte: the length of an IPv4 header.
const LDX_HEADER: u16 = 0xb1;
const AND: u16 = 0x54;
const JEQ: u16 = 0x15;
const JSET: u16 = 0x45;

const TCP: u32 = 6;
/// Distances that stand for a verdict until it has a place.
const TO_PASS: u8 = 254;
const TO_DROP: u8 = 255;

const fn absolute(code: u16, k: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, k }
}

const fn jump_if(k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code: JEQ, jump_true, jump_false, k }
}

fn branch(k: u32, jump_true: usize, jump_false: usize) -> Instruction {
    let short = |distance: usize| u8::try_from(distance).unwrap_or(TO_PASS);
    jump_if(k, short(jump_true), short(jump_false))
}

fn distance(from: usize, to: usize) -> u8 {
    u8::try_from(to - from - 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use tracer_core::filter::FilterInput;

    use super::*;
    use crate::libpcap::{Dlt, Libpcap};

    fn excluded() -> Excluded {
        Excluded([6443, KUBELET_PORT].into())
    }

    /// Packets that begin with IP: version, protocol, ports, fragment offset.
    fn packets() -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for (protocol, fragment) in [(6, 0), (17, 0), (6, 1)] {
            for (source, destination) in [(10_250_u16, 40_000_u16), (40_000, 6443), (80, 443), (6443, 10_250)]
            {
                let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
                let mut four = [0x46, 0, 0, 44, 0, 0, 0, fragment, 64, protocol, 0, 0].to_vec();
                four.extend([0; 12]);
                four.extend(&ports);
                packets.push(four);
                let mut six = [0x60, 0, 0, 0, 0, 20, protocol, 64].to_vec();
                six.extend([0; 32]);
                six.extend(&ports);
                packets.push(six);
            }
        }
        packets.push(vec![0x45; 9]);
        packets
    }

    fn passes(program: &Program, data: &[u8]) -> bool {
        let original_len = u32::try_from(data.len()).unwrap();
        program.run(&FilterInput { data, original_len, ..FilterInput::default() }) > 0
    }

    #[test]
    fn the_program_is_what_libpcap_means() {
        let libpcap = Libpcap::load().unwrap();
        let text = format!("not ({})", excluded());
        let mut dropped = 0;
        for (begin, link) in [(Begin::Ethernet, Dlt::ETHERNET), (Begin::Ip, Dlt::RAW)] {
            let own = excluded().program(begin).unwrap();
            let theirs = libpcap.compile(&text, link, 262_144, None).unwrap();
            for packet in packets() {
                let mut data = packet.clone();
                if begin.len() > 0 {
                    let ethertype = if packet[0] >> 4 == 6 { [0x86, 0xdd] } else { [0x08, 0x00] };
                    data = [[0; 12].as_slice(), &ethertype, &packet].concat();
                }
                assert_eq!(passes(&own, &data), passes(&theirs, &data), "{data:02x?}");
                dropped += usize::from(!passes(&own, &data));
            }
        }
        // Three of four pairs of ports, of two versions of IP, with two beginnings; IPv6 knows no fragments here.
        assert!(dropped >= 12, "{dropped}");
        let arp = [[0; 12].as_slice(), &[0x08, 0x06], &[0; 28]].concat();
        assert!(passes(&excluded().program(Begin::Ethernet).unwrap(), &arp));
    }

    #[test]
    fn an_expression_keeps_its_meaning() {
        let some = Expression::compile("tcp or udp", true).unwrap();
        let both = excluded().apply(Some(&some)).unwrap().unwrap();
        assert_eq!(both.text(), "(tcp or udp) and not (tcp port 6443 or tcp port 10250)");
        assert!(both.is_innermost());
        assert!(excluded().apply(None).unwrap().is_some());
        assert!(Excluded::default().apply(None).unwrap().is_none());
    }
}
