//! Which order of eight letters has this digest? All cores search, and stop when one of them has found it.
//!
//! Run it with `cargo run --release --example key_search`.
//!
//! Facts. There are 40,320 orders of eight letters. Each can be tried without the others, so the search can be divided:
//! a job for each first letter. A thread cannot be stopped from outside.
//!
//! What follows. The jobs look at a flag after each try, and the first that succeeds sets it. So the others end soon
//! after, and none of them is killed. How many orders are tried depends on the threads; what is found does not.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use examples::sha512::{hex, sha512};
use examples::{args, println};
use roundel::blocking::ThreadPool;

const LETTERS: &[u8; 8] = b"DELNORUX";
const KEY: &[u8] = b"ROUNDELX";

/// What the jobs share.
struct Search {
    digest: [u8; 64],
    is_found: AtomicBool,
    tried: AtomicUsize,
}

/// Tries all orders that begin with `begun` and go on with the other letters.
fn try_all(search: &Search, begun: &mut Vec<u8>) -> Option<Vec<u8>> {
    if search.is_found.load(Relaxed) {
        return None;
    }
    if begun.len() == LETTERS.len() {
        search.tried.fetch_add(1, Relaxed);
        let fits = sha512(begun) == search.digest;
        search.is_found.fetch_or(fits, Relaxed);
        return fits.then(|| begun.clone());
    }
    for letter in LETTERS {
        if begun.contains(letter) {
            continue;
        }
        begun.push(*letter);
        let found = try_all(search, begun);
        begun.pop();
        if found.is_some() {
            return found;
        }
    }
    None
}

async fn find(search: Arc<Search>) -> Option<Vec<u8>> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let jobs = ThreadPool::new(threads).named("searcher");
    let found = jobs.map(*LETTERS, move |first| try_all(&search, &mut vec![first])).await;
    found.expect("no search panics").into_iter().flatten().next()
}

fn main() {
    args::none();
    let search = Search { digest: sha512(KEY), is_found: AtomicBool::new(false), tried: AtomicUsize::new(0) };
    let search = Arc::new(search);
    println!("the digest: {}…", &hex(&search.digest)[..16]);
    let found = roundel::run(find(Arc::clone(&search)));
    println!("found: {}", String::from_utf8_lossy(&found.unwrap_or_default()));
    println!("not every order was tried: {}", search.tried.load(Relaxed) < 40_320);
}
