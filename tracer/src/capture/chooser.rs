//! Which interfaces are observed, as it is now: by names, or by where pods are.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tracer_core::way::{Choice, Extent, Facts, LinkIndex, Place, choose};

use super::orders::PodLinks;
use super::selection::{Selection, SelectionError};
use crate::kernel::interfaces::{Link, LinkType};
use crate::kernel::inventory;
use crate::kernel::netlink::NetlinkError;

/// Changes within this time are looked at together: a pod that comes changes links and routes many times.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// While a bridge has not heard of a pod, it is asked again this often.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How interfaces are chosen.
pub(super) enum Chooser {
    /// By their names.
    Named(Selection),
    /// By the pods whose packets pass them.
    Pods(Pods),
}

/// Interfaces by pods.
pub(super) struct Pods {
    order: PodLinks,
    choice: Choice,
    /// Addresses of which it was said that their ends cannot be told.
    told: BTreeSet<IpAddr>,
    /// When to look next.
    due: Option<Instant>,
    looked: Instant,
}

impl Chooser {
    pub(super) fn new(selection: Selection, pods: Option<PodLinks>) -> Self {
        pods.map_or(Self::Named(selection), |order| Self::Pods(Pods::new(order)))
    }

    /// Fails when a name is that of no interface.
    pub(super) fn check(&self, links: &[Link]) -> Result<(), SelectionError> {
        match self {
            Self::Named(selection) => selection.check(links),
            Self::Pods(_) => Ok(()),
        }
    }

    pub(super) fn contains(&self, link: &Link) -> bool {
        match self {
            Self::Named(selection) => selection.contains(link),
            Self::Pods(pods) => {
                let is_readable = !matches!(link.link_type, LinkType::Unsupported(_));
                is_readable && pods.choice.links.contains(&LinkIndex(link.index.0))
            }
        }
    }

    /// Whether an interface was chosen by its very name.
    pub(super) fn names(&self, link: &Link) -> bool {
        matches!(self, Self::Named(selection) if selection.names(link))
    }

    /// The pods by which interfaces are chosen.
    pub(super) const fn pods(&mut self) -> Option<&mut Pods> {
        match self {
            Self::Named(_) => None,
            Self::Pods(pods) => Some(pods),
        }
    }

    /// Chooses by other pods from now on. Looks at them when it is asked to.
    pub(super) fn order(&mut self, order: PodLinks) {
        match self {
            Self::Pods(pods) => pods.order = order,
            Self::Named(_) => *self = Self::Pods(Pods::new(order)),
        }
    }
}

/// What follows `capturing on ...`.
impl fmt::Display for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Pods(Pods { order, .. }) = self else { return Ok(()) };
        let addresses: Vec<_> = order.addresses.iter().map(ToString::to_string).collect();
        let addresses = if addresses.is_empty() { "no pod".to_owned() } else { addresses.join(", ") };
        let what = if order.extent == Extent::Way { "the way of" } else { "the ends of" };
        write!(f, " ({what} {addresses})")
    }
}

impl Pods {
    fn new(order: PodLinks) -> Self {
        let now = Instant::now();
        Self { order, choice: Choice::default(), told: BTreeSet::new(), due: None, looked: now }
    }

    /// Asks the kernel where the pods are. Returns what has to be said of it.
    pub(super) fn look(&mut self, now: Instant) -> Result<Option<String>, NetlinkError> {
        let facts = inventory::facts(&self.order.addresses)?;
        let choice = choose(&facts, self.order.extent, &self.order.addresses, &self.choice.places);
        self.looked = now;
        let untold: BTreeSet<_> = choice.untold().collect();
        self.due = (!untold.is_empty()).then(|| now + ASK_AGAIN);
        let word = (!untold.is_subset(&self.told)).then(|| untold_word(&facts, &choice));
        self.told = untold;
        self.choice = choice;
        Ok(word)
    }

    /// Something changed: it is looked at soon.
    pub(super) fn change(&mut self) {
        let soon = self.looked + DEBOUNCE;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// A route to a network changed.
    pub(super) fn change_of_route(&mut self, network: IpAddr, length: u8) {
        if self.order.addresses.iter().any(|address| is_in(*address, network, length)) {
            self.change();
        }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| now >= due)
    }
}

fn untold_word(facts: &Facts, choice: &Choice) -> String {
    let name = |index: &LinkIndex| {
        facts.links.iter().find(|link| link.index == *index).map_or("?", |link| link.name.as_str())
    };
    let untold = choice.places.iter().filter_map(|(address, place)| match place {
        Place::Bridge(bridge) => {
            Some(format!("{address} (all ports of {}, which has not heard of it)", name(bridge)))
        }
        Place::Hidden(device) => {
            Some(format!("{address} (all pods, since it is routed to {})", name(device)))
        }
        Place::Node | Place::End(_) | Place::Elsewhere => None,
    });
    let untold: Vec<_> = untold.collect();
    format!("cannot tell which interface leads to each pod, capturing on more: {}", untold.join(", "))
}

fn is_in(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let host = u32::from(width - length.min(width));
    (address ^ network).checked_shr(host).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_addresses() {
        let table = [
            ("10.244.1.5", "10.244.1.5", 32, true),
            ("10.244.1.5", "10.244.1.4", 32, false),
            ("10.244.1.5", "10.244.1.0", 26, true),
            ("10.244.1.69", "10.244.1.0", 26, false),
            ("10.244.1.5", "0.0.0.0", 0, true),
            ("fd00::5", "fd00::", 64, true),
            ("fd00:0:0:1::5", "fd00::", 64, false),
            ("fd00::5", "::", 0, true),
            ("10.244.1.5", "::", 0, false),
        ];
        for (address, network, length, expected) in table {
            let [address, network] = [address, network].map(|text: &str| text.parse().unwrap());
            assert_eq!(is_in(address, network, length), expected, "{address} in {network}/{length}");
        }
    }

    #[test]
    fn announcement_names_the_pods() {
        let order = |extent, addresses: &[&str]| {
            let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
            Chooser::new(Selection::default(), Some(PodLinks { extent, addresses })).to_string()
        };
        assert_eq!(order(Extent::Way, &["10.0.0.1", "10.0.0.2"]), " (the way of 10.0.0.1, 10.0.0.2)");
        assert_eq!(order(Extent::Ends, &[]), " (the ends of no pod)");
        assert_eq!(Chooser::new(Selection::default(), None).to_string(), "");
    }

    #[test]
    fn changes_are_looked_at_together_and_soon() {
        let order = PodLinks { extent: Extent::Way, addresses: ["10.0.0.1".parse().unwrap()].into() };
        let mut pods = Pods::new(order);
        let now = pods.looked;
        assert!(!pods.is_due(now + Duration::from_secs(9)));
        pods.change_of_route("10.1.0.0".parse().unwrap(), 16);
        assert!(!pods.is_due(now + Duration::from_secs(9)), "another network");
        pods.change_of_route("10.0.0.0".parse().unwrap(), 16);
        assert!(!pods.is_due(now) && pods.is_due(now + DEBOUNCE));
    }
}
