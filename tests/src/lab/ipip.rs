//! `tunl0`: the kernel's ipip device where there is one, else a TUN device and two TC programs.
//!
//! The programs are in `lab-ebpf`. They are attached by netlink at the lowest priority, because they end the
//! chain: an observer that comes after them would see nothing.

use std::{mem, net::Ipv4Addr};

use aya::{
    Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{Array, LpmTrie, Map, MapData, lpm_trie::Key},
    programs::{
        SchedClassifier, TcAttachType,
        tc::{NlOptions, TcAttachOptions, qdisc_add_clsact},
    },
};
use nix::net::if_::if_nametoindex;

use super::{
    config::Overlay,
    topology::{BLOCK_PREFIX, Node},
    tun::Tun,
};
use crate::{CommandError, LabError, Namespace, command::run_here};

pub(crate) static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lab-ebpf"));

const UPLINK: &str = "eth0";
const LAST: u16 = 65_000;

/// Makes `tunl0` in `ns`; a TUN device is returned where the kernel has no ipip.
pub(crate) fn make_device(ns: &Namespace) -> Result<Option<Tun>, LabError> {
    ns.run(|| {
        let device = Overlay::Ipip.device();
        let added = run_here("ip", &["link", "add", device, "type", "ipip"], "");
        // The module adds a tunl0 to every namespace by itself, and then refuses a second one.
        let present = if_nametoindex(device).is_ok();
        match added {
            _ if present => Ok(None),
            Ok(_) | Err(CommandError::Failed { .. }) => Tun::create(device).map(Some),
            Err(error) => Err(error.into()),
        }
    })?
}

/// Lets the node's TUN device do what the kernel's ipip device does.
pub(crate) fn attach_stand_in(ns: &Namespace, node: &Node) -> Result<Peers, LabError> {
    if OBJECT.is_empty() {
        return Err(LabError::NoObject);
    }
    ns.run(|| {
        // The programs need no type information of the kernel, and reading it takes a while.
        let mut ebpf = EbpfLoader::new().btf(None).load(OBJECT)?;
        write_settings(&mut ebpf, ns, node)?;
        let peers = write_remotes(&mut ebpf, node)?;
        attach(&mut ebpf, "encapsulate", Overlay::Ipip.device(), TcAttachType::Egress)?;
        attach(&mut ebpf, "decapsulate", UPLINK, TcAttachType::Ingress)?;
        Ok(peers)
    })?
}

/// In the order that `lab-ebpf` reads them.
fn write_settings(ebpf: &mut Ebpf, ns: &Namespace, node: &Node) -> Result<(), LabError> {
    let local = u32::from_ne_bytes(node.address.octets());
    let values = [index_of(ns, UPLINK)?, index_of(ns, Overlay::Ipip.device())?, local];
    let mut settings = Array::try_from(map(ebpf, "SETTINGS")?)?;
    for (index, value) in (0..).zip(values) {
        settings.set(index, value, 0)?;
    }
    Ok(())
}

fn write_remotes(ebpf: &mut Ebpf, node: &Node) -> Result<Peers, LabError> {
    let map = ebpf.take_map("REMOTES").ok_or(LabError::NoSuchPart("REMOTES"))?;
    let mut peers = Peers(LpmTrie::try_from(map)?);
    for other in node.others() {
        peers.set(other.tunnel, BLOCK_PREFIX, other.address)?;
    }
    Ok(peers)
}

/// What the stand-in takes from where the module would look it up in the routes.
#[derive(Debug)]
pub(crate) struct Peers(LpmTrie<MapData, [u8; 4], [u8; 4]>);

impl Peers {
    /// Lets packets to a network go to this node.
    pub(crate) fn set(&mut self, network: Ipv4Addr, prefix: u8, peer: Ipv4Addr) -> Result<(), LabError> {
        self.0.insert(&Key::new(prefix.into(), network.octets()), peer.octets(), 0)?;
        Ok(())
    }
}

fn attach(
    ebpf: &mut Ebpf,
    name: &'static str,
    interface: &'static str,
    direction: TcAttachType,
) -> Result<(), LabError> {
    let program = ebpf.program_mut(name).ok_or(LabError::NoSuchPart(name))?;
    let program: &mut SchedClassifier = program.try_into()?;
    program.load()?;
    qdisc_add_clsact(interface).map_err(|source| LabError::Clsact { interface, source })?;
    let options = TcAttachOptions::Netlink(NlOptions { priority: LAST, ..NlOptions::default() });
    let link = program.attach_with_options(interface, direction, options)?;
    // The filter goes with its namespace. Dropped, the link would look for it in the namespace of whatever
    // thread drops it.
    mem::forget(program.take_link(link)?);
    Ok(())
}

fn map<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Map, LabError> {
    ebpf.map_mut(name).ok_or(LabError::NoSuchPart(name))
}

fn index_of(ns: &Namespace, interface: &'static str) -> Result<u32, LabError> {
    if_nametoindex(interface).map_err(|source| LabError::Interface {
        interface,
        namespace: ns.name().to_owned(),
        source,
    })
}
