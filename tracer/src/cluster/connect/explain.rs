//! What errors of the client mean to a person.

use std::error::Error as StdError;
use std::io;

use kube::client::AuthError;
use kube::core::Status;
use kube::{Config, Error};
use thiserror::Error;

use crate::error::{Exit, ExitStatus};

/// Causes of an error that are looked through, at most.
const DEEPEST: usize = 16;

/// Why a request to the cluster failed.
#[derive(Debug, Error)]
pub enum RequestError {
    /// No connection.
    #[error("cannot reach the cluster at {server}: {why}")]
    Unreachable {
        /// Address of the server.
        server: String,
        /// Why, in the words of the one who knows.
        why: String,
    },
    /// The server is not who the kubeconfig says.
    #[error(
        "the certificate of {server} is not trusted: {why} (is it the cluster that the kubeconfig's certificate-authority is of?)"
    )]
    Certificate {
        /// Address of the server.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server does not know who asks.
    #[error("the cluster refused the credentials (401): {message} (have they expired?)")]
    Unauthorized {
        /// What the server says.
        message: String,
    },
    /// The server knows who asks, and does not allow it.
    #[error("the cluster does not allow it (403): {message}")]
    Forbidden {
        /// What the server says: who may not do what.
        message: String,
    },
    /// Any other refusal.
    #[error("the cluster refused with {code}: {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// What the server says.
        message: String,
    },
    /// No answer.
    #[error("the cluster at {server} has not answered for {seconds} s")]
    Timeout {
        /// Address of the server.
        server: String,
        /// How long it had.
        seconds: u64,
    },
    /// Credentials cannot be had, be it from a file or from a plugin.
    #[error("cannot get credentials for the cluster: {0}")]
    Credentials(String),
    /// A proxy that cannot be used.
    #[error("the proxy {0} cannot be used: it has to be one of http:// or https://")]
    Proxy(String),
    /// The answer makes no sense.
    #[error("cannot understand the answer of the cluster at {server}")]
    Answer {
        /// Address of the server.
        server: String,
        /// Why.
        source: Box<Error>,
    },
}

impl ExitStatus for RequestError {
    fn exit(&self) -> Exit {
        match self {
            Self::Refused { .. } | Self::Answer { .. } => Exit::Failed,
            _ => Exit::Environment,
        }
    }
}

/// A server as messages name it.
#[derive(Clone, Debug)]
pub struct Server {
    address: String,
    /// The program that gives credentials, and how to come by it.
    plugin: Option<(String, Option<String>)>,
}

impl Server {
    pub(super) fn of(config: &Config) -> Self {
        let address = config.cluster_url.to_string();
        let address = address.trim_end_matches('/');
        // Less the name and password that may be in it.
        let bare =
            |url: &str| url.split_once('@').map_or_else(|| url.to_owned(), |(_, host)| host.to_owned());
        let proxy = config.proxy_url.as_ref().and_then(|url| Some(bare(url.authority()?.as_str())));
        let exec = config.auth_info.exec.as_ref();
        Self {
            address: proxy
                .map_or_else(|| address.to_owned(), |proxy| format!("{address} (by the proxy {proxy})")),
            plugin: exec.and_then(|exec| Some((exec.command.clone()?, exec.install_hint.clone()))),
        }
    }

    /// What an error of the client means.
    pub fn explain(&self, error: Error) -> RequestError {
        match error {
            Error::Api(status) => refused(&status),
            Error::Auth(error) => RequestError::Credentials(self.credentials(&error)),
            Error::ProxyProtocolUnsupported { proxy_url }
            | Error::ProxyProtocolDisabled { proxy_url, .. } => RequestError::Proxy(proxy_url.to_string()),
            Error::HyperError(ref inner) => self.unreachable(inner),
            Error::Service(ref inner) => self.unreachable(inner.as_ref()),
            Error::ReadEvents(ref inner) => self.unreachable(inner),
            error => RequestError::Answer { server: self.address.clone(), source: Box::new(error) },
        }
    }

    /// A request that took too long.
    pub fn silent(&self, seconds: u64) -> RequestError {
        RequestError::Timeout { server: self.address.clone(), seconds }
    }

    fn unreachable(&self, error: &(dyn StdError + 'static)) -> RequestError {
        if let Some(error) = causes(error).find_map(|cause| cause.downcast_ref::<AuthError>()) {
            return RequestError::Credentials(self.credentials(error));
        }
        let (server, why) = (self.address.clone(), cause(error));
        match why.strip_prefix("invalid peer certificate: ") {
            Some(why) => RequestError::Certificate { server, why: why.to_owned() },
            None => RequestError::Unreachable { server, why },
        }
    }

    fn plugin(&self) -> String {
        self.plugin
            .as_ref()
            .map_or_else(|| "the plugin".to_owned(), |(command, _)| format!("the plugin {command}"))
    }

    fn credentials(&self, error: &AuthError) -> String {
        match error {
            AuthError::AuthExecStart(source) => {
                let hint = self.plugin.as_ref().and_then(|(_, hint)| hint.as_deref());
                let hint = hint.map(|hint| format!(" ({})", hint.trim())).unwrap_or_default();
                format!("{} cannot be run: {source}{hint}", self.plugin())
            }
            AuthError::AuthExecRun { out, .. } => {
                let said = String::from_utf8_lossy(&out.stderr);
                let said = said.trim();
                let said = if said.is_empty() { "it says nothing" } else { said };
                format!("{} failed ({}): {said}", self.plugin(), out.status)
            }
            AuthError::ReadTokenFile(source, path) => {
                format!("the token file {} cannot be read: {source}", path.display())
            }
            other => other.to_string(),
        }
    }
}

fn refused(status: &Status) -> RequestError {
    let message = if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
    let message = message.trim().to_owned();
    match status.code {
        401 => RequestError::Unauthorized { message },
        403 => RequestError::Forbidden { message },
        code => RequestError::Refused { code, message },
    }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
    .take(DEEPEST)
}

/// The kernel's word for it if it has one, else that of the last one who passed the error on.
fn cause(error: &(dyn StdError + 'static)) -> String {
    let by_kernel = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).find_map(|error| {
        let is_known = error.raw_os_error().is_some() || error.kind() == io::ErrorKind::TimedOut;
        is_known.then(|| match error.kind() {
            io::ErrorKind::TimedOut => "no connection came about in time".to_owned(),
            kind => kind.to_string(),
        })
    });
    by_kernel.unwrap_or_else(|| causes(error).last().map(ToString::to_string).unwrap_or_default())
}
