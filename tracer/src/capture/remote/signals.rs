//! Ctrl-C: before anything was made it ends the process, then it ends the capture in order.

use std::io;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::interrupt::ending_signals;

/// Ending signals, taken from their default action.
pub(super) struct Signals {
    mask: SigSet,
    descriptor: Rc<SignalFd>,
}

impl Signals {
    /// Takes them over, on this thread and those that it starts.
    pub(super) fn take() -> io::Result<Self> {
        let mask = ending_signals();
        mask.thread_block()?;
        let descriptor = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { mask, descriptor: Rc::new(descriptor) })
    }

    /// As long as what it returns lives, signals have their default action: there is a thread that does not block them.
    pub(super) fn let_through(&self) -> LetThrough {
        let (held, ended): (Sender<()>, Receiver<()>) = channel();
        let mask = self.mask;
        let thread = thread::spawn(move || {
            // Without it a signal waits until the capture begins, and ends it then.
            let _ = mask.thread_unblock();
            let _ = ended.recv();
        });
        LetThrough { held: Some(held), thread: Some(thread) }
    }

    /// Becomes readable when a signal comes.
    pub(super) fn descriptor(&self) -> Rc<SignalFd> {
        Rc::clone(&self.descriptor)
    }
}

/// See [`Signals::let_through`].
pub(super) struct LetThrough {
    held: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for LetThrough {
    fn drop(&mut self) {
        self.held = None;
        if let Some(thread) = self.thread.take() {
            // It does nothing that may fail.
            let _ = thread.join();
        }
    }
}
