//! A way to the API server that can be cut.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Forwards connections until it is cut.
pub(super) struct Proxy {
    address: SocketAddr,
    open: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Proxy {
    /// Listens, and forwards to `server` (`host:port`).
    pub(super) fn to(server: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
        let address = listener.local_addr().context("no address")?;
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let (server, connections) = (server.to_owned(), Arc::clone(&open));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A connection that cannot be forwarded is closed, as by a network that is gone.
                let _ = forward(client, &server, &connections);
            }
        });
        Ok(Self { address, open })
    }

    /// Ends every connection, and lets no further one through.
    pub(super) fn cut(&self) {
        let streams = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        for stream in streams.into_iter().flatten() {
            // One that is closed already needs nothing.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Makes a kubeconfig go this way, with the server's certificate still checked for its own name.
    pub(super) fn redirect(&self, config: &mut Value) {
        let cluster = &mut config["clusters"][0]["cluster"];
        let server = cluster["server"].as_str().unwrap_or_default().to_owned();
        let name = host_and_port(&server).rsplit_once(':').map(|(host, _)| host.to_owned());
        cluster["server"] = format!("https://{}", self.address).into();
        if cluster["tls-server-name"].is_null() {
            cluster["tls-server-name"] = name.unwrap_or_default().into();
        }
    }
}

/// Of `https://host[:port]/path`.
pub(super) fn host_and_port(url: &str) -> String {
    let rest = url.trim_start_matches("https://");
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains(':') { authority.to_owned() } else { format!("{authority}:443") }
}

fn forward(client: TcpStream, server: &str, open: &Mutex<Option<Vec<TcpStream>>>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(streams) = open.as_mut() else { return Ok(()) };
    streams.extend([client.try_clone()?, server.try_clone()?]);
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        thread::spawn(move || {
            let (mut reader, mut writer) = (&from, &to);
            // The end of one direction is passed on, however it came.
            let _ = io::copy(&mut reader, &mut writer);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn servers_of_kubeconfigs() {
        assert_eq!(host_and_port("https://192.0.2.1:6443"), "192.0.2.1:6443");
        assert_eq!(host_and_port("https://api.example.org/k8s/c1"), "api.example.org:443");
    }

    #[test]
    fn forwards_until_it_is_cut() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = server.local_addr().expect("an address").to_string();
        let proxy = Proxy::to(&address).expect("a proxy");
        let mut client = TcpStream::connect(proxy.address).expect("a way");
        let (mut accepted, _) = server.accept().expect("a connection");
        accepted.write_all(b"x").expect("a byte out");
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a byte in");
        proxy.cut();
        assert_eq!(client.read(&mut byte).unwrap_or(0), 0);
        let mut late = TcpStream::connect(proxy.address).expect("it still listens");
        assert_eq!(late.read(&mut byte).unwrap_or(0), 0);
    }
}
