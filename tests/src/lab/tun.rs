//! TUN devices: one that looks like a tunnel of the kernel, one that packets are put in by.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::fs::OpenOptionsExt as _,
    },
};

use nix::libc::{IFF_NO_PI, IFF_TAP, IFF_TUN, IFF_VNET_HDR, IFNAMSIZ, O_NONBLOCK, c_int, c_short, ifreq};

use crate::{LabError, Namespace};

/// The hardware type of `tunl0`, `ARPHRD_TUNNEL` in `linux/if_arp.h`.
const ARPHRD_TUNNEL: c_int = 768;

/// A TUN device; it lives as long as this value, whatever ends the process.
#[derive(Debug)]
pub(crate) struct Tun {
    _device: File,
}

impl Tun {
    /// A device in the namespace of the calling thread.
    pub(crate) fn create(device: &'static str) -> Result<Self, LabError> {
        let file = open(device, IFF_TUN | IFF_NO_PI)?;
        ioctl::set_link_type(file.as_raw_fd(), ARPHRD_TUNNEL).map_err(|source| LabError::Tun {
            operation: "set the hardware type",
            device: device.to_owned(),
            source,
        })?;
        Ok(Self { _device: file })
    }
}

/// An interface of a namespace that whatever is written to it comes in by, super-packets included.
///
/// Each packet has a `virtio_net_hdr` before it (`linux/virtio_net.h`), in the byte order of the machine.
#[derive(Debug)]
pub struct Inlet {
    device: File,
}

impl Inlet {
    /// A device in a namespace, not yet up.
    pub fn create(ns: &Namespace, device: &'static str) -> Result<Self, LabError> {
        Ok(Self { device: ns.run(|| open(device, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))?? })
    }

    /// Lets a packet come in, with its `virtio_net_hdr` before it.
    pub fn put(&mut self, packet: &[u8]) -> io::Result<()> {
        self.device.write_all(packet)
    }
}

/// A device for whole frames in the namespace of the calling thread; reading it never waits.
pub(super) fn tap(device: &str) -> Result<File, LabError> {
    open_with(device, IFF_TAP | IFF_NO_PI, O_NONBLOCK)
}

fn open(device: &'static str, flags: c_int) -> Result<File, LabError> {
    open_with(device, flags, 0)
}

fn open_with(device: &str, flags: c_int, how: c_int) -> Result<File, LabError> {
    let error = |operation| move |source| LabError::Tun { operation, device: device.to_owned(), source };
    let file = File::options().read(true).write(true).custom_flags(how).open("/dev/net/tun");
    let file = file.map_err(error("open /dev/net/tun"))?;
    ioctl::attach(file.as_raw_fd(), &request(device, flags)).map_err(error("make the device"))?;
    Ok(file)
}

fn request(device: &str, flags: c_int) -> ifreq {
    let mut name = [0; IFNAMSIZ];
    // The last byte stays zero, as the kernel asks.
    for (to, from) in name[..IFNAMSIZ - 1].iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    let flags = c_short::try_from(flags).unwrap_or_default();
    ifreq { ifr_name: name, ifr_ifru: nix::libc::__c_anonymous_ifr_ifru { ifru_flags: flags } }
}

#[expect(unsafe_code, reason = "TUN devices are made by ioctl only")]
mod ioctl {
    use super::{RawFd, c_int, ifreq, io};

    // `linux/if_tun.h` declares them with `int`, whatever they take.
    nix::ioctl_write_ptr_bad!(tunsetiff, nix::request_code_write!(b'T', 202, size_of::<c_int>()), ifreq);
    nix::ioctl_write_int_bad!(tunsetlink, nix::request_code_write!(b'T', 205, size_of::<c_int>()));

    pub(super) fn attach(tun: RawFd, request: &ifreq) -> io::Result<()> {
        // SAFETY: TUNSETIFF reads and writes one `ifreq`, which `request` is for the length of the call.
        unsafe { tunsetiff(tun, request) }?;
        Ok(())
    }

    pub(super) fn set_link_type(tun: RawFd, link_type: c_int) -> io::Result<()> {
        // SAFETY: TUNSETLINK takes its argument by value.
        unsafe { tunsetlink(tun, link_type) }?;
        Ok(())
    }
}
