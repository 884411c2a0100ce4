//! Reports and registrations that outlive each other. A descriptor's number is reused (hazard 36). A source is dropped
//! in the middle of its own report, or cannot be registered at all (hazard 37).

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use mio::net::UnixStream;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, event};
use roundel::probe::Event;
use roundel::source::{self, AsyncFd, Direction, Source};
use roundel::{Runtime, spawn, time};
#[allow(unused_imports)] // With `diagnostics`, a builder has its methods itself.
use testkit::Unwatched;

use super::common::{Flag, Log, alone, everywhere, read, really, settle, unix, virtually, watchdog};
use super::{drain, one_byte};

// Hazard 36: a report about a descriptor whose number now belongs to another file.

/// Sources that the probe's sink can close.
type Held = Rc<RefCell<Vec<Source<UnixStream>>>>;

/// Closes these sources, and opens two others instead, each with a waiter.
fn replace(held: &Held, waker: &Waker) {
    let numbers = |held: &Held| {
        let mut numbers = held.borrow().iter().map(|it| it.get_ref().as_raw_fd()).collect::<Vec<_>>();
        numbers.sort_unstable();
        numbers
    };
    let before = numbers(held);
    drop(held.take());
    let (one, two) = UnixStream::pair().unwrap();
    for stream in [one, two] {
        let fresh = Source::new(stream).unwrap();
        let mut cx = Context::from_waker(waker);
        assert!(fresh.poll_io(&mut cx, Direction::Read, |mut stream| stream.read(&mut [0])).is_pending());
        held.borrow_mut().push(fresh);
    }
    assert_eq!(numbers(held), before, "the numbers of the descriptors are used again");
}

/// Two sources are reported in one batch. The sink hears of each report. Between the two, it closes both sources and
/// opens two others, which get the same descriptor numbers and the same slots of the reactor.
#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn hazard_36_a_report_for_the_last_owner_of_a_number() {
    const NAME: &str = "stale::hazard_36_a_report_for_the_last_owner_of_a_number";
    alone(NAME, || {
        let _watchdog = watchdog();
        let (log, held, armed) = (Log::default(), Held::default(), Rc::new(Cell::new(false)));
        let (flag, waker) = Flag::new();
        let (sink_log, sink_held, sink_armed) = (log.clone(), Rc::clone(&held), Rc::clone(&armed));
        let sink = move |event| {
            sink_log.add(event);
            if matches!(event, Event::SourceReady { .. }) && sink_armed.take() {
                replace(&sink_held, &waker);
            }
        };
        let runtime = Runtime::builder().virtual_time(true).probe(sink).build().unwrap();
        runtime.block_on(async {
            let ((one, mut peer), (two, mut other)) = (unix(), unix());
            held.borrow_mut().extend([one, two]);
            settle().await;
            log.clear();
            armed.set(true);
            peer.write_all(b"x").unwrap();
            other.write_all(b"x").unwrap();
            settle().await;
            assert!(!armed.get());
            // The first report went to its source. The fresh sources are writable, but no task waits for that. The
            // second report went nowhere, because its source was gone.
            assert!(log.reports()[1..].iter().all(|(readable, _)| !readable), "{:?}", log.reports());
            assert_eq!(flag.wakes(), 0, "nothing has come for those who wait");
            held.borrow()[0].get_ref().write_all(b"x").unwrap();
            settle().await;
            assert_eq!(flag.wakes(), 1, "now something has");
            held.take();
        });
    });
}

/// The same between tasks. One closes the other's source in the turn in which both are reported.
#[test]
fn hazard_36_a_source_closed_by_the_one_reported_beside_it() {
    const NAME: &str = "stale::hazard_36_a_source_closed_by_the_one_reported_beside_it";
    alone(NAME, || {
        everywhere(async |_| {
            let ((one, mut peer), (two, mut other)) = (unix(), unix());
            let number = two.get_ref().as_raw_fd();
            let victim = spawn(async move { read(&two, &mut [0]).await });
            let closer = spawn(async move {
                read(&one, &mut [0]).await.unwrap();
                victim.cancel();
                drop(victim);
                let (fresh, mut peer) = unix();
                assert_eq!(fresh.get_ref().as_raw_fd(), number, "the number is used again");
                let reader = spawn(async move { read(&fresh, &mut [0; 2]).await });
                settle().await;
                assert!(!reader.is_finished(), "nothing has come for it");
                peer.write_all(b"yz").unwrap();
                reader.await.unwrap().unwrap()
            });
            settle().await;
            peer.write_all(b"x").unwrap();
            other.write_all(b"x").unwrap();
            assert_eq!(closer.await.unwrap(), 2);
        });
    });
}

