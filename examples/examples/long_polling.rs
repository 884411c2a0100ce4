//! Long polling: a client asks for news, and the server answers when there is some, or after ten seconds.
//!
//! Run it with `cargo run --release --example long_polling`.
//!
//! Facts. A client that asks every second gets most answers for nothing, and its news up to a second late. A server
//! that can wait holds the question instead. A waiting question costs a task, and no processor time.
//!
//! What follows. Each question says which news the client has seen last, so nothing is lost between two questions. The
//! server has a limit, because a proxy on the way may not wait for ever.

#![forbid(unsafe_code)]

use std::time::Duration;

use examples::show::{Show, Stopwatch};
use roundel::channel::{WatchReceiver, watch as watch_channel};
use roundel::{spawn, time};

const USAGE: &str = "\
usage: long_polling [--virtual]
  --virtual  the clock jumps to the next deadline whenever no task can go on";

const LIMIT: Duration = Duration::from_secs(10);

/// The server's part: the newest number, as soon as it is larger than `seen`. `None` if that takes too long.
async fn answer(news: &mut WatchReceiver<u32>, seen: u32) -> Option<u32> {
    let newest = time::timeout(LIMIT, news.wait_for(|newest| *newest > seen)).await.ok()?;
    Some(*newest.expect("the server holds the sender"))
}

/// Asks again and again, until it has seen the news of this number.
async fn client(watch: Stopwatch, mut news: WatchReceiver<u32>, last: u32) -> u32 {
    let (mut seen, mut questions) = (0, 0);
    while seen < last {
        questions += 1;
        match answer(&mut news, seen).await {
            Some(newest) => {
                watch.say(format_args!("client: news {newest}"));
                seen = newest;
            }
            None => watch.say("client: nothing new; asks again"),
        }
    }
    questions
}

async fn serve(watch: Stopwatch) {
    let (sender, news) = watch_channel(0);
    let client = spawn(client(watch, news, 3));
    for (number, pause) in [(1, 4), (2, 14), (3, 1)] {
        time::sleep(Duration::from_secs(pause)).await;
        watch.say(format_args!("server: has news {number}"));
        sender.send(number).expect("the client listens");
    }
    let questions = client.await.expect("it does not panic");
    watch.say(format_args!("{questions} questions; one each second would have been 19"));
}

fn main() {
    Show::new(USAGE, &[]).run(serve);
}
