//! A TUN device that looks like a tunnel of the kernel.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, RawFd},
};

use nix::libc::{IFF_NO_PI, IFF_TUN, IFNAMSIZ, c_int, c_short, ifreq};

use crate::LabError;

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
        let error = |operation| move |source| LabError::Tun { operation, device, source };
        let file = File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .map_err(error("open /dev/net/tun"))?;
        ioctl::attach(file.as_raw_fd(), &request(device)).map_err(error("make the device"))?;
        ioctl::set_link_type(file.as_raw_fd(), ARPHRD_TUNNEL).map_err(error("set the hardware type"))?;
        Ok(Self { _device: file })
    }
}

fn request(device: &str) -> ifreq {
    let mut name = [0; IFNAMSIZ];
    // The last byte stays zero, as the kernel asks.
    for (to, from) in name[..IFNAMSIZ - 1].iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    let flags = c_short::try_from(IFF_TUN | IFF_NO_PI).unwrap_or_default();
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
