//! What `-r` says: a file, and where it was captured.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a value of `-r` makes no sense.
#[derive(Debug, Error)]
pub enum InputError {
    /// What stands before the `=` is no place.
    #[error(
        "-r {value:?}: {place:?} is no place: give NODE=FILE, NODE/IFACE=FILE or NODE/[NAMESPACE/]POD:IFACE=FILE, or a file that exists"
    )]
    Place {
        /// As typed.
        value: OsString,
        /// The part of it.
        place: String,
    },
    /// There is one standard input.
    #[error("-r - is given twice, and there is one standard input")]
    StandardInputTwice,
}

/// Where a file was captured, as far as the user says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Given {
    pub(super) node: Option<String>,
    /// Namespace and name.
    pub(super) pod: Option<String>,
    pub(super) interface: Option<String>,
}

/// A file to read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Input {
    pub(super) given: Given,
    pub(super) path: PathBuf,
}

impl Input {
    /// Reads a value of `-r`; a pod without a namespace is in `namespace`. A file whose name has a `=` is found
    /// where it exists.
    pub(super) fn parse(value: &OsStr, namespace: &str) -> Result<Self, InputError> {
        let literal = Self { given: Given::default(), path: PathBuf::from(value) };
        if literal.is_standard_input() || literal.path.exists() {
            return Ok(literal);
        }
        let bytes = value.as_bytes();
        let Some(at) = bytes.iter().position(|byte| *byte == b'=') else { return Ok(literal) };
        let place = String::from_utf8_lossy(&bytes[..at]).into_owned();
        let path = PathBuf::from(OsStr::from_bytes(&bytes[at + 1..]));
        match given(&place, namespace) {
            Some(given) if !path.as_os_str().is_empty() => Ok(Self { given, path }),
            _ => Err(InputError::Place { value: value.to_owned(), place }),
        }
    }

    pub(super) fn is_standard_input(&self) -> bool {
        self.path == Path::new("-")
    }

    /// What it is called in messages.
    pub(super) fn label(&self) -> String {
        if self.is_standard_input() { "standard input".to_owned() } else { self.path.display().to_string() }
    }

    pub(super) fn open(&self) -> io::Result<File> {
        if self.is_standard_input() {
            Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
        } else {
            File::open(&self.path)
        }
    }
}

/// `NODE`, `NODE/IFACE` or `NODE/[NAMESPACE/]POD:IFACE`.
fn given(place: &str, namespace: &str) -> Option<Given> {
    let name = |name: &str| (!name.is_empty() && !name.contains(['/', ':'])).then(|| name.to_owned());
    let (node, inside) = match place.split_once('/') {
        Some((node, inside)) => (name(node)?, Some(inside)),
        None => (name(place)?, None),
    };
    let Some(inside) = inside else { return Some(Given { node: Some(node), pod: None, interface: None }) };
    let (pod, interface) = match inside.split_once(':') {
        Some((pod, interface)) => (Some(pod), name(interface)?),
        None => (None, name(inside)?),
    };
    let pod = match pod.map(|pod| pod.split_once('/').unwrap_or((namespace, pod))) {
        Some((namespace, pod)) => Some(format!("{}/{}", name(namespace)?, name(pod)?)),
        None => None,
    };
    Some(Given { node: Some(node), pod, interface: Some(interface) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_before_the_file() {
        for (value, node, pod, interface, path) in [
            ("a.pcap", None, None, None, "a.pcap"),
            ("-", None, None, None, "-"),
            ("k8s-node2=a.pcap", Some("k8s-node2"), None, None, "a.pcap"),
            ("k8s-node2=-", Some("k8s-node2"), None, None, "-"),
            (
                "n.example.org/vxlan.calico=/x/a=b",
                Some("n.example.org"),
                None,
                Some("vxlan.calico"),
                "/x/a=b",
            ),
            ("n/pod-src:eth0=a", Some("n"), Some("shop/pod-src"), Some("eth0"), "a"),
            ("n/other/pod-src:eth0=a", Some("n"), Some("other/pod-src"), Some("eth0"), "a"),
        ] {
            let input = Input::parse(OsStr::new(value), "shop").unwrap();
            let [node, pod, interface] = [node, pod, interface].map(|name| name.map(str::to_owned));
            let expected = Input { given: Given { node, pod, interface }, path: PathBuf::from(path) };
            assert_eq!(input, expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for value in [
            "=a",
            "n=",
            "n/=a",
            "/eth0=a",
            "n/pod:=a",
            "n/:eth0=a",
            "n/x/y/pod:eth0=a",
            "n/a/b=f",
            "n:eth0=a",
        ] {
            let error = Input::parse(OsStr::new(value), "shop").unwrap_err().to_string();
            assert!(error.contains("NODE/IFACE=FILE"), "{value}: {error}");
        }
    }

    #[test]
    fn a_file_that_exists_is_taken_for_itself() {
        let directory = std::env::temp_dir().join(format!("kflow-input-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("node=a.pcap");
        std::fs::write(&path, "").unwrap();
        let input = Input::parse(path.as_os_str(), "default");
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(input.unwrap(), Input { given: Given::default(), path });
    }
}
