//! Traffic that arrives: nothing of it is told to be lost, whatever kernels let go of.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use tests::traffic::Ping;
use tests::{Tcpdump, TcpdumpOptions};

use crate::Tested;
use crate::line::{FAR, Line, ip};
use crate::recorder::Recorder;

const PORT: u16 = 7101;
const BYTES: usize = 8 << 20;

#[test]
fn nothing_is_lost_of_what_arrives() -> Tested {
    let line = Line::new();
    let recorders = [&line.near, &line.router, &line.far].map(|here| Recorder::start(here, &["--drops"]));
    for _ in 0..10 {
        line.transfer(PORT, 100);
    }
    line.transfer(PORT, BYTES);
    let pings = Ping { count: 5, ..Ping::new(FAR) }.send(&line.near)?;
    assert_eq!(pings.round_trips.len(), 5);
    let server = line.far.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)))??;
    server.set_read_timeout(Some(Duration::from_secs(5)))?;
    assert_eq!(line.send(FAR, PORT, 20, 500), 20);
    for _ in 0..20 {
        server.recv(&mut [0; 600])?;
    }
    for recorder in recorders {
        let outcome = recorder.stop();
        assert!(outcome.packets > 0);
        assert!(outcome.lost().is_empty(), "{:#?}", outcome.lost());
    }
    Ok(())
}

/// Who looks on gets a clone of each packet, and lets it go.
#[test]
fn onlookers_lose_nothing() -> Tested {
    let line = Line::new();
    let path = std::env::temp_dir().join(format!("kflow-drops-{}.pcap", std::process::id()));
    let options = TcpdumpOptions {
        interface: "to_near0",
        filter: "",
        snap_len: 96,
        buffer_kib: 256,
        flags: &[],
        path: &path,
    };
    let tcpdump = Tcpdump::start(&line.router, &options)?;
    let recorder = Recorder::start(&line.router, &["--drops"]);
    line.transfer(PORT, BYTES);
    ip(&line.router, "link set to_far0 promisc on");
    line.transfer(PORT, BYTES);
    let outcome = recorder.stop();
    drop(tcpdump);
    std::fs::remove_file(path)?;
    assert!(outcome.lost().is_empty(), "{:#?}", outcome.lost());
    Ok(())
}
