//! What is used under or after another loop: it keeps its contract, or says in a sentence why it does not.

use roundel::sync::{Pool, RateLimiter};
use roundel::time;

use super::*;

#[test]
fn hazard_62_a_rate_limiter_keeps_its_limit_and_no_more_in_another_loop() {
    let limiter = RateLimiter::new(1, 5);
    let first = virtual_runtime();
    first.block_on(async {
        time::sleep(seconds(3600)).await;
        for _ in 0..5 {
            limiter.acquire().await;
        }
    });
    virtual_runtime().block_on(async {
        let start = time::now();
        for _ in 0..5 {
            limiter.acquire().await;
        }
        assert_eq!(time::now() - start, seconds(5), "the bucket is as empty as it was left");
    });
    first.block_on(async {
        let start = time::now();
        time::sleep(seconds(3)).await;
        for _ in 0..5 {
            limiter.acquire().await;
        }
        assert_eq!(time::now() - start, seconds(8));
    });
}

#[test]
fn hazard_62_a_pool_does_not_give_out_what_may_have_been_idle_for_too_long() {
    let made = Rc::new(std::cell::Cell::new(0));
    let count = made.clone();
    let pool = Pool::new(1, move || {
        count.set(count.get() + 1);
        std::future::ready(std::io::Result::Ok(()))
    })
    .idle_timeout(seconds(60));
    let first = virtual_runtime();
    first.block_on(async {
        time::sleep(seconds(1000)).await;
        drop(pool.checkout().await.unwrap());
        time::sleep(seconds(60)).await;
        drop(pool.checkout().await.unwrap());
        assert_eq!(made.get(), 1, "on its own loop it is still good");
    });
    // On another loop nobody can say how long it has been idle.
    let pooled = virtual_runtime().block_on(async { pool.checkout().await.unwrap() });
    assert_eq!(made.get(), 2);
    // Given back outside a loop.
    drop(pooled);
    drop(first.block_on(async { pool.checkout().await.unwrap() }));
    assert_eq!(made.get(), 3);
}
