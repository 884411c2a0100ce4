//! Hazard 43: a connection wakes all loops that share a port. Linux gives it to one of them instead.

use roundel::Runtime;
use roundel::group::gather;
use roundel_net::{TcpListener, TcpSocket, TcpStream};

use super::common::watchdog;

/// Several loops, each with its own thread and listener, share a port. Together they accept each connection
/// once.
#[test]
fn hazard_43_loops_that_share_a_port_all_get_connections() {
    const CLIENTS: usize = 300;
    let _watchdog = watchdog();
    let listen = |at| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(at).unwrap();
        socket.listen(1024).unwrap()
    };
    roundel::run(async move {
        let listener = listen("127.0.0.1:0".parse().unwrap());
        let at = listener.local_addr().unwrap();
        let (ready, listening) = std::sync::mpsc::channel();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let ready = ready.clone();
                std::thread::spawn(move || {
                    Runtime::new().unwrap().block_on(async {
                        let listener = listen(at);
                        ready.send(()).unwrap();
                        accept_all(&listener).await
                    })
                })
            })
            .collect();
        drop(ready);
        (0..4).for_each(|_| listening.recv().expect("all four listen"));
        // This listener only held the port. From now on, the four share it.
        drop(listener);
        let clients = gather((0..CLIENTS).map(|_| async move {
            let client = TcpStream::connect(at).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 1, "a loop has accepted it");
        }));
        clients.await;
        // The loop that gets this connection ends, and the next one goes to another loop.
        while workers.iter().any(|worker| !worker.is_finished()) {
            if let Ok(client) = TcpStream::connect(at).await {
                let _ = client.write_all(b"stop").await;
                let _ = client.read(&mut [0]).await;
            }
        }
        let shares: Vec<usize> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        assert_eq!(shares.iter().sum::<usize>(), CLIENTS, "{shares:?}");
    });
}

/// Greets each client until one says `stop`. Returns how many did not.
async fn accept_all(listener: &TcpListener) -> usize {
    let mut served = 0;
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"!").await.unwrap();
        let mut word = Vec::new();
        let _ = stream.read_to_end(&mut word).await;
        if word == b"stop" {
            return served;
        }
        served += 1;
    }
}
