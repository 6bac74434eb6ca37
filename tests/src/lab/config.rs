//! What kind of lab to raise.

/// How packets of pods travel between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    /// IP in IP through `tunl0`, Calico's `ipipMode: Always`.
    #[default]
    Ipip,
    /// VXLAN through `vxlan.calico`, Calico's `vxlanMode: Always`.
    Vxlan,
    /// Plain routes.
    None,
}

impl Overlay {
    /// The device that pods' packets leave a node by.
    pub fn device(self) -> &'static str {
        match self {
            Self::Ipip => "tunl0",
            Self::Vxlan => "vxlan.calico",
            Self::None => "eth0",
        }
    }

    /// The device that pods' IPv6 packets leave a node by: Calico has no IPv6 in IP.
    pub fn device6(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan-v6.calico",
            Self::Ipip | Self::None => "eth0",
        }
    }

    /// Bytes that one packet of a pod may have.
    pub(crate) fn mtu(self) -> u16 {
        match self {
            Self::Ipip => 1480,
            Self::Vxlan => 1450,
            Self::None => 1500,
        }
    }
}

/// What kind of lab to raise; the default is Calico with IPIP and without IPv6.
#[derive(Clone, Copy, Debug, Default)]
pub struct LabConfig {
    /// How packets of pods travel between nodes.
    pub overlay: Overlay,
    /// Leaves IPv6 on, and so neighbour discovery and multicast listeners on every interface.
    pub ipv6: bool,
    /// Lets every service take UDP as well, on the same ports.
    pub udp: bool,
    /// Gives nodes and pods an IPv6 address each besides, and their own routes and overlay for it.
    pub dual: bool,
}

impl LabConfig {
    /// Bytes that one packet of a pod may have: an outer IPv6 header is 20 bytes longer than one of IPv4.
    pub(crate) fn pod_mtu(self) -> u16 {
        if self.dual && self.overlay == Overlay::Vxlan { 1430 } else { self.overlay.mtu() }
    }

    /// Whether IPv6 is left on.
    pub(crate) fn has_ipv6(self) -> bool {
        self.ipv6 || self.dual
    }

    /// How many transport protocols services take: TCP, or TCP and UDP.
    pub(crate) fn protocols(self) -> usize {
        if self.udp { 2 } else { 1 }
    }
}
