//! Under which name an interface of a file goes.
//!
//! In this order, each part for itself:
//!
//! 1. What `-r` says.
//! 2. What the file says: our own name node, pod and interface, other pcapng files the interface only, and cooked
//!    captures of the device `any` the index of each interface.
//! 3. What the file's name says.

use std::collections::BTreeMap;

use thiserror::Error;
use tracer_core::capture::{CaptureFormat, Interface, Section};
use tracer_core::output::printable;

use super::input::Given;
use super::name::FileName;

/// What our own captures are written by (`shb_userappl`).
const OWN_APPLICATION: &str = "kflow";

/// Why an interface has no name that can be told from others.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// One name for several interfaces.
    #[error("{file} holds several interfaces and -r calls them all {given}: name only its node, NODE={file}")]
    SeveralInterfaces {
        /// The file.
        file: String,
        /// Name of the interface by `-r`.
        given: String,
    },
    /// The file knows better.
    #[error("-r says that {file} is of {given}, and the file itself that it is of {told}: leave {given} out")]
    Contradiction {
        /// The file.
        file: String,
        /// Node or pod by `-r`.
        given: String,
        /// Node or pod by the file.
        told: String,
    },
    /// Two files of one interface that seem to have nothing to do with one another.
    #[error(
        "{first} and {second} both hold {place}: if they are parts of one capture, say -r {place}=FILE for both, otherwise tell them apart by -r NODE/IFACE=FILE or -r NODE/[NAMESPACE/]POD:IFACE=FILE"
    )]
    SamePlace {
        /// One file.
        first: String,
        /// The other one.
        second: String,
        /// Node, pod and interface.
        place: String,
    },
}

/// Node, pod and name of an interface.
type Key = (String, Option<String>, String);

/// Interfaces of all files.
#[derive(Debug, Default)]
pub(super) struct Places {
    known: BTreeMap<Key, Owner>,
}

/// The file that an interface was first seen in.
#[derive(Debug)]
struct Owner {
    file: usize,
    label: String,
    name: FileName,
    is_given: bool,
}

/// What is known of one file.
#[derive(Debug)]
pub(super) struct Naming {
    file: usize,
    label: String,
    given: Given,
    name: FileName,
    /// Whether the format has names of interfaces.
    has_names: bool,
    /// The node that the section tells; only our own do.
    told: Option<String>,
    /// Interfaces of this section that have no index, as often as each name came.
    in_section: BTreeMap<Key, u32>,
    /// The interface that was given the name by `-r`.
    taken: Option<(String, Option<u32>)>,
}

impl Naming {
    /// Of file number `file`, which messages call `label`.
    pub(super) fn new(
        file: usize,
        label: String,
        given: Given,
        name: FileName,
        format: CaptureFormat,
    ) -> Self {
        Self {
            file,
            label,
            given,
            name,
            has_names: format == CaptureFormat::Pcapng,
            told: None,
            in_section: BTreeMap::new(),
            taken: None,
        }
    }

    /// A section begins.
    pub(super) fn section(&mut self, section: &Section) {
        self.told = section.node.clone().filter(|_| is_own(section));
        self.in_section.clear();
    }

    /// The node, unless interfaces tell another.
    pub(super) fn node(&self) -> &str {
        let told = || self.told.as_deref().unwrap_or(&self.name.node);
        self.given.node.as_deref().unwrap_or_else(told)
    }

    /// The interface with its node, pod and name.
    pub(super) fn interface(
        &mut self,
        described: &Interface,
        places: &mut Places,
    ) -> Result<Interface, PlaceError> {
        let node = self.part(self.given.node.as_ref(), described.node.as_ref())?;
        let mut interface = Interface {
            node: Some(node.unwrap_or_else(|| self.node().to_owned())),
            pod: self.part(self.given.pod.as_ref(), described.pod.as_ref())?,
            name: self.interface_name(described)?,
            ..described.clone()
        };
        if interface.ifindex.is_none() {
            // Of one section, so it is no description of the same interface once more.
            let count = self.in_section.entry(key(&interface)).or_insert(0);
            *count += 1;
            if *count > 1 {
                let name = format!("{}#{count}", interface.name);
                let (label, called) = (printable(&self.label), printable(&interface.name));
                say!("kflow: {label} has {called} {count} times: this one is called {}", printable(&name));
                interface.name = name;
            }
        }
        self.claim(&interface, places)?;
        Ok(interface)
    }

