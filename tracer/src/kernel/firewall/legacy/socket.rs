//! Asking for tables by `getsockopt` (`IPT_SO_GET_INFO`, `IPT_SO_GET_ENTRIES`; the same numbers for IPv6).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::libc;

use crate::kernel::netlink::field;

const GET_INFO: libc::c_int = 64;
const GET_ENTRIES: libc::c_int = 65;
/// `XT_TABLE_MAXNAMELEN`.
const NAME: usize = 32;
/// `struct ipt_getinfo`.
const INFO: usize = NAME + 4 + 5 * 4 + 5 * 4 + 4 + 4;
/// Where entries begin in `struct ipt_get_entries`: behind name and size, aligned as they are.
const ENTRIES: usize = (NAME + 4).next_multiple_of(align_of::<u64>());
/// Bytes of a table that are read: some hundred thousand rules.
const MOST: u32 = 256 << 20;

/// What a table is like.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Info {
    /// Hooks that it has, one bit for each.
    pub(super) hooks: u32,
    /// Where the base chain of each hook begins.
    pub(super) begins: [u32; 5],
    /// Where the policy of each base chain is.
    pub(super) policies: [u32; 5],
    /// Bytes of all entries.
    pub(super) size: u32,
}

/// A socket of a family, in the network namespace that the thread is in.
pub(super) struct TableSocket {
    socket: OwnedFd,
    level: libc::c_int,
}

impl TableSocket {
    pub(super) fn open(is_v6: bool) -> io::Result<Self> {
        let (domain, level) =
            if is_v6 { (libc::AF_INET6, libc::IPPROTO_IPV6) } else { (libc::AF_INET, libc::IPPROTO_IP) };
        #[expect(unsafe_code, reason = "no library has a raw socket without more")]
        // SAFETY: the call has no memory of ours; a descriptor that it gives is nobody else's.
        let socket = unsafe {
            let socket = libc::socket(domain, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW);
            if socket < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(socket)
        };
        Ok(Self { socket, level })
    }

    /// What a table is like.
    pub(super) fn info(&self, name: &str) -> io::Result<Info> {
        let mut buffer = vec![0; INFO];
        put_name(&mut buffer, name);
        self.get(GET_INFO, &mut buffer)?;
        let number = |place: usize| field(&buffer, NAME + 4 * place).map_or(0, u32::from_ne_bytes);
        Ok(Info {
            hooks: number(0),
            begins: std::array::from_fn(|hook| number(1 + hook)),
            policies: std::array::from_fn(|hook| number(6 + hook)),
            size: number(12),
        })
    }

    /// All entries of a table of a size.
    pub(super) fn entries(&self, name: &str, size: u32) -> io::Result<Vec<u8>> {
        if size > MOST {
            return Err(io::Error::other("it is too large"));
        }
        let length = usize::try_from(size).map_err(io::Error::other)?;
        let mut buffer = vec![0; ENTRIES + length];
        put_name(&mut buffer, name);
        buffer[NAME..NAME + 4].copy_from_slice(&size.to_ne_bytes());
        self.get(GET_ENTRIES, &mut buffer)?;
        buffer.drain(..ENTRIES);
        Ok(buffer)
    }

    fn get(&self, option: libc::c_int, buffer: &mut [u8]) -> io::Result<()> {
        let mut length = libc::socklen_t::try_from(buffer.len()).map_err(io::Error::other)?;
        #[expect(unsafe_code, reason = "no library knows this option")]
        // SAFETY: the kernel writes at most `length` bytes into the buffer, which has that many.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                self.level,
                option,
                buffer.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// The name of a table, which is cut where it is too long for any.
fn put_name(buffer: &mut [u8], name: &str) {
    let length = name.len().min(NAME - 1);
    buffer[..length].copy_from_slice(&name.as_bytes()[..length]);
}
