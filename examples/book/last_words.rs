//! However a future ends, its destructors print the same.
//!
//! Run it with `cargo run --release --example last_words`.
//!
//! Facts. Dropping a future drops its variables, the last one first. A future that was never polled has no variables
//! yet, only its arguments.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;

use examples::{args, println};
use roundel::{spawn, yield_now};

#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<&'static str>>>);

impl Log {
    fn guard(&self, name: &'static str) -> Guard {
        Guard(self.clone(), name)
    }

    fn show(&self, what: &str) {
        println!("{what:22} dropped {}", self.0.take().join(", "));
    }
}

struct Guard(Log, &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.borrow_mut().push(self.1);
    }
}

#[derive(Clone, Copy)]
enum Way {
    Return,
    Error,
    Panic,
    Wait,
}

async fn work(way: Way, argument: Guard) -> Result<(), &'static str> {
    let _file = argument.0.guard("the file");
    let _lock = argument.0.guard("the lock");
    match way {
        Way::Return => Ok(()),
        Way::Error => Err("no"),
        Way::Panic => panic!("no"),
        Way::Wait => pending().await,
    }
}

fn main() {
    args::none();
    std::panic::set_hook(Box::new(|_| ()));
    let log = Log::default();
    let argument = || log.guard("the argument");
    roundel::run(async {
        for (what, way) in [("returned:", Way::Return), ("an error:", Way::Error), ("panicked:", Way::Panic)]
        {
            // How it ended does not matter here.
            let _ = spawn(work(way, argument())).await;
            log.show(what);
        }
        let task = spawn(work(Way::Wait, argument()));
        yield_now().await;
        task.cancel();
        log.show("cancelled:");
        spawn(work(Way::Wait, argument())).cancel();
        log.show("cancelled, not begun:");
        spawn(work(Way::Wait, argument())).detach();
        yield_now().await;
    });
    log.show("left at the shutdown:");
}