    /// What `-r` says, or else the file; an error where they differ.
    fn part(&self, given: Option<&String>, told: Option<&String>) -> Result<Option<String>, PlaceError> {
        match (given, told) {
            (Some(given), Some(told)) if given != told => Err(PlaceError::Contradiction {
                file: self.label.clone(),
                given: given.clone(),
                told: told.clone(),
            }),
            (given, told) => Ok(given.or(told).cloned()),
        }
    }

    fn interface_name(&mut self, described: &Interface) -> Result<String, PlaceError> {
        let this = (described.name.clone(), described.ifindex);
        if let Some(given) = &self.given.interface {
            if self.taken.get_or_insert_with(|| this.clone()) != &this {
                return Err(PlaceError::SeveralInterfaces { file: self.label.clone(), given: given.clone() });
            }
            return Ok(given.clone());
        }
        let told = Some(&described.name).filter(|name| !name.is_empty());
        let is_certain = self.has_names || described.ifindex.is_some();
        let of_file_name = self.name.interface.as_ref();
        let name = if is_certain { told.or(of_file_name) } else { of_file_name.or(told) };
        Ok(name.map_or_else(|| self.name.stem().to_owned(), String::clone))
    }

    /// Fails where another file that has nothing to do with this one holds the same.
    fn claim(&self, interface: &Interface, places: &mut Places) -> Result<(), PlaceError> {
        let key = key(interface);
        let is_given = self.given.interface.is_some();
        let Some(owner) = places.known.get(&key) else {
            let owner =
                Owner { file: self.file, label: self.label.clone(), name: self.name.clone(), is_given };
            places.known.insert(key, owner);
            return Ok(());
        };
        let is_one =
            owner.file == self.file || (owner.is_given && is_given) || owner.name.continues(&self.name);
        if is_one {
            return Ok(());
        }
        Err(PlaceError::SamePlace {
            first: owner.label.clone(),
            second: self.label.clone(),
            place: label(&key),
        })
    }
}

/// Whether we wrote a section ourselves.
pub(super) fn is_own(section: &Section) -> bool {
    section.application.as_deref().is_some_and(|name| name.starts_with(OWN_APPLICATION))
}

fn key(interface: &Interface) -> Key {
    (interface.node.clone().unwrap_or_default(), interface.pod.clone(), interface.name.clone())
}

