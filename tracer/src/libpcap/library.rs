//! The functions of libpcap that are called: the only file that crosses the border to C.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt;
use std::ptr::{self, NonNull};

use libloading::Library as Loaded;
use thiserror::Error;
use tracer_core::filter::Instruction;

use super::Dlt;

/// Debian and its derivatives never raised the number.
const NAMES: [&str; 3] = ["libpcap.so.1", "libpcap.so.0.8", "libpcap.so"];

/// Why there is no libpcap.
#[derive(Debug, Error)]
pub enum LibpcapError {
    /// It is not installed, or this program cannot load libraries.
    #[error(
        "filter expressions need libpcap, which cannot be loaded: install it (Debian, Ubuntu: libpcap0.8; Fedora, \
         RHEL: libpcap; Alpine: libpcap)"
    )]
    NotFound(#[source] libloading::Error),
    /// It is no libpcap, or one older than 1.0.
    #[error("{library} has no function {function}: it is no libpcap that kflow can use")]
    NoFunction {
        /// Name of the library.
        library: &'static str,
        /// Name of the function.
        function: &'static str,
        /// What the loader said.
        source: libloading::Error,
    },
}

/// `struct bpf_insn` (`pcap/bpf.h`).
#[repr(C)]
#[derive(Clone, Copy)]
struct BpfInstruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    k: u32,
}

/// `struct bpf_program` (`pcap/bpf.h`).
#[repr(C)]
struct BpfProgram {
    len: c_uint,
    instructions: *mut BpfInstruction,
}

type Handle = NonNull<c_void>;

/// libpcap in this process, with the addresses of its functions.
pub(super) struct Library {
    open_dead: unsafe extern "C" fn(c_int, c_int) -> Option<Handle>,
    close: unsafe extern "C" fn(Handle),
    compile: unsafe extern "C" fn(Handle, *mut BpfProgram, *const c_char, c_int, u32) -> c_int,
    free: unsafe extern "C" fn(*mut BpfProgram),
    error: unsafe extern "C" fn(Handle) -> *const c_char,
    version: unsafe extern "C" fn() -> *const c_char,
    filter: unsafe extern "C" fn(*const BpfInstruction, *const u8, c_uint, c_uint) -> c_uint,
    /// The addresses are good for as long as it is there.
    _loaded: Loaded,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Library").field(&self.version()).finish()
    }
}

impl Library {
    #[expect(unsafe_code, reason = "the loader cannot know what functions a library has")]
    pub(super) fn load() -> Result<Self, LibpcapError> {
        let (library, loaded) = open()?;
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the type, which is that of the field, is that of the function in pcap(3PCAP).
                *unsafe { loaded.get(concat!($name, "\0").as_bytes()) }
                    .map_err(|source| LibpcapError::NoFunction { library, function: $name, source })?
            };
        }
        Ok(Self {
            open_dead: function!("pcap_open_dead"),
            close: function!("pcap_close"),
            compile: function!("pcap_compile"),
            free: function!("pcap_freecode"),
            error: function!("pcap_geterr"),
            version: function!("pcap_lib_version"),
            filter: function!("bpf_filter"),
            _loaded: loaded,
        })
    }

    #[expect(unsafe_code, reason = "a call of C")]
    pub(super) fn version(&self) -> String {
        // SAFETY: it takes nothing and returns a string that stays (pcap_lib_version(3PCAP)).
        let version = unsafe { CStr::from_ptr((self.version)()) };
        version.to_string_lossy().into_owned()
    }

    /// A handle without an interface or file; absent where there is no memory.
    #[expect(unsafe_code, reason = "a call of C")]
    pub(super) fn open(&self, link: Dlt, snap: u32) -> Option<OpenHandle<'_>> {
        let (link, snap) = (c_int::try_from(link.0).ok()?, c_int::try_from(snap).unwrap_or(c_int::MAX));
        // SAFETY: it takes any numbers (pcap_open_dead(3PCAP)).
        let handle = unsafe { (self.open_dead)(link, snap) }?;
        Some(OpenHandle { library: self, handle })
    }

    #[expect(unsafe_code, reason = "a call of C")]
    pub(super) fn run(&self, program: &[Instruction], data: &[u8], original_len: u32) -> u32 {
        let instructions: Vec<BpfInstruction> = program.iter().copied().map(BpfInstruction::from).collect();
        let captured_len = c_uint::try_from(data.len()).unwrap_or(c_uint::MAX);
        // SAFETY: a program in order stays within itself and its memory, and looks at no more bytes than there are
        // (bpf_filter(3PCAP)).
        unsafe { (self.filter)(instructions.as_ptr(), data.as_ptr(), original_len, captured_len) }
    }
}

/// The first of the names that can be loaded.
#[expect(unsafe_code, reason = "a library runs its own code when it is loaded")]
fn open() -> Result<(&'static str, Loaded), LibpcapError> {
    let mut failure = None;
    for name in NAMES {
        // SAFETY: libpcap has no code of its own that is run when it is loaded, and the libraries that it needs
        // (libc, libdbus, libibverbs) count on being loaded so.
        match unsafe { Loaded::new(name) } {
            Ok(loaded) => return Ok((name, loaded)),
            // The last name is that of a developer's package; what the first failed by says more.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(LibpcapError::NotFound(failure.unwrap_or(libloading::Error::DlOpenUnknown)))
}

impl From<Instruction> for BpfInstruction {
    fn from(Instruction { code, jump_true, jump_false, k }: Instruction) -> Self {
        Self { code, jump_true, jump_false, k }
    }
}

impl From<BpfInstruction> for Instruction {
    fn from(BpfInstruction { code, jump_true, jump_false, k }: BpfInstruction) -> Self {
        Self { code, jump_true, jump_false, k }
    }
}

/// A handle that closes itself.
pub(super) struct OpenHandle<'a> {
    library: &'a Library,
    handle: Handle,
}

impl OpenHandle<'_> {
    /// The program of an expression, or what libpcap says against it.
    #[expect(unsafe_code, reason = "calls of C")]
    pub(super) fn compile(
        &self,
        expression: &CStr,
        optimise: bool,
        netmask: Option<u32>,
    ) -> Result<Box<[Instruction]>, String> {
        /// `PCAP_NETMASK_UNKNOWN`.
        const UNKNOWN: u32 = u32::MAX;
        let Library { compile, free, error, .. } = self.library;
        let mut program = BpfProgram { len: 0, instructions: ptr::null_mut() };
        let netmask = netmask.unwrap_or(UNKNOWN);
        // SAFETY: the handle is open, and the others are there until the call returns (pcap_compile(3PCAP)).
        let status =
            unsafe { compile(self.handle, &raw mut program, expression.as_ptr(), optimise.into(), netmask) };
        if status < 0 || program.instructions.is_null() {
            // SAFETY: the handle is open, and the string stays until its next call (pcap_geterr(3PCAP)).
            let message = unsafe { CStr::from_ptr(error(self.handle)) };
            return Err(message.to_string_lossy().into_owned());
        }
        // SAFETY: after a success there are so many instructions, until they are freed.
        let instructions = unsafe { std::slice::from_raw_parts(program.instructions, program.len as usize) };
        let instructions = instructions.iter().map(|instruction| Instruction::from(*instruction)).collect();
        // SAFETY: it was filled by a success, and is not used again (pcap_freecode(3PCAP)).
        unsafe { free(&raw mut program) };
        Ok(instructions)
    }
}

impl Drop for OpenHandle<'_> {
    #[expect(unsafe_code, reason = "a call of C")]
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again.
        unsafe { (self.library.close)(self.handle) };
    }
}
