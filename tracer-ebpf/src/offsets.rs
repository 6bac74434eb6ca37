//! Where the running kernel has what is read of its structures, in bytes: from its type information (BTF), as user space
//! found it there before loading.

use aya_ebpf::Global;

macro_rules! constants {
    ($($(#[$doc:meta])+ $name:ident),+ $(,)?) => {$(
        $(#[$doc])+
        #[unsafe(no_mangle)]
        pub(crate) static $name: Global<u32> = Global::new(0);
    )+};
}

constants! {
    /// Number of the network namespace that is observed.
    DROP_NETNS,
    /// Whether the namespaces are observed too that a device joins to it.
    DROP_JOINED,
    /// Whether the tracepoint tells a reason (Linux 5.17).
    TELLS_REASONS,
    /// Whether it tells the socket that the packet was for (Linux 6.11).
    TELLS_SOCKETS,
    /// Whether the program may ask for the names of functions (`bpf_snprintf`, Linux 5.13).
    TELLS_FUNCTIONS,
    /// `sk_buff.head`.
    SKB_HEAD,
    /// `sk_buff.data`.
    SKB_DATA,
    /// `sk_buff.tail`, from the head.
    SKB_TAIL,
    /// `sk_buff.end`, from the head.
    SKB_END,
    /// `sk_buff.len`.
    SKB_LEN,
    /// `sk_buff.network_header`, from the head.
    SKB_NETWORK_HEADER,
    /// `sk_buff.protocol`.
    SKB_PROTOCOL,
    /// `sk_buff.mark`.
    SKB_MARK,
    /// `sk_buff.skb_iif`.
    SKB_IIF,
    /// `sk_buff.dev`.
    SKB_DEV,
    /// `sk_buff._skb_refdst`.
    SKB_ROUTE,
    /// `sk_buff.sk`.
    SKB_SOCKET,
    /// The byte with `sk_buff.cloned`.
    SKB_CLONED,
    /// The bit in it.
    CLONED_MASK,
    /// The byte with `sk_buff.fclone`.
    SKB_FCLONE,
    /// Bits before it.
    FCLONE_SHIFT,
    /// `skb_shared_info.gso_size`.
    SHARED_GSO_SIZE,
    /// `skb_shared_info.gso_segs`.
    SHARED_GSO_SEGS,
    /// `skb_shared_info.dataref`.
    SHARED_REFERENCES,
    /// `dst_entry.dev`.
    ROUTE_DEV,
    /// `net_device.name`.
    DEVICE_NAME,
    /// `net_device.ifindex`.
    DEVICE_INDEX,
    /// `net_device.nd_net.net`.
    DEVICE_NET,
    /// `net_device.rtnl_link_ops`.
    DEVICE_OPERATIONS,
    /// `rtnl_link_ops.kind`.
    OPERATIONS_KIND,
    /// Behind `net_device`, what is the device's own (`netdev_priv`).
    DEVICE_PRIVATE,
    /// `net.ns.inum`.
    NET_INODE,
    /// `sock.__sk_common.skc_net.net`.
    SOCKET_NET,
}