/// As `-r` has it.
fn label((node, pod, name): &Key) -> String {
    match pod {
        Some(pod) => format!("{node}/{pod}:{name}"),
        None => format!("{node}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tracer_core::capture::LinkLayer;

    use super::*;

    fn given(node: Option<&str>, pod: Option<&str>, interface: Option<&str>) -> Given {
        let [node, pod, interface] = [node, pod, interface].map(|name| name.map(str::to_owned));
        Given { node, pod, interface }
    }

    fn described(name: &str, ifindex: Option<u32>) -> Interface {
        let name = name.to_owned();
        Interface { name, node: None, pod: None, ifindex, link: LinkLayer::Ethernet, mac: None }
    }

    fn naming(file: usize, path: &str, given: Given, format: CaptureFormat) -> Naming {
        Naming::new(file, path.to_owned(), given, FileName::of(Path::new(path)), format)
    }

    fn own_section(node: &str) -> Section {
        let application = Some("kflow 0.1.0".to_owned());
        Section { node: Some(node.to_owned()), application, ..Section::default() }
    }

    /// Node, pod and name of the interface as `-r` has it.
    fn named(naming: &mut Naming, interface: &Interface) -> String {
        label(&key(&naming.interface(interface, &mut Places::default()).unwrap()))
    }

    #[test]
    fn who_names_an_interface() {
        use CaptureFormat::{Pcap, Pcapng};
        let none = || given(None, None, None);
        for (path, given, format, interface, expected) in [
            // The file's name, where the file tells nothing.
            ("node2_cali1.pcap", none(), Pcap, described("", None), "node2/cali1"),
            ("node2.pcap", none(), Pcap, described("", None), "node2/node2"),
            ("node2_x.pcapng", none(), Pcapng, described("", None), "node2/x"),
            // The file's word on its interface; pcap has none but that of the device any.
            ("node2_x.pcapng", none(), Pcapng, described("eth0", None), "node2/eth0"),
            ("node2_tun0.pcap", none(), Pcap, described("any", None), "node2/tun0"),
            ("node2.pcap", none(), Pcap, described("any", None), "node2/any"),
            ("node2_any.pcap", none(), Pcap, described("if7", Some(7)), "node2/if7"),
            // The user's word.
            ("x_y.pcap", given(Some("n"), None, Some("eth0")), Pcap, described("", None), "n/eth0"),
            ("x_y.pcap", given(Some("n"), None, None), Pcap, described("", None), "n/y"),
            ("x.pcapng", given(Some("n"), None, Some("e")), Pcapng, described("eth0", None), "n/e"),
            (
                "x.pcap",
                given(Some("n"), Some("shop/web"), Some("eth0")),
                Pcap,
                described("", None),
                "n/shop/web:eth0",
            ),
        ] {
            assert_eq!(named(&mut naming(0, path, given, format), &interface), expected, "{path}");
        }
    }

    #[test]
    fn our_own_captures_name_node_and_pod() {
        let mut capture = naming(0, "x_y.pcapng", given(None, None, None), CaptureFormat::Pcapng);
        capture.section(&own_section("node2"));
        assert_eq!(named(&mut capture, &described("eth0", Some(2))), "node2/eth0");
        let in_pod = Interface { pod: Some("shop/web".to_owned()), ..described("eth0", Some(2)) };
        assert_eq!(named(&mut capture, &in_pod), "node2/shop/web:eth0");
        let of_other = Interface { node: Some("node1".to_owned()), ..described("eth0", Some(2)) };
        assert_eq!(named(&mut capture, &of_other), "node1/eth0");
        // What dumpcap tells there is the name of a processor.
        let mut foreign = naming(0, "x_y.pcapng", given(None, None, None), CaptureFormat::Pcapng);
        foreign.section(&Section { application: Some("Dumpcap".to_owned()), ..own_section("CPU") });
        assert_eq!(named(&mut foreign, &described("eth0", None)), "x/eth0");
        let renamed = given(Some("other"), None, None);
        let mut renamed = naming(0, "x_y.pcapng", renamed, CaptureFormat::Pcapng);
        renamed.section(&own_section("node2"));
        assert_eq!(named(&mut renamed, &described("eth0", Some(2))), "other/eth0");
        let error = renamed.interface(&of_other, &mut Places::default()).unwrap_err().to_string();
        assert!(error.contains("x_y.pcapng is of other, and the file itself that it is of node1"), "{error}");
    }

    #[test]
    fn one_name_is_for_one_interface() {
        let given = given(Some("n"), None, Some("eth0"));
        let mut capture = naming(0, "a.pcapng", given, CaptureFormat::Pcapng);
        assert_eq!(named(&mut capture, &described("ens1", None)), "n/eth0");
        // Described once more by the next section.
        capture.section(&Section::default());
        assert_eq!(named(&mut capture, &described("ens1", None)), "n/eth0");
        let error = capture.interface(&described("ens2", None), &mut Places::default()).unwrap_err();
        assert!(error.to_string().contains("name only its node, NODE=a.pcapng"), "{error}");
    }

    #[test]
    fn two_interfaces_of_one_name_stay_two() {
        let mut capture = naming(0, "n.pcapng", given(None, None, None), CaptureFormat::Pcapng);
        let eth0 = described("eth0", None);
        assert_eq!(named(&mut capture, &eth0), "n/eth0");
        assert_eq!(named(&mut capture, &eth0), "n/eth0#2");
        assert_eq!(named(&mut capture, &eth0), "n/eth0#3");
        capture.section(&Section::default());
        assert_eq!(named(&mut capture, &eth0), "n/eth0");
    }

    #[test]
    fn files_of_one_place_belong_together_or_are_told() {
        let none = || given(None, None, None);
        let eth0 = || given(Some("n"), None, Some("eth0"));
        let both = |first: (&str, Given), second: (&str, Given)| {
            let mut places = Places::default();
            let mut claim = |file, (path, given): (&str, Given)| {
                let mut naming = naming(file, path, given, CaptureFormat::Pcapng);
                naming.interface(&described("eth0", None), &mut places).map(drop)
            };
            claim(0, first).unwrap();
            claim(1, second).map_err(|error| error.to_string())
        };
        assert_eq!(both(("n_a.pcap", none()), ("n_a.pcap1", none())), Ok(()));
        assert_eq!(both(("a.pcap", eth0()), ("b.pcap", eth0())), Ok(()));
        assert_eq!(both(("n.pcap", none()), ("m.pcap", none())), Ok(()));
        let said =
            "n_a.pcap and n_b.pcap both hold n/eth0: if they are parts of one capture, say -r n/eth0=FILE";
        assert!(both(("n_a.pcap", none()), ("n_b.pcap", none())).unwrap_err().starts_with(said));
        assert!(both(("n_a.pcap", none()), ("b.pcap", eth0())).is_err());
        // Two folders with files of one name.
        assert!(both(("x/n.pcap", none()), ("y/n.pcap", none())).is_err());
    }
}
