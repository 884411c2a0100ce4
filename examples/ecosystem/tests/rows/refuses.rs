//! What asks for tokio's runtime and does not find it. It must say so, and the loop goes on.

use std::time::Duration;

use roundel::spawn;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::on_a_loop;

/// The text of the panic with which this task ends.
async fn panic_of(task: impl Future<Output = ()> + 'static) -> String {
    let payload = spawn(task).await.unwrap_err().into_panic();
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap()
}

#[test]
fn tokio_time_net_and_spawn_ask_for_tokio() {
    on_a_loop(async {
        let told = panic_of(async { tokio::time::sleep(Duration::ZERO).await }).await;
        assert!(told.contains("there is no reactor running"), "{told}");
        let told = panic_of(async { drop(tokio::net::TcpListener::bind("127.0.0.1:0").await) }).await;
        assert!(told.contains("there is no reactor running"), "{told}");
        let told = panic_of(async { drop(tokio::spawn(async {})) }).await;
        assert!(told.contains("there is no reactor running"), "{told}");
    });
}

#[test]
fn tower_timeout_and_buffer_ask_for_tokio() {
    on_a_loop(async {
        let told = panic_of(async {
            let service = tower::service_fn(|(): ()| std::future::ready(Ok::<_, std::io::Error>(())));
            let mut service = ServiceBuilder::new().timeout(Duration::from_secs(1)).service(service);
            let _ = service.ready().await.unwrap().call(()).await;
        });
        let told = told.await;
        assert!(told.contains("there is no reactor running"), "{told}");
        let told = panic_of(async {
            let service = tower::service_fn(|(): ()| std::future::ready(Ok::<_, std::io::Error>(())));
            drop(ServiceBuilder::new().buffer::<()>(1).service(service));
        });
        let told = told.await;
        assert!(told.contains("there is no reactor running"), "{told}");
    });
}
