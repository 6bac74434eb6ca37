//! The network namespaces that links lead into: what they are called, and what is in them.
//!
//! A link tells the number that this namespace has for the other one. Which one that is, the kernel tells for a file
//! of a namespace only (`RTM_GETNSID`): so all that are in sight are asked for their numbers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::thread;

use nix::sched::{CloneFlags, setns};

use super::message::{self, NamespaceId};
use super::{Neighbour, Place, Prefix};
use crate::kernel::interfaces::IfIndex;
use crate::kernel::namespaces;
use crate::kernel::netlink::{Connection, NLM_F_ACK, attribute, field, put_attribute};

const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
/// `struct rtgenmsg`: the family, padded.
const RTGENMSG_LEN: usize = 4;
/// The wanted namespaces that were found.
#[derive(Default)]
pub(super) struct Namespaces(BTreeMap<NamespaceId, Namespace>);

struct Namespace {
    place: Place,
    file: File,
    /// Absent until somebody wants to know, and then perhaps empty.
    inside: Option<Inside>,
}

/// What is in a namespace; empty where it may not be entered.
#[derive(Default)]
struct Inside {
    names: BTreeMap<IfIndex, String>,
    addresses: BTreeMap<IfIndex, Vec<Prefix>>,
}

impl Namespaces {
    /// Looks for namespaces, those with names first. What is not found is elsewhere.
    pub(super) fn find(connection: &mut Connection, wanted: &BTreeSet<NamespaceId>) -> Self {
        let mut found = BTreeMap::new();
        let mut seen = HashSet::new();
        for (path, place) in candidates() {
            if found.len() == wanted.len() {
                break;
            }
            // Many processes share one, and some end while they are looked at.
            let is_new = fs::metadata(&path).is_ok_and(|file| seen.insert((file.dev(), file.ino())));
            let Some(file) = is_new.then(|| File::open(&path).ok()).flatten() else { continue };
            if let Some(id) = number(connection, &file).filter(|id| wanted.contains(id)) {
                found.entry(id).or_insert_with(|| Namespace { place: place(), file, inside: None });
            }
        }
        Self(found)
    }

    /// An interface in a namespace.
    pub(super) fn neighbour(&mut self, id: NamespaceId, index: IfIndex) -> Neighbour {
        let Some(namespace) = self.0.get_mut(&id) else {
            return Neighbour { index, name: None, place: Place::Elsewhere, addresses: Vec::new() };
        };
        let file = &namespace.file;
        let inside = namespace.inside.get_or_insert_with(|| look(file).unwrap_or_default());
        Neighbour {
            index,
            name: inside.names.get(&index).cloned(),
            place: namespace.place.clone(),
            addresses: inside.addresses.get(&index).cloned().unwrap_or_default(),
        }
    }
}

/// A file that stands for a namespace, and how to say which that is.
type Candidate = (PathBuf, Box<dyn FnOnce() -> Place>);

fn candidates() -> impl Iterator<Item = Candidate> {
    let named = namespaces::named().map(|(name, path)| (path, Box::new(|| Place::Named(name)) as _));
    let processes = namespaces::processes().into_iter().map(|pid| {
        let place = move || {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Place::Process { pid, name: name.trim_end().to_owned() }
        };
        (namespaces::of_process(pid), Box::new(place) as _)
    });
    named.chain(processes)
}

/// Whether one of this namespace's links has its other end in another one.
pub fn is_neighbour(file: &File) -> bool {
    let links_to = || {
        let mut connection = Connection::open().ok()?;
        let id = number(&mut connection, file)?;
        let links = message::links(&mut connection).ok()?;
        Some(links.iter().any(|link| link.namespace == Some(id)))
    };
    links_to().unwrap_or_default()
}

/// The number that this namespace has for another one, as the kernel tells it for links; absent as below.
pub(in crate::kernel) fn number_of(connection: &mut Connection, file: &File) -> Option<i32> {
    number(connection, file).map(|NamespaceId(id)| id)
}

/// The number that this namespace has for another one; absent for files of other kinds and where it has none.
fn number(connection: &mut Connection, file: &File) -> Option<NamespaceId> {
    let mut body = vec![0; RTGENMSG_LEN];
    put_attribute(&mut body, NETNSA_FD, &file.as_raw_fd().to_ne_bytes());
    let answer = connection.request("number a network namespace", RTM_GETNSID, NLM_F_ACK, &body).ok()?;
    let message = answer.iter().find(|message| message.kind == RTM_NEWNSID)?;
    let id = attribute(message.body.get(RTGENMSG_LEN..)?, NETNSA_NSID)?;
    field(id, 0).map(i32::from_ne_bytes).filter(|id| *id >= 0).map(NamespaceId)
}

/// Goes in on a thread of its own and looks around; absent where that is not permitted.
fn look(file: &File) -> Option<Inside> {
    let look = || {
        setns(file, CloneFlags::CLONE_NEWNET).ok()?;
        let mut connection = Connection::open().ok()?;
        let links = message::links(&mut connection).ok()?;
        Some(Inside {
            names: links.into_iter().map(|link| (link.index, link.name)).collect(),
            addresses: message::addresses(&mut connection).ok()?,
        })
    };
    thread::scope(|scope| scope.spawn(look).join()).ok().flatten()
}
