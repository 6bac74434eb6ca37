//! A program of somebody else on an interface: it drops, marks, redirects and passes by the destination port of UDP.

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, PerCpuArray},
    programs::{
        LinkOrder, SchedClassifier, TcAttachType,
        tc::{NlOptions, TcAttachOptions, qdisc_add_clsact},
    },
};

use crate::{LabError, lab::ipip::OBJECT};

/// The program, by its name in the object.
const NAME: &str = "neighbour";

/// Destination ports, as `lab-ebpf/src/neighbour.rs` has them.
pub mod port {
    /// Goes on to the next program.
    pub const NEXT: u16 = 7100;
    /// Is dropped.
    pub const DROPPED: u16 = 7101;
    /// Goes on with [`super::MARK`].
    pub const MARKED: u16 = 7102;
    /// Leaves by another interface.
    pub const REDIRECTED: u16 = 7103;
    /// Passes, and no program behind sees it.
    pub const PASSED: u16 = 7104;
}

/// All ports.
pub const PORTS: [u16; 5] = [port::NEXT, port::DROPPED, port::MARKED, port::REDIRECTED, port::PASSED];

/// What `skb->mark` of the marked is.
pub const MARK: u32 = 0x77;

/// How the program is attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hook {
    /// By TCX, behind the programs that are there.
    Tcx,
    /// By clsact, with this priority.
    Clsact(u16),
}

/// The program on an interface; it goes when this value goes.
pub struct Neighbour {
    ebpf: Ebpf,
    /// The id that the kernel has for it.
    pub id: u32,
}

impl Neighbour {
    /// Attaches it to an interface of the calling thread's namespace. What it redirects leaves by the interface `to`.
    pub fn attach(
        interface: &'static str,
        direction: TcAttachType,
        hook: Hook,
        to: u32,
    ) -> Result<Self, LabError> {
        if OBJECT.is_empty() {
            return Err(LabError::NoObject);
        }
        let mut ebpf = EbpfLoader::new().btf(None).load(OBJECT)?;
        let map = ebpf.map_mut("NEIGHBOUR_TO").ok_or(LabError::NoSuchPart("NEIGHBOUR_TO"))?;
        Array::try_from(map)?.set(0, to, 0)?;
        let program = ebpf.program_mut(NAME).ok_or(LabError::NoSuchPart(NAME))?;
        let program: &mut SchedClassifier = program.try_into()?;
        program.load()?;
        let id = program.info()?.id();
        let options = match hook {
            Hook::Tcx => TcAttachOptions::TcxOrder(LinkOrder::default()),
            Hook::Clsact(priority) => {
                // It may be there already.
                let _ = qdisc_add_clsact(interface);
                TcAttachOptions::Netlink(NlOptions { priority, ..NlOptions::default() })
            }
        };
        program.attach_with_options(interface, direction, options)?;
        Ok(Self { ebpf, id })
    }

    /// Datagrams that it saw, in the order of [`PORTS`].
    pub fn seen(&self) -> Result<[u64; 5], LabError> {
        let map = self.ebpf.map("NEIGHBOUR_SEEN").ok_or(LabError::NoSuchPart("NEIGHBOUR_SEEN"))?;
        let map: PerCpuArray<_, u64> = PerCpuArray::try_from(map)?;
        let mut seen = [0; PORTS.len()];
        for (index, sum) in (0..).zip(&mut seen) {
            *sum = map.get(&index, 0)?.iter().sum();
        }
        Ok(seen)
    }
}
