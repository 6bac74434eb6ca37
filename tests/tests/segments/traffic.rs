//! What the kernel makes super-packets of.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use crate::scene::Scene;

const PORT: u16 = 7000;
const TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of each datagram but the last of one send.
const SEGMENT: i32 = 1000;

/// A stream from the near end to the far one; every byte has arrived when this returns.
pub(crate) fn tcp(scene: &Scene, to: IpAddr, bytes: usize) {
    let listener = scene.in_far(|| TcpListener::bind((any(to), PORT))).unwrap();
    let received = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut received = Vec::new();
        stream.read_to_end(&mut received)?;
        io::Result::Ok(received)
    });
    let address = SocketAddr::from((to, PORT));
    let mut stream = scene.in_near(move || TcpStream::connect_timeout(&address, TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    let content = content(bytes);
    // Writes of odd lengths: not every packet ends where a segment does.
    for part in content.chunks(40_001) {
        stream.write_all(part).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    assert!(received.join().unwrap().unwrap() == content, "what came is not what was sent");
}

/// Sends of many datagrams each, by a socket with an address of the other end and by one without: they get their
/// identifications in different ways.
pub(crate) fn udp(scene: &Scene, to: IpAddr) {
    let server = scene.in_far(|| UdpSocket::bind((any(to), PORT))).unwrap();
    server.set_read_timeout(Some(TIMEOUT)).unwrap();
    let address = SocketAddr::from((to, PORT));
    for is_connected in [true, false] {
        let client = scene.in_near(|| UdpSocket::bind((any(to), 0))).unwrap();
        setsockopt(&client, UdpGsoSegment, &SEGMENT).unwrap();
        if is_connected {
            scene.in_near(|| client.connect(address)).unwrap();
        }
        for len in [20_000, 9_999, 1_001, 1_000, 3] {
            let content = content(len);
            let sent = if is_connected { client.send(&content) } else { client.send_to(&content, address) };
            assert_eq!(sent.unwrap(), len);
            let mut buffer = [0; 2000];
            for part in content.chunks(SEGMENT.unsigned_abs() as usize) {
                let len = server.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..len], part);
            }
        }
    }
}

/// A datagram that nobody listens for.
pub(crate) fn mark(scene: &Scene, words: &[u8]) {
    let socket = scene.in_near(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
    socket.send_to(words, (Ipv4Addr::new(10, 9, 0, 2), 9)).unwrap();
}

fn any(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Bytes that do not repeat soon.
fn content(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let byte = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..len).map(byte).collect()
}
