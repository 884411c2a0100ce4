//! Two unrelated values panic. Each panic ends only the task or job that it belongs to, and the process lives.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use roundel::cancel::with_cleanup;
use roundel::source::Source;
use roundel::{time, yield_now};

use super::*;

#[test]
fn hazard_60_a_cleanup_that_panics_while_its_task_unwinds() {
    alone("aborts::hazard_60_a_cleanup_that_panics_while_its_task_unwinds", || {
        virtual_runtime().block_on(async {
            let task = spawn(async {
                let cleanup = || -> std::future::Ready<()> { panic!("the cleanup") };
                let mut session = Box::pin(with_cleanup(pending::<()>(), cleanup));
                assert!(session.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                panic!("the cause");
            });
            assert!(task.await.unwrap_err().to_string().ends_with("panicked: the cause"));
        });
    });
}

#[test]
fn hazard_60_a_cleanup_that_panics_beside_what_the_body_left() {
    alone("aborts::hazard_60_a_cleanup_that_panics_beside_what_the_body_left", || {
        virtual_runtime().block_on(async {
            // The body's output, the body's guard and the closure panic.
            let cleanup = || -> std::future::Ready<()> { panic!("the cleanup") };
            let task = spawn(with_cleanup(async { Bomb("the output") }, cleanup));
            let error = task.await.err().unwrap();
            assert!(error.to_string().ends_with("panicked: the cleanup"), "{error}");
            let body = async {
                let _guard = Bomb("the guard");
                pending::<()>().await;
            };
            let task = spawn(with_cleanup(body, cleanup));
            yield_now().await;
            task.cancel();
            assert!(task.await.unwrap_err().to_string().ends_with("panicked: the guard"));
            // The body's output panics while the task unwinds in the middle of the cleanup.
            let task = spawn(async {
                let mut session = Box::pin(with_cleanup(async { Bomb("the output") }, pending::<()>));
                assert!(session.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                panic!("the cause");
            });
            assert!(task.await.unwrap_err().to_string().ends_with("panicked: the cause"));
        });
    });
}

/// A waker that panics when it is dropped.
struct Rude(#[expect(dead_code, reason = "it is there to be dropped")] Bomb);

impl Wake for Rude {
    fn wake(self: Arc<Self>) {}
}

fn rude_waker() -> Waker {
    Waker::from(Arc::new(Rude(Bomb("a waker"))))
}

/// Polls with a waker that panics when its last clone is dropped.
fn poll_rudely(future: Pin<&mut impl Future>) {
    let waker = std::mem::ManuallyDrop::new(rude_waker());
    let clone = Waker::clone(&waker);
    let pending = future.poll(&mut Context::from_waker(&clone)).is_pending();
    assert!(pending);
    // Besides this one, the future has the last clone.
    std::mem::drop(catch_unwind(AssertUnwindSafe(|| drop(std::mem::ManuallyDrop::into_inner(waker)))));
    std::mem::drop(catch_unwind(AssertUnwindSafe(|| drop(clone))));
}

#[test]
fn hazard_60_two_wakers_of_timers_that_panic_at_the_shutdown() {
    alone("aborts::hazard_60_two_wakers_of_timers_that_panic_at_the_shutdown", || {
        let runtime = Runtime::new().unwrap();
        let mut sleeps = runtime.block_on(async { [(); 3].map(|()| Box::pin(time::sleep(seconds(3600)))) });
        runtime.block_on(async { sleeps.iter_mut().for_each(|sleep| poll_rudely(sleep.as_mut())) });
        drop(runtime);
    });
}

roundel::task_local! {
    static ONE: Rc<Bomb>;
    static TWO: Rc<Bomb>;
}

#[test]
fn hazard_60_two_task_locals_that_panic() {
    alone("aborts::hazard_60_two_task_locals_that_panic", || {
        roundel::run(async {
            let task = spawn(async {
                ONE.set(Rc::new(Bomb("one")));
                TWO.set(Rc::new(Bomb("two")));
                7
            });
            assert_eq!(task.await.unwrap(), 7);
            // The value of a task-local scope panics, and so does the future that runs in it.
            let bomb = Bomb("the future");
            let task = spawn(ONE.scope(Rc::new(Bomb("the value")), async move {
                let _bomb = bomb;
                pending::<()>().await;
            }));
            yield_now().await;
            task.cancel();
            assert!(task.await.unwrap_err().to_string().ends_with("panicked: the future"));
        });
    });
}

/// A source that panics when it is deregistered.
struct Stubborn;

impl mio::event::Source for Stubborn {
    fn register(&mut self, _: &mio::Registry, _: mio::Token, _: mio::Interest) -> std::io::Result<()> {
        Ok(())
    }

    fn reregister(&mut self, _: &mio::Registry, _: mio::Token, _: mio::Interest) -> std::io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: &mio::Registry) -> std::io::Result<()> {
        panic!("it does not want to go");
    }
}

#[test]
fn a_source_that_panics_when_it_is_deregistered_leaves_nothing_behind() {
    alone("aborts::a_source_that_panics_when_it_is_deregistered_leaves_nothing_behind", || {
        roundel::run(async {
            let source = Source::new(Stubborn).unwrap();
            assert!(catch_unwind(AssertUnwindSafe(|| drop(source))).is_err());
            let source = Source::new(Stubborn).unwrap();
            assert!(catch_unwind(AssertUnwindSafe(|| source.into_inner())).is_err());
            // It panics while its task is already unwinding.
            let task = spawn(async {
                let _source = Source::new(Stubborn).unwrap();
                panic!("the cause");
            });
            assert!(task.await.unwrap_err().to_string().ends_with("panicked: the cause"));
            assert_eq!(roundel::source::count(), 0);
        });
    });
}

/// Panics when it is polled, and when it is dropped.
struct Twice(#[expect(dead_code, reason = "it is there to be dropped")] Bomb);

impl Future for Twice {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        panic!("the poll");
    }
}

#[test]
fn hazard_60_a_main_future_that_panics_when_polled_and_when_dropped() {
    alone("aborts::hazard_60_a_main_future_that_panics_when_polled_and_when_dropped", || {
        let runtime = Runtime::new().unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(Twice(Bomb("the drop")))));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"the poll"));
        // Its drop panics, and so does the drop of its output.
        let bomb = Bomb("the drop");
        let main = std::future::poll_fn(move |_| {
            let _bomb = &bomb;
            Poll::Ready(Bomb("the output"))
        });
        let panic = catch_unwind(AssertUnwindSafe(|| drop(runtime.block_on(main))));
        assert_eq!(panic.unwrap_err().downcast_ref::<String>().unwrap(), "the drop");
    });
}
