//! Both ends of a conversation, for pods of a cluster that have nothing else: `cargo xtask e2e` makes an image of it.
//!
//! HTTP/1.1, one request per connection, so that each is a flow of its own. It needs nothing but a kernel.

use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const USAGE: &str = "\
usage: talk serve PORT                     answer every request with the name of this machine
       talk get HOST:PORT COUNT MILLIS     send so many requests, so far apart; fails if one has no answer";

/// How long either end waits for the other one.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", port] => port.parse().ok().map(serve),
        ["get", address, count, millis] => count
            .parse()
            .ok()
            .zip(millis.parse().ok())
            .map(|(count, millis)| get(address, count, Duration::from_millis(millis))),
        _ => None,
    };
    match done {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("talk: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Answers until it is killed. Process 1 of a container has no handler for the signal that ends it, and needs none: the
/// kernel then ignores all but SIGKILL, which comes after a grace period that the pod sets to a second.
fn serve(port: u16) -> io::Result<()> {
    let listener = bind(port)?;
    loop {
        let (client, _) = listener.accept()?;
        // A client that goes away in the middle is the client's own business.
        thread::spawn(move || answer(&client).ok());
    }
}

/// Of every address; where the kernel has no IPv6, of every IPv4 one.
fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        .or_else(|_| TcpListener::bind(("0.0.0.0", port)))
}

fn answer(mut client: &TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(client).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let name = env::var("HOSTNAME").unwrap_or_default();
    let length = name.len() + 1;
    // As one piece: a `write!` to a socket is a packet for each of its parts.
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}\n");
    client.write_all(text.as_bytes())
}

/// Prints who answered, a line for each request, and fails at the end if any had none.
fn get(address: &str, count: u32, pause: Duration) -> io::Result<()> {
    let mut failures = 0;
    let mut last = None;
    for _ in 0..count {
        match ask(address) {
            Ok(name) => println!("{name}"),
            Err(error) => {
                failures += 1;
                last = Some(error);
            }
        }
        thread::sleep(pause);
    }
    match last {
        None => Ok(()),
        Some(error) => Err(io::Error::other(format!(
            "{failures} of {count} requests had no answer, the last one: {error}"
        ))),
    }
}

fn ask(address: &str) -> io::Result<String> {
    let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut server = TcpStream::connect_timeout(&address, PATIENCE)?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.write_all(b"GET / HTTP/1.1\r\nHost: talk\r\n\r\n")?;
    let mut text = String::new();
    server.read_to_string(&mut text)?;
    let body = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?.1;
    Ok(body.trim().to_owned())
}
