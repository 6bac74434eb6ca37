//! `-Z`: another user, with the capabilities that a capture needs and no others.

use std::ffi::CString;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Uid, User, geteuid, initgroups, setresgid, setresuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities};
use thiserror::Error;

/// What attaching, detaching and reading of maps takes; `CAP_SYS_ADMIN` before Linux 5.8 and for other namespaces.
const KEPT: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_ADMIN);

/// Why another user's identity cannot be taken.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// No such user.
    #[error("there is no user {0}")]
    Unknown(String),
    /// The user cannot be looked up.
    #[error("cannot look up the user {user}")]
    LookUp {
        /// The user.
        user: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("cannot {operation} {user}")]
    Change {
        /// What was tried.
        operation: &'static str,
        /// The user.
        user: String,
        /// Why.
        source: io::Error,
    },
}

/// Takes the identity of a user, and of the user's groups, for good. Of the capabilities those that a capture needs
/// stay, where they were there. A process that is not root's stays as it is, as with tcpdump; so does one that is to
/// become root.
///
/// Files, namespaces and processes of others are out of reach after this, and what is made belongs to the user. The
/// capabilities of other threads go: this one is to be the only one.
pub fn drop_privileges(name: &str) -> Result<(), PrivilegeError> {
    let look_up = |errno: Errno| PrivilegeError::LookUp { user: name.to_owned(), source: errno.into() };
    let unknown = || PrivilegeError::Unknown(name.to_owned());
    let user = User::from_name(name).map_err(look_up)?.ok_or_else(unknown)?;
    if !geteuid().is_root() || user.uid == Uid::from_raw(0) {
        return Ok(());
    }
    become_user(&user).map_err(|(operation, source)| PrivilegeError::Change {
        operation,
        user: name.to_owned(),
        source,
    })
}

fn become_user(user: &User) -> Result<(), (&'static str, io::Error)> {
    fn failed<E: Into<io::Error>>(operation: &'static str) -> impl Fn(E) -> (&'static str, io::Error) {
        move |error| (operation, error.into())
    }
    let keep = "keep the capabilities for";
    let had = capabilities(None).map_err(failed(keep))?.permitted;
    let kept = had.intersection(KEPT);
    let name = CString::new(user.name.as_bytes()).map_err(|error| ("look up", error.into()))?;
    set_keep_capabilities(true).map_err(failed(keep))?;
    initgroups(&name, user.gid).map_err(failed("take the groups of"))?;
    setresgid(user.gid, user.gid, user.gid).map_err(failed("take the group of"))?;
    setresuid(user.uid, user.uid, user.uid).map_err(failed("become"))?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(failed(keep))
}
