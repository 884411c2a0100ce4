//! Which types may cross threads, and which must not. The compiler checks this when it compiles this file.
//!
//! A task's future need not be `Send`, so nothing that reaches into the loop may leave its thread. Types that are made
//! to leave it must be `Send`.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;

use roundel::source::{AsyncFd, Source};
use roundel::{Builder, JoinError, JoinHandle, Remote, RemoteHandle, Runtime, TaskId, probe, time};

/// Compiles if the type has the trait.
macro_rules! is {
    ($trait:path: $($type:ty),+ $(,)?) => {
        $(const _: fn() = || { fn is<T: $trait>() {} is::<$type>(); };)+
    };
}

/// Compiles if the type does not have the trait. If it has the trait, `_` is ambiguous.
macro_rules! is_not {
    ($trait:path: $($type:ty),+ $(,)?) => {
        $(const _: fn() = || {
            trait Ambiguous<A> {
                fn name() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Yes;
            impl<T: ?Sized + $trait> Ambiguous<Yes> for T {}
            let _ = <$type as Ambiguous<_>>::name;
        };)+
    };
}

is!(Send: Remote, RemoteHandle<i32>, TaskId, JoinError, time::Elapsed, probe::Event);
is!(Sync: Remote, TaskId, JoinError, time::Elapsed, probe::Event);
is!(Unpin: JoinHandle<std::marker::PhantomPinned>, RemoteHandle<std::marker::PhantomPinned>, time::Sleep, time::Interval);
is!(std::error::Error: JoinError, time::Elapsed);

is!(Send: roundel::LoopBound<Rc<i32>>);
is!(Sync: roundel::LoopBound<Rc<Cell<i32>>>);
is!(Unpin: roundel::LoopBound<std::marker::PhantomPinned>);

is_not!(Send: roundel::task::TaskSet<i32>, roundel::CancelOnDrop<i32>, roundel::sync::OwnedPermit);
is_not!(Send: Runtime, Builder, JoinHandle<i32>, time::Sleep, time::Interval, time::Timeout<std::future::Ready<()>>);
is_not!(Sync: Runtime, JoinHandle<i32>, time::Sleep, time::Interval);
is_not!(Send: Source<mio::net::TcpStream>, AsyncFd<std::fs::File>);
is_not!(Sync: Source<mio::net::TcpStream>, AsyncFd<std::fs::File>);
is_not!(Send: RemoteHandle<Rc<i32>>);
is_not!(Sync: RemoteHandle<Rc<Cell<i32>>>);
is_not!(Clone: JoinHandle<i32>, RemoteHandle<i32>, Runtime);

#[test]
fn what_must_not_compile_does_not() {
    // The compiler has checked everything above. This test only makes the file count.
}
