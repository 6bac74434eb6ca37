//! Neighbours by ARP and NDP (`linux/neighbour.h`).

use tracer_core::evidence::{Neighbour, NeighbourState};
use tracer_core::way::LinkIndex;

use super::attributes::{address, mac, unspecified};
use super::dump;
use crate::kernel::netlink::{Connection, NetlinkError, field};

const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
/// `struct ndmsg`: family, padding, index, state, flags, type.
const NDMSG_LEN: usize = 12;
/// Offset of the flags.
const FLAGS: usize = 10;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NTF_PROXY: u8 = 8;
const NUD_INCOMPLETE: u16 = 1;
const NUD_FAILED: u16 = 0x20;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;

/// Lists neighbours, and then the addresses that this node answers for.
pub(super) fn read(connection: &mut Connection) -> Result<Vec<Neighbour>, NetlinkError> {
    let mut all = Vec::new();
    for flags in [0, NTF_PROXY] {
        let mut header = [0; NDMSG_LEN];
        header[FLAGS] = flags;
        let messages = dump(connection, "list the neighbours", (RTM_GETNEIGH, RTM_NEWNEIGH), &header)?;
        all.extend(messages.filter_map(|message| parse(&message.body)));
    }
    Ok(all)
}

/// Absent for families other than those of IP, and for what needs no hardware address: groups, loopback, tunnels.
fn parse(body: &[u8]) -> Option<Neighbour> {
    let attributes = body.get(NDMSG_LEN..)?;
    unspecified(body[0])?;
    let bits = u16::from_ne_bytes(field(body, 8)?);
    (bits & NUD_NOARP == 0).then_some(())?;
    let is_proxy = body[FLAGS] & NTF_PROXY != 0;
    Some(Neighbour {
        address: address(attributes, NDA_DST)?,
        link: LinkIndex(u32::from_ne_bytes(field(body, 4)?)),
        mac: mac(attributes, NDA_LLADDR),
        state: if is_proxy { NeighbourState::Permanent } else { state(bits) },
        is_proxy,
    })
}

const fn state(bits: u16) -> NeighbourState {
    if bits & NUD_PERMANENT != 0 {
        NeighbourState::Permanent
    } else if bits & NUD_FAILED != 0 {
        NeighbourState::Failed
    } else if bits & NUD_INCOMPLETE != 0 || bits == 0 {
        NeighbourState::Incomplete
    } else {
        NeighbourState::Known
    }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{AF_INET, build, mistreat};
    use super::*;

    #[test]
    fn states_of_neighbours() {
        let table = [
            (1, 0, NeighbourState::Incomplete),
            (2, 0, NeighbourState::Known),
            (4, 0, NeighbourState::Known),
            (0x10, 0, NeighbourState::Known),
            (0x20, 0, NeighbourState::Failed),
            (0x80, 0, NeighbourState::Permanent),
            (0, NTF_PROXY, NeighbourState::Permanent),
        ];
        for (bits, flags, expected) in table {
            let header = [AF_INET, 0, 0, 0, 5, 0, 0, 0, bits, 0, flags, 0];
            let body = build(&header, &[(NDA_DST, &[10, 0, 0, 9]), (NDA_LLADDR, &[2, 0, 0, 0, 0, 9])]);
            let found = parse(&body).unwrap();
            assert_eq!((found.state, found.link, found.is_proxy), (expected, LinkIndex(5), flags != 0));
            assert_eq!(found.mac.as_deref(), Some("02:00:00:00:00:09"));
            mistreat(&body, parse);
        }
        let noarp = build(&[AF_INET, 0, 0, 0, 5, 0, 0, 0, 0x40, 0, 0, 0], &[(NDA_DST, &[224, 0, 0, 1])]);
        assert_eq!(parse(&noarp), None, "of a group");
        assert_eq!(parse(&[7, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0]), None, "of a bridge");
    }
}
