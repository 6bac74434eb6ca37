//! Forwarding entries of bridges and of VXLAN devices (`linux/neighbour.h`, bridge(8)).

use tracer_core::evidence::FdbEntry;
use tracer_core::way::LinkIndex;

use super::attributes::{AF_BRIDGE, address, index, mac, number};
use super::dump;
use crate::kernel::netlink::{Connection, NetlinkError, field};

const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
/// Of bridges the kernel wants `struct ifinfomsg` (`valid_fdb_dump_legacy`, net/core/rtnetlink.c).
const IFINFOMSG_LEN: usize = 16;
/// `struct ndmsg`: family, padding, index, state, flags, type.
const NDMSG_LEN: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_VNI: u16 = 7;
const NDA_MASTER: u16 = 9;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;

pub(super) fn read(connection: &mut Connection) -> Result<Vec<FdbEntry>, NetlinkError> {
    let mut header = [0; IFINFOMSG_LEN];
    header[0] = AF_BRIDGE;
    let messages = dump(connection, "list the forwarding entries", (RTM_GETNEIGH, RTM_NEWNEIGH), &header)?;
    Ok(messages.filter_map(|message| parse(&message.body)).collect())
}

fn parse(body: &[u8]) -> Option<FdbEntry> {
    let attributes = body.get(NDMSG_LEN..)?;
    let state = u16::from_ne_bytes(field(body, 8)?);
    (body[0] == AF_BRIDGE).then_some(())?;
    Some(FdbEntry {
        mac: mac(attributes, NDA_LLADDR)?,
        link: LinkIndex(u32::from_ne_bytes(field(body, 4)?)),
        master: index(attributes, NDA_MASTER).map(LinkIndex),
        remote: address(attributes, NDA_DST),
        vni: number(attributes, NDA_VNI),
        is_permanent: state & (NUD_PERMANENT | NUD_NOARP) != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{build, mistreat};
    use super::*;

    #[test]
    fn entries_of_a_bridge_and_of_a_vxlan() {
        let header = |family, state| [family, 0, 0, 0, 5, 0, 0, 0, state, 0, 0, 0];
        let station: (u16, &[u8]) = (NDA_LLADDR, &[2, 0, 0, 0, 0, 5]);
        let bridge = build(&header(AF_BRIDGE, 2), &[station, (NDA_MASTER, &[3, 0, 0, 0])]);
        let found = parse(&bridge).unwrap();
        assert_eq!(
            (found.mac.as_str(), found.link, found.master),
            ("02:00:00:00:00:05", LinkIndex(5), Some(LinkIndex(3)))
        );
        assert!(!found.is_permanent && found.remote.is_none());
        let list: [(u16, &[u8]); 3] = [station, (NDA_DST, &[10, 0, 0, 2]), (NDA_VNI, &[7, 0, 0, 0])];
        let found = parse(&build(&header(AF_BRIDGE, 0x82), &list)).unwrap();
        assert_eq!(
            (found.remote, found.vni, found.is_permanent),
            (Some([10, 0, 0, 2].into()), Some(7), true)
        );
        assert_eq!(parse(&build(&header(2, 2), &[station])), None, "a neighbour of IPv4");
        mistreat(&bridge, parse);
    }
}
