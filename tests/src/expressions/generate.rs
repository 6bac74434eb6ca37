//! Expressions, programs and packets that nobody thought of.

use tracer_core::filter::{Instruction, MAX_INSTRUCTIONS, SLOTS};

use crate::truth::random::Random;

/// An expression of the grammar of pcap-filter(7). Not all are compiled for every link type, and some not at all:
/// those that no packet can match.
pub fn expression(random: &mut Random) -> String {
    let depth = random.between(0, 4);
    condition(random, depth)
}

fn pick<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.between(0, of.len())]
}

fn condition(random: &mut Random, depth: usize) -> String {
    if depth == 0 {
        return primitive(random);
    }
    let (left, right) = (random.between(0, depth), random.between(0, depth));
    match random.between(0, 6) {
        0 => format!("not {}", condition(random, left)),
        1 => format!("({})", condition(random, left)),
        2 => format!("not ({} or {})", condition(random, left), condition(random, right)),
        3 | 4 => format!("{} or {}", condition(random, left), condition(random, right)),
        _ => format!("({}) and {}", condition(random, left), condition(random, right)),
    }
}

fn primitive(random: &mut Random) -> String {
    const KINDS: [&str; 18] = [
        "ip",
        "ip6",
        "arp",
        "tcp",
        "udp",
        "icmp",
        "icmp6",
        "sctp",
        "vlan",
        "vlan 5",
        "mpls",
        "pppoes",
        "multicast",
        "broadcast",
        "ip multicast",
        "ip6 multicast",
        "geneve",
        "ip6 protochain 6",
    ];
    const DIRECTIONS: [&str; 5] = ["", "src ", "dst ", "src or dst ", "src and dst "];
    const HOSTS: [&str; 4] = ["192.0.2.10", "192.0.2.20", "2001:db8::10", "10.1.2.3"];
    const NETS: [&str; 4] = ["192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "0.0.0.0/1"];
    const TRANSPORTS: [&str; 4] = ["", "tcp ", "udp ", "sctp "];
    const PORTS: [&str; 6] = ["53", "80", "8080", "443", "40000", "0"];
    const COMPARISONS: [&str; 6] = ["=", "!=", "<", ">", "<=", ">="];
    let direction = pick(random, &DIRECTIONS);
    match random.between(0, 8) {
        0 | 1 => pick(random, &KINDS).to_owned(),
        2 => format!("{direction}host {}", pick(random, &HOSTS)),
        3 => format!("{direction}net {}", pick(random, &NETS)),
        4 => format!("{}{direction}port {}", pick(random, &TRANSPORTS), pick(random, &PORTS)),
        5 => format!("{direction}portrange {}-{}", random.between(0, 1000), random.between(1000, 50000)),
        6 => format!("{} {}", pick(random, &["less", "greater"]), random.between(20, 300)),
        _ => {
            let (left, right) = (random.between(0, 4), random.between(0, 2));
            let comparison = pick(random, &COMPARISONS);
            format!("{} {comparison} {}", number(random, left), number(random, right))
        }
    }
}

/// An arithmetic expression.
fn number(random: &mut Random, depth: usize) -> String {
    const LAYERS: [&str; 9] = ["ether", "ip", "ip6", "tcp", "udp", "icmp", "icmp6", "arp", "link"];
    const OPERATORS: [&str; 10] = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"];
    if depth == 0 {
        return match random.between(0, 6) {
            0 => "len".to_owned(),
            1 | 2 => random.between(0, 70).to_string(),
            3 => format!("{:#x}", random.number() >> 32 >> random.between(0, 32)),
            _ => {
                let layer = pick(random, &LAYERS);
                format!("{layer}[{}:{}]", random.between(0, 40), [1, 2, 4][random.between(0, 3)])
            }
        };
    }
    let (left, right) = (random.between(0, depth), random.between(0, depth));
    if random.between(0, 5) == 0 {
        let offset = number(random, left);
        return format!("{}[{offset}:{}]", pick(random, &LAYERS), [1, 2, 4][random.between(0, 3)]);
    }
    let operator = pick(random, &OPERATORS);
    let left = number(random, left);
    let right = match operator {
        "<<" | ">>" => format!("({} & 31)", number(random, right)),
        _ => number(random, right),
    };
    format!("({left} {operator} {right})")
}

/// Instructions that are a program in order without loops, in which memory is read after it was written only. It
/// does what a compiler never would.
pub fn instructions(random: &mut Random) -> Vec<Instruction> {
    const CODES: [u16; 49] = [
        0x00, 0x20, 0x28, 0x30, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80, 0x01, 0x61, 0x81, 0xb1, 0x02, 0x03, 0x04,
        0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x84, 0x94,
        0x9c, 0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x07, 0x87, 0x16,
    ];
    let most = [8, 64, MAX_INSTRUCTIONS / 16][random.between(0, 3)];
    let count = random.between(1, most);
    let mut instructions: Vec<Instruction> = (0..SLOTS)
        .map(|slot| Instruction { code: 0x02, k: u32::try_from(slot).unwrap_or(0), ..Instruction::default() })
        .collect();
    for at in 0..count {
        let mut code = CODES[random.between(0, CODES.len())];
        if code == 0x16 && random.between(0, 8) > 0 {
            code = 0x07;
        }
        let left = count - at;
        let mut jump = || u8::try_from(random.between(0, left.min(12))).unwrap_or(0);
        let (jump_true, jump_false) = if code & 7 == 5 && code != 5 { (jump(), jump()) } else { (0, 0) };
        instructions.push(Instruction { code, jump_true, jump_false, k: operand(random, code, left) });
    }
    let end = if random.between(0, 2) == 0 { (0x16, 0) } else { (0x06, 262_144) };
    instructions.push(Instruction { code: end.0, k: end.1, ..Instruction::default() });
    instructions
}

/// An operand that the code can have with so many instructions left.
fn operand(random: &mut Random, code: u16, left: usize) -> u32 {
    const EDGES: [u32; 6] = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, 0xffff];
    let small = |random: &mut Random, to: usize| u32::try_from(random.between(0, to)).unwrap_or(0);
    let any = match random.between(0, 4) {
        0 => EDGES[random.between(0, EDGES.len())],
        1 => u32::try_from(random.number() >> 32).unwrap_or(0),
        _ => small(random, 80),
    };
    match code {
        0x02 | 0x03 | 0x60 | 0x61 => small(random, SLOTS),
        0x05 => small(random, left.min(12)),
        0x34 | 0x94 => any.max(1),
        0x64 | 0x74 => any % 32,
        // What is from there on is no offset.
        0x20 | 0x28 | 0x30 => any.min(0xffff_efff),
        _ => any,
    }
}

/// Bytes that differ from `bytes` in some places, or are cut short.
pub fn mutated(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.between(0, 4) {
        let at = random.between(0, bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = random.number().to_le_bytes()[0];
        }
    }
    if random.between(0, 3) == 0 {
        bytes.truncate(random.between(0, bytes.len() + 1));
    }
    bytes
}
