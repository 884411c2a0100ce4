//! Hazard 43: a herd that is called for each connection. Linux deals them out instead.

use roundel::Runtime;
use roundel::group::gather;
use roundel_net::{TcpListener, TcpSocket, TcpStream};

use super::common::watchdog;

/// Several loops, each with a thread and a listener of its own, share a port; together they accept everything once.
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
        (0..4).for_each(|_| listening.recv().expect("all of them listen"));
        // It only held the port: from now on the four share it.
        drop(listener);
        let clients = gather((0..CLIENTS).map(|_| async move {
            let client = TcpStream::connect(at).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 1, "somebody has accepted it");
        }));
        clients.await;
        // Whoever gets one of these ends, and the next one goes to the others.
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

/// Greets everybody until one says `stop`. How many did not.
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
