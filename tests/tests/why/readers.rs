//! Receivers that do not read, told apart from networks that lose.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use tests::{
    Lab, LabConfig,
    lab::topology::{POD_DEST, POD_SRC},
};

use crate::support::{Test, largest, list, number, trace};

const PORT: u16 = 5300;
/// How long the receiver does not read.
const PAUSE: Duration = Duration::from_secs(3);
/// More than both sockets hold.
const AMOUNT: usize = 32 << 20;

#[test]
fn a_receiver_that_does_not_read_is_the_cause_and_nothing_is_lost() -> Test {
    let lab = Lab::up(&LabConfig::default())?;
    let address = SocketAddr::from((POD_DEST.address, PORT));
    let listener = lab.pod(POD_DEST.name).run(|| TcpListener::bind(address))??;
    let kflow = trace(&lab, &["-B", "16384"])?;
    let sender = lab.pod(POD_SRC.name).run(|| TcpStream::connect(address))??;
    let (mut receiver, _) = listener.accept()?;
    let sending = thread::spawn(move || -> std::io::Result<()> {
        let mut sender = sender;
        sender.write_all(&vec![b'k'; AMOUNT])
    });
    let began = Instant::now();
    while began.elapsed() < PAUSE {
        thread::park_timeout(PAUSE.saturating_sub(began.elapsed()));
    }
    let mut read = vec![0; AMOUNT];
    receiver.read_exact(&mut read)?;
    sending.join().map_err(|_| "the sender panicked")??;
    drop(receiver);
    let outcome = kflow.stop()?;

    let told = outcome.told()?;
    let flow = largest(&told, PORT);
    assert!(list(&flow["forward"]["stopped"]).is_empty(), "{:#}", flow["forward"]["stopped"]);
    let (lane, verdict) = (&flow["reply"], &flow["verdict"]);
    assert!(number(&lane["zero_windows"]) > 0, "{lane:#}");
    assert!(number(&lane["zero_window_ns"]) > 2_000_000_000, "{lane:#}");
    assert_eq!(
        (&verdict["cause"], &verdict["outcome"]),
        (&"zero-window".into(), &"slow".into()),
        "{verdict:#}"
    );
    assert_eq!(verdict["at"]["pod"], "default/pod-dest", "{verdict:#}");
    Ok(())
}
