//! Where the running kernel has the fields that the program reads, as constants of the program.

use super::DropsError;
use crate::kernel::btf::{Btf, Field};

/// Constants of the program that are offsets in bytes: name, structure, field.
const OFFSETS: [(&str, &str, &[&str]); 23] = [
    ("SKB_HEAD", "sk_buff", &["head"]),
    ("SKB_DATA", "sk_buff", &["data"]),
    ("SKB_TAIL", "sk_buff", &["tail"]),
    ("SKB_END", "sk_buff", &["end"]),
    ("SKB_LEN", "sk_buff", &["len"]),
    ("SKB_NETWORK_HEADER", "sk_buff", &["network_header"]),
    ("SKB_PROTOCOL", "sk_buff", &["protocol"]),
    ("SKB_MARK", "sk_buff", &["mark"]),
    ("SKB_IIF", "sk_buff", &["skb_iif"]),
    ("SKB_DEV", "sk_buff", &["dev"]),
    ("SKB_ROUTE", "sk_buff", &["_skb_refdst"]),
    ("SKB_SOCKET", "sk_buff", &["sk"]),
    ("SHARED_GSO_SIZE", "skb_shared_info", &["gso_size"]),
    ("SHARED_GSO_SEGS", "skb_shared_info", &["gso_segs"]),
    ("SHARED_REFERENCES", "skb_shared_info", &["dataref"]),
    ("ROUTE_DEV", "dst_entry", &["dev"]),
    ("DEVICE_NAME", "net_device", &["name"]),
    ("DEVICE_INDEX", "net_device", &["ifindex"]),
    ("DEVICE_NET", "net_device", &["nd_net", "net"]),
    ("DEVICE_OPERATIONS", "net_device", &["rtnl_link_ops"]),
    ("OPERATIONS_KIND", "rtnl_link_ops", &["kind"]),
    ("NET_INODE", "net", &["ns", "inum"]),
    ("SOCKET_NET", "sock", &["__sk_common", "skc_net", "net"]),
];

/// Arguments of the tracepoint up to the reason, and up to the socket.
const WITH_REASON: usize = 3;
const WITH_SOCKET: usize = 4;

/// Offsets, and what the kernel tells.
#[derive(Debug)]
pub(super) struct Layout {
    offsets: Vec<(&'static str, u32)>,
    arguments: usize,
    has_snprintf: bool,
}

impl Layout {
    pub(super) fn of(btf: &Btf) -> Result<Self, DropsError> {
        let arguments =
            btf.tracepoint_arguments("kfree_skb").ok_or(DropsError::Field("tracepoint skb:kfree_skb"))?;
        let mut offsets = Vec::with_capacity(OFFSETS.len() + 5);
        for (constant, structure, path) in OFFSETS {
            let field = btf.field(structure, path).ok_or(DropsError::Field(constant))?;
            offsets.push((constant, field.offset()));
        }
        // `NETDEV_ALIGN` (include/linux/netdevice.h).
        let device = btf.size("net_device").ok_or(DropsError::Field("net_device"))?;
        offsets.push(("DEVICE_PRIVATE", device.next_multiple_of(32)));
        let bits = |name: &'static str| btf.field("sk_buff", &[name]).ok_or(DropsError::Field(name));
        let (cloned, fclone) = (bits("cloned")?, bits("fclone")?);
        offsets.extend([
            ("SKB_CLONED", cloned.offset()),
            ("CLONED_MASK", 1 << cloned.shift()),
            ("SKB_FCLONE", fclone.offset()),
            ("FCLONE_SHIFT", Field::shift(fclone)),
        ]);
        let helpers = btf.enumerators(|name| name == "bpf_func_id");
        let has_snprintf = helpers.iter().any(|(name, _)| *name == "BPF_FUNC_snprintf");
        Ok(Self { offsets, arguments, has_snprintf })
    }

    pub(super) const fn tells_reasons(&self) -> bool {
        self.arguments >= WITH_REASON
    }

    /// Whether the program itself may ask for the names of functions, which needs no privilege for the list of symbols.
    pub(super) const fn tells_functions(&self) -> bool {
        self.has_snprintf
    }

    pub(super) fn constants(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let told = [
            ("TELLS_REASONS", self.tells_reasons()),
            ("TELLS_SOCKETS", self.arguments >= WITH_SOCKET),
            ("TELLS_FUNCTIONS", self.has_snprintf),
        ];
        self.offsets.iter().copied().chain(told.map(|(name, is_told)| (name, u32::from(is_told))))
    }
}
