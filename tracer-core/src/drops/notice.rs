//! What is told of one dropped packet besides its bytes: a packet comment that people and programs read.
//!
//! `dropped in nf_hook_slow+0xc6 reason NETFILTER_DROP on eth0 netns 4026531840`, each part but the first word left out
//! where it is not known, and `clone` behind it where others have the packet as well.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Name of the interface that packets dropped in the capture's own network namespace are written under.
pub const INTERFACE: &str = "kfree_skb";

/// Characters of a name that are kept.
const MAX_NAME: usize = 128;

/// What a kernel says of a packet that it dropped.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notice {
    /// The function, without what compilers add to its name.
    pub function: Option<String>,
    /// Bytes from its beginning to the place in it.
    pub offset: Option<u64>,
    /// The reason, without its prefix.
    pub reason: Option<String>,
    /// The interface that the packet belonged to.
    pub interface: Option<String>,
    /// Inode of the network namespace.
    pub netns: Option<u64>,
    /// Whether others have the packet as well, by clones of the socket buffer.
    pub is_clone: bool,
}

/// A text is no [`Notice`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("this says of no packet that it was dropped")]
pub struct NotANotice;

/// The name of the interface that packets dropped in another namespace are written under.
pub fn interface_of(netns: u64) -> String {
    format!("{INTERFACE}@{netns}")
}

/// Whether packets written under a name of an interface were dropped; then in which namespace, if not in the capture's own.
pub fn is_interface(name: &str) -> Option<Option<u64>> {
    match name.strip_prefix(INTERFACE)? {
        "" => Some(None),
        rest => rest.strip_prefix('@')?.parse().ok().map(Some),
    }
}

impl Notice {
    /// Notes a place as the kernel prints it (`%pS`): `nf_hook_slow+0xc6/0x100 [module]`.
    pub fn set_place(&mut self, place: &str) {
        let place = place.split_whitespace().next().unwrap_or_default();
        let (name, rest) = place.split_once('+').unwrap_or((place, ""));
        // What compilers make of a function has its name and a suffix: `.isra.0`, `.constprop.0`, `.cold`.
        let name = name.split('.').next().unwrap_or_default();
        if name.is_empty() || name.starts_with("0x") || name.len() > MAX_NAME {
            return;
        }
        self.function = Some(name.to_owned());
        let offset = rest.split('/').next().and_then(|offset| offset.strip_prefix("0x"));
        self.offset = offset.and_then(|offset| u64::from_str_radix(offset, 16).ok());
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dropped")?;
        if let Some(function) = &self.function {
            write!(f, " in {function}")?;
            if let Some(offset) = self.offset {
                write!(f, "+{offset:#x}")?;
            }
        }
        if let Some(reason) = &self.reason {
            write!(f, " reason {reason}")?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " on {interface}")?;
        }
        if let Some(netns) = self.netns {
            write!(f, " netns {netns}")?;
        }
        f.write_str(if self.is_clone { " clone" } else { "" })
    }
}

impl FromStr for Notice {
    type Err = NotANotice;

    /// Words that are not known are passed over: a later version may add some at the end.
    fn from_str(text: &str) -> Result<Self, NotANotice> {
        let mut words = text.split(' ');
        if words.next() != Some("dropped") {
            return Err(NotANotice);
        }
        let mut notice = Self::default();
        let name = |word: Option<&str>| {
            word.filter(|word| !word.is_empty() && word.len() <= MAX_NAME)
                .map(str::to_owned)
                .ok_or(NotANotice)
        };
        while let Some(word) = words.next() {
            match word {
                "in" => notice.set_place(words.next().ok_or(NotANotice)?),
                "reason" => notice.reason = Some(name(words.next())?),
                "on" => notice.interface = Some(name(words.next())?),
                "netns" => notice.netns = Some(name(words.next())?.parse().map_err(|_| NotANotice)?),
                "clone" => notice.is_clone = true,
                _ => {}
            }
        }
        Ok(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_is_read_as_it_was_written() {
        let whole = Notice {
            function: Some("nf_hook_slow".to_owned()),
            offset: Some(0xc6),
            reason: Some("NETFILTER_DROP".to_owned()),
            interface: Some("eth0".to_owned()),
            netns: Some(4_026_531_840),
            is_clone: true,
        };
        let text = "dropped in nf_hook_slow+0xc6 reason NETFILTER_DROP on eth0 netns 4026531840 clone";
        assert_eq!(whole.to_string(), text);
        assert_eq!(text.parse(), Ok(whole.clone()));
        assert_eq!(format!("{text} since 7").parse(), Ok(whole));
        assert_eq!("dropped".parse(), Ok(Notice::default()));
        assert_eq!(Notice::default().to_string(), "dropped");
        for text in ["", "flow 1 -> hop 2/3", "dropped in", "dropped netns x", "dropped reason "] {
            assert_eq!(text.parse::<Notice>(), Err(NotANotice), "{text}");
        }
    }

    #[test]
    fn places_as_kernels_print_them() {
        let table = [
            ("nf_hook_slow+0xc6/0x100", Some("nf_hook_slow"), Some(0xc6)),
            ("ip_rcv_finish_core.isra.0+0x1/0x2", Some("ip_rcv_finish_core"), Some(1)),
            ("nft_do_chain+0x10/0x20 [nf_tables]", Some("nft_do_chain"), Some(0x10)),
            ("icmp_rcv", Some("icmp_rcv"), None),
            ("0xffffffffc0123456", None, None),
            ("", None, None),
        ];
        for (place, function, offset) in table {
            let mut notice = Notice::default();
            notice.set_place(place);
            assert_eq!((notice.function.as_deref(), notice.offset), (function, offset), "{place}");
        }
    }

    #[test]
    fn names_of_interfaces() {
        assert_eq!(is_interface(INTERFACE), Some(None));
        assert_eq!(is_interface(&interface_of(7)), Some(Some(7)));
        assert_eq!(
            (is_interface("eth0"), is_interface("kfree_skb2"), is_interface("kfree_skb@x")),
            (None, None, None)
        );
    }
}
