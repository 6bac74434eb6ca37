//! A server that answers as a test says, in place of a cluster's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::{fs, io, process, thread};

use serde_json::{Value, json};

use crate::cli::cluster::ClusterArgs;
use crate::cluster::Cluster;

/// What is answered to a request.
pub(in crate::cluster) enum Reply {
    Json(Value),
    /// An error with its HTTP status.
    Refusal(u16),
    /// Lines as they come, until there are no more.
    Stream(Receiver<Value>),
}

type Requests = Arc<Mutex<Vec<String>>>;

/// A server; it ends with the process.
pub(in crate::cluster) struct Server {
    pub(in crate::cluster) cluster: Cluster,
    requests: Requests,
}

impl Server {
    /// Answers by a function of the request's path and query.
    pub(in crate::cluster) fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Requests::default();
        let (log, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || serve(&stream.unwrap(), &log, &*answer));
            }
        });
        Self { cluster: connect(port), requests }
    }

    /// Paths and queries of the requests so far.
    pub(in crate::cluster) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn connect(port: u16) -> Cluster {
    let path = std::env::temp_dir().join(format!("kflow-server-{}-{port}", process::id()));
    let server = format!("http://127.0.0.1:{port}");
    let config = json!({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}]});
    fs::write(&path, config.to_string()).unwrap();
    let args = ClusterArgs { kubeconfig: Some(path.clone()), ..ClusterArgs::default() };
    let cluster = Cluster::connect(&args).unwrap();
    fs::remove_file(path).unwrap();
    cluster
}

/// Requests of one connection, until it ends.
fn serve(stream: &TcpStream, log: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Reply) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(target) = request(&mut reader) {
        log.lock().unwrap().push(target.clone());
        if reply(stream, answer(&target)).is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let target = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim().to_ascii_lowercase().split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(target)
}

fn reply(mut stream: &TcpStream, reply: Reply) -> io::Result<()> {
    let (code, body) = match reply {
        Reply::Json(body) => (200, body),
        Reply::Refusal(code) => {
            (code, json!({"kind": "Status", "code": code, "message": format!("refused with {code}")}))
        }
        Reply::Stream(lines) => {
            write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for line in lines {
                let line = format!("{line}\n");
                write!(stream, "{:x}\r\n{line}\r\n", line.len())?;
            }
            return write!(stream, "0\r\n\r\n");
        }
    };
    let body = body.to_string();
    write!(stream, "HTTP/1.1 {code} -\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A page of a list.
pub(in crate::cluster) fn page(version: &str, rest: Option<&str>, items: &[Value]) -> Reply {
    Reply::Json(json!({"metadata": {"resourceVersion": version, "continue": rest}, "items": items}))
}

/// A pod as the API writes it in a list: without its kind.
pub(in crate::cluster) fn pod(namespace: &str, name: &str, ip: &str, version: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name, "resourceVersion": version},
        "spec": {"nodeName": "node1"}, "status": {"phase": "Running", "podIP": ip, "hostIP": "192.168.0.1"}})
}
