//! Where this crate differs from tokio on purpose. The documentation of each method states the difference; these tests
//! check it.

#![forbid(unsafe_code)]

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use roundel::channel::{Closed, bounded, oneshot};
use roundel::sync::{OnceCell, Semaphore};
use roundel::{Runtime, group, time, yield_now};

fn virtually<F: Future>(main: F) -> F::Output {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(main)
}

#[test]
fn a_permit_that_was_reserved_before_close_gives_its_value_back() {
    virtually(async {
        let (sender, receiver) = bounded(1);
        let permit = sender.reserve().await.unwrap();
        receiver.close();
        assert_eq!(permit.send(7), Err(Closed(7)));
    });
}

#[test]
fn a_once_cell_can_be_set_during_an_initialisation() {
    virtually(async {
        let cell = OnceCell::new();
        let initialised = cell.get_or_init(async || {
            yield_now().await;
            1
        });
        let (got, set) = group::join!(initialised, async { cell.set(2) });
        assert_eq!((*got, set), (2, Ok(())));
    });
}

#[test]
fn a_oneshot_that_has_given_its_value_is_closed() {
    virtually(async {
        let (sender, receiver) = oneshot();
        sender.send(7).unwrap();
        let mut receiver = pin!(receiver);
        assert_eq!(receiver.as_mut().await, Ok(7));
        assert_eq!(receiver.as_mut().await, Err(Closed(())));
    });
}

#[test]
fn a_waiter_for_several_permits_takes_none_before_it_gets_all() {
    virtually(async {
        let semaphore = Semaphore::new(2);
        let mut three = pin!(semaphore.acquire_many(3));
        assert!(three.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(semaphore.available(), 2);
        assert!(semaphore.try_acquire().is_err(), "nothing overtakes it");
        semaphore.add_permits(1);
        assert_eq!(three.await.unwrap().count(), 3);
    });
}

#[test]
fn a_sleep_in_the_past_gives_way_once() {
    virtually(async {
        let mut sleep = pin!(time::sleep_until(time::now()));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        sleep.await;
    });
}

#[test]
fn a_sleep_of_the_longest_duration_never_ends() {
    virtually(async {
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        assert!(time::timeout(century, time::sleep(Duration::MAX)).await.is_err());
    });
}