/// As long as a copy of the descriptor is open, for example in a child, the kernel would go on reporting.
#[test]
fn hazard_36_a_copy_of_a_dropped_sources_descriptor_is_not_reported() {
    really(async |log| {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let copy = ours.try_clone().unwrap();
        let fd = AsyncFd::new(ours).unwrap();
        settle().await;
        drop(fd);
        log.clear();
        for _ in 0..100 {
            theirs.write_all(b"x").unwrap();
            time::sleep(Duration::from_micros(200)).await;
        }
        assert_eq!(log.reports(), []);
        assert!(log.parks() <= 150, "{} parks for 100 sleeps", log.parks());
        assert_eq!(drain(&copy), 100);
    });
}

// Hazard 37: registrations that outlive their source, or the other way round.

#[test]
fn hazard_37_a_source_dropped_in_its_own_event() {
    everywhere(async |_| {
        let before = source::count();
        for _ in 0..50 {
            let (ours, mut theirs) = unix();
            let reader = spawn(async move {
                one_byte(&ours).await.unwrap();
                assert_eq!(source::count(), before + 1);
                drop(ours);
                assert_eq!(source::count(), before);
            });
            settle().await;
            theirs.write_all(b"x").unwrap();
            reader.await.unwrap();
        }
    });
}

thread_local! {
    /// A waker drops this while the loop is waking other tasks.
    static DROPPED_BY_A_WAKE: RefCell<Option<Source<UnixStream>>> = const { RefCell::new(None) };
}

#[test]
fn hazard_37_a_source_dropped_by_the_waker_it_wakes() {
    struct Dropper;
    impl std::task::Wake for Dropper {
        fn wake(self: std::sync::Arc<Self>) {
            drop(DROPPED_BY_A_WAKE.take());
        }
    }
    virtually(async |_| {
        let before = source::count();
        let (ours, mut theirs) = unix();
        let waker = Waker::from(std::sync::Arc::new(Dropper));
        let mut cx = Context::from_waker(&waker);
        for direction in [Direction::Read, Direction::Write] {
            let operation = |_: &UnixStream| io::Result::<()>::Err(ErrorKind::WouldBlock.into());
            assert!(ours.poll_io(&mut cx, direction, operation).is_pending());
        }
        DROPPED_BY_A_WAKE.set(Some(ours));
        theirs.write_all(b"x").unwrap();
        settle().await;
        assert_eq!(source::count(), before);
        assert_eq!(theirs.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn hazard_37_a_source_dropped_by_the_probe_that_hears_of_it() {
    let _watchdog = watchdog();
    let held = Held::default();
    let sink_held = Rc::clone(&held);
    let sink = move |event| {
        if matches!(event, Event::SourceReady { readable: true, .. }) {
            drop(sink_held.take());
        }
    };
    let runtime = Runtime::builder().virtual_time(true).probe(sink).build().unwrap();
    runtime.block_on(async {
        let (ours, mut theirs) = unix();
        held.borrow_mut().push(ours);
        settle().await;
        theirs.write_all(b"x").unwrap();
        settle().await;
        assert_eq!((source::count(), held.borrow().len()), (0, 0));
    });
}

#[test]
fn hazard_37_a_hundred_thousand_registrations_that_fail() {
    virtually(async |_| {
        let before = source::count();
        for number in [-1, 9999] {
            for _ in 0..50_000 {
                let error = Source::new(SourceFd(&number)).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(9), "EBADF: {error}");
            }
        }
        assert_eq!(source::count(), before);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn hazard_37_a_descriptor_that_is_registered_already() {
    virtually(async |_| {
        let before = source::count();
        let (ours, mut theirs) = unix();
        for _ in 0..100 {
            let error = AsyncFd::new(ours.get_ref()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        }
        assert_eq!(source::count(), before + 1);
        theirs.write_all(b"x").unwrap();
        assert_eq!(read(&ours, &mut [0]).await.unwrap(), 1);
        let inner = ours.into_inner();
        assert_eq!(source::count(), before);
        assert_eq!(AsyncFd::new(&inner).unwrap().get_ref().as_raw_fd(), inner.as_raw_fd());
    });
}

/// A foreign source whose registration panics.
struct Bomb;

impl event::Source for Bomb {
    fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        panic!("boom")
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn hazard_37_a_registration_that_panics() {
    virtually(async |_| {
        let before = source::count();
        for _ in 0..3 {
            let panic = catch_unwind(|| Source::new(Bomb).map(drop)).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"boom"));
        }
        assert_eq!(source::count(), before);
    });
}
