//! From namespaces in sight to a survey.

use std::collections::BTreeSet;
use std::io;

use tracer_core::evidence::{Missing, Snapshot};
use tracer_core::ifaces::{Interface, Room, Survey, behind};

use super::processes::Processes;
use crate::kernel::namespaces::{self, Namespace, Sight};
use crate::kernel::node;

/// The first process of a machine.
const INIT: u32 = 1;

/// Looks into every namespace in sight.
pub(super) fn everywhere(node: String) -> Survey {
    let mut collection = Collection::new(node, namespaces::look());
    for place in 0..collection.sight.namespaces.len() {
        collection.enter(place);
    }
    collection.finish()
}

/// Looks into the thread's namespace and into those that its links lead to, which are found if they are in sight.
pub(super) fn around(node: String) -> Survey {
    Collection::new(node, namespaces::look()).around()
}

/// The same as an agent: `with_processes` says whether the processes in sight are those of the machine.
pub(super) fn as_agent(node: String, with_processes: bool) -> Survey {
    let mut collection = Collection::new(node, namespaces::look());
    collection.is_agent = true;
    if !with_processes {
        collection.forget_processes();
    }
    collection.around()
}

struct Collection {
    survey: Survey,
    sight: Sight,
    processes: Processes,
    is_agent: bool,
    own: Option<u64>,
    /// Namespaces that may not be entered, and why the first of them.
    closed: Option<(usize, io::Error)>,
}

impl Collection {
    fn new(node: String, sight: Sight) -> Self {
        let survey = Survey { node, ..Survey::default() };
        Self {
            survey,
            sight,
            processes: Processes::default(),
            is_agent: false,
            own: node::netns(),
            closed: None,
        }
    }

    fn around(mut self) -> Survey {
        let own = self.own();
        let peers: BTreeSet<u64> = own.iter().filter_map(|interface| interface.link.peer_netns).collect();
        for place in 0..self.sight.namespaces.len() {
            if peers.contains(&self.sight.namespaces[place].inode) {
                self.enter(place);
            }
        }
        self.finish()
    }

    /// Those in sight are of this container, and say nothing of the machine.
    fn forget_processes(&mut self) {
        self.processes.are_unseen = true;
        for namespace in &mut self.sight.namespaces {
            namespace.processes.clear();
        }
    }

    /// Looks into the thread's own, where nothing has to be entered.
    fn own(&mut self) -> Vec<Interface> {
        let snapshot = node::read_links(&self.sight.namespaces);
        let namespace = self.sight.namespaces.iter().find(|one| one.inode == snapshot.netns).cloned();
        let namespace =
            namespace.unwrap_or_else(|| Namespace { inode: snapshot.netns, ..Namespace::default() });
        self.take(&namespace, snapshot);
        self.survey.namespaces.last().map(|room| room.interfaces.clone()).unwrap_or_default()
    }

    fn enter(&mut self, place: usize) {
        let namespace = self.sight.namespaces[place].clone();
        if self.survey.namespaces.iter().any(|room| room.netns == namespace.inode) {
            return;
        }
        if self.own == Some(namespace.inode) {
            self.own();
            return;
        }
        match namespace.inside(|| node::read_links(&self.sight.namespaces)) {
            Ok(snapshot) => self.take(&namespace, snapshot),
            // It went meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.closed.get_or_insert((0, error)).0 += 1,
        }
    }

    fn take(&mut self, namespace: &Namespace, snapshot: Snapshot) {
        let told = self.processes.of(namespace);
        let behind = behind(&snapshot);
        let interfaces = snapshot.links.into_iter().map(|link| {
            let programs =
                snapshot.programs.iter().filter(|program| program.link == link.index && !program.is_own);
            Interface {
                programs: programs.cloned().collect(),
                behind: behind.get(&link.index).into_iter().flatten().copied().collect(),
                master_name: None,
                peer_name: None,
                pods: Vec::new(),
                link,
            }
        });
        self.survey.namespaces.push(Room {
            netns: namespace.inode,
            names: namespace.names.clone(),
            is_own: self.own == Some(namespace.inode),
            is_of_init: namespace.processes.contains(&INIT),
            pods: Vec::new(),
            pod_uids: told.pod_uids,
            containers: told.containers,
            processes: told.processes,
            process_count: told.count,
            interfaces: interfaces.collect(),
        });
        (self.survey.kernel, self.survey.boot_id) = (snapshot.kernel, snapshot.boot_id);
        for missing in snapshot.missing {
            // Who may not ask for names is told so, and has seen all that may be seen.
            let is_limit = missing.what == node::UNNAMED;
            let list = if is_limit { &mut self.survey.unseen } else { &mut self.survey.missing };
            if !list.contains(&missing) {
                list.push(missing);
            }
        }
    }

    fn finish(mut self) -> Survey {
        if let Some((count, error)) = self.closed {
            let why = format!("{count} cannot be entered, which takes CAP_SYS_ADMIN: {error}");
            // An agent that is not to look into pods has seen all that it may.
            let list = if self.is_agent { &mut self.survey.unseen } else { &mut self.survey.missing };
            list.push(Missing { what: "network namespaces".to_owned(), why });
        }
        if self.sight.closed > 0 && !self.processes.are_unseen {
            let count = self.sight.closed;
            let why = format!("of {count} the network namespace cannot be told, which takes CAP_SYS_PTRACE");
            self.survey.unseen.push(Missing { what: "processes".to_owned(), why });
        }
        self.survey.namespaces.sort_by_key(|room| (!room.is_own, !room.is_of_init));
        self.survey.join();
        self.survey
    }
}
