//! Fetch, parse, upload: three stages in a group, and what happens to the upload when a page cannot be parsed.
//!
//! Run it with `cargo run --release --example etl`.
//!
//! Facts. Fetching and uploading wait; parsing computes, so a thread does it. When a stage fails, the others have no
//! reason to go on, and the group ends all of them. The end of a channel does not mean success; only the end of the
//! group does. So the upload is committed after the group, or not at all.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::time::Duration;

use examples::delays::DelayServer;
use examples::http_client::Client;
use examples::show::{Show, Stopwatch};
use roundel::blocking::unblock;
use roundel::channel::{Receiver, Sender, bounded};
use roundel::group::try_scope;
use roundel::time;

const USAGE: &str = "\
usage: etl [good|bad] [--virtual]
  good       eight pages go all the way
  bad        the sixth page cannot be parsed
  --virtual  the clock jumps to the next deadline whenever no task can go on";

const PAGES: u32 = 8;

/// The uploaded rows count when they are committed, and are gone if this is dropped before.
struct Upload {
    watch: Stopwatch,
    sums: RefCell<Vec<u64>>,
}

impl Upload {
    async fn add(&self, sum: u64) {
        time::sleep(Duration::from_millis(50)).await;
        self.sums.borrow_mut().push(sum);
        self.watch.say(format_args!("upload: {sum}"));
    }

    fn commit(self) -> Vec<u64> {
        self.sums.take()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let count = self.sums.borrow().len();
        if count > 0 {
            self.watch.say(format_args!("upload: {count} sums are rolled back"));
        }
    }
}

async fn fetch(watch: Stopwatch, urls: Vec<String>, pages: Sender<String>) -> Result<(), String> {
    let client = Client::new(1);
    for (index, url) in urls.iter().enumerate() {
        let answer = client.get(url).await.map_err(|error| error.to_string())?;
        watch.say(format_args!("fetch: page {}", index + 1));
        let page = String::from_utf8(answer.body).map_err(|error| error.to_string())?;
        pages.send(page).await.map_err(|_| "the parser has gone")?;
    }
    Ok(())
}

/// Adds up the numbers of a page, which is work for a thread.
fn sum_of(page: &str) -> Result<u64, String> {
    let number = |word: &str| word.parse::<u64>().map_err(|error| format!("{word:?}: {error}"));
    page.split(',').map(number).sum()
}

async fn parse(watch: Stopwatch, pages: Receiver<String>, sums: Sender<u64>) -> Result<(), String> {
    while let Ok(page) = pages.recv().await {
        let sum = unblock(move || sum_of(&page)).await.map_err(|error| error.to_string())?;
        if let Err(why) = &sum {
            watch.say(format_args!("parse: {why}"));
        }
        sums.send(sum?).await.map_err(|_| "the uploader has gone")?;
    }
    Ok(())
}

async fn upload(sums: Receiver<u64>, upload: &Upload) -> Result<(), String> {
    while let Ok(sum) = sums.recv().await {
        upload.add(sum).await;
    }
    Ok(())
}

/// Page 3 has the numbers 3, 30 and 300. The bad page has letters.
async fn run(watch: Stopwatch, bad: Option<u32>) {
    let server = DelayServer::start().await.expect("a port");
    let text = |page| if bad == Some(page) { "4,x,2".into() } else { format!("{page},{page}0,{page}00") };
    let urls = (1..=PAGES).map(|page| server.url(&format!("/page?wait=22&text={}", text(page)))).collect();
    let ours = Upload { watch, sums: RefCell::default() };
    let result = try_scope(async |group| {
        let (pages, fetched) = bounded(2);
        let (sums, parsed) = bounded(2);
        drop(group.spawn(fetch(watch, urls, pages)));
        drop(group.spawn(parse(watch, fetched, sums)));
        drop(group.spawn(upload(parsed, &ours)));
        Ok::<_, String>(())
    });
    match result.await {
        Ok(()) => watch.say(format_args!("committed: {:?}", ours.commit())),
        Err(error) => {
            drop(ours);
            watch.say(format_args!("the group has failed, and nothing is committed: {error}"));
        }
    }
}

fn main() {
    let show = Show::new(USAGE, &["good", "bad"]);
    show.part("good", "eight pages, three stages", async |watch| run(watch, None).await);
    show.part("bad", "the sixth page cannot be parsed", async |watch| run(watch, Some(6)).await);
}
