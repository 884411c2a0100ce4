//! What a trace knows of sockets: descriptors and addresses, as the kernel has them.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

use roundel::Runtime;
use roundel::record::{Recorder, Trace};
use roundel_net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};

/// The sockets of a trace: what each is, and its addresses. Each has a descriptor of its own, which the system knows.
fn sockets(trace: &Trace) -> Vec<(String, Option<String>, Option<String>)> {
    let text = |number| trace.text(number).map(str::to_owned);
    let sources =
        trace.resources().iter().filter(|resource| resource.kind == roundel::record::ResourceKind::Source);
    let mut descriptors = std::collections::HashSet::new();
    sources
        .map(|source| {
            let descriptor = source.descriptor.expect("a socket has a descriptor");
            assert!(descriptors.insert(descriptor), "{descriptor} is that of two sockets");
            #[cfg(target_os = "linux")]
            assert!(
                std::fs::read_link(format!("/proc/self/fd/{descriptor}"))
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("socket:["),
                "{descriptor}"
            );
            (text(source.what).unwrap(), text(source.local), text(source.peer))
        })
        .collect()
}

#[test]
fn a_trace_names_the_descriptor_and_the_addresses_of_each_socket() {
    let file = std::env::temp_dir().join(format!("roundel-details-{}", std::process::id()));
    for recorder in [Recorder::in_memory(), Recorder::ring(10)] {
        let runtime = Runtime::builder().record(recorder.clone()).build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = TcpStream::connect(address).await.unwrap();
            let (_server, peer) = listener.accept().await.unwrap();
            let (one, other) = (
                UdpSocket::bind("127.0.0.1:0").await.unwrap(),
                UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            );
            one.connect(other.local_addr().unwrap()).await.unwrap();
            let _path = UnixListener::bind(&file).unwrap();
            let _unix = UnixStream::connect(&file).await.unwrap();
            // The tables of a ring keep what is known of a socket whose beginning has left it.
            for _ in 0..20 {
                roundel::yield_now().await;
            }
            let known = sockets(&recorder.trace().unwrap());
            let text = |address: std::net::SocketAddr| Some(address.to_string());
            let there = Some(file.display().to_string());
            for expected in [
                ("TcpListener".to_owned(), text(address), None),
                ("TcpStream".to_owned(), text(client.local_addr().unwrap()), text(address)),
                ("TcpStream".to_owned(), text(address), text(peer)),
                ("UdpSocket".to_owned(), text(one.local_addr().unwrap()), text(other.local_addr().unwrap())),
                ("UdpSocket".to_owned(), text(other.local_addr().unwrap()), None),
                ("UnixListener".to_owned(), there.clone(), None),
                ("UnixStream".to_owned(), None, there),
            ] {
                assert!(known.contains(&expected), "{expected:?} is not in {known:?}");
            }
        });
    }
}
