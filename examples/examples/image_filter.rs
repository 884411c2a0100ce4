//! A picture is blurred in strips, one strip for each job of a pool of threads.
//!
//! Run it with `cargo run --release --example image_filter`.
//!
//! Facts. A blurred pixel is the mean of nine pixels: its own and its neighbours. So a strip needs one row above it and
//! one below it, but only to read. No job writes where another one reads.
//!
//! What follows. All jobs share the old picture through an `Arc`, and each returns its strip of the new one. The strips
//! are joined in order. The picture is the same as if one thread had done all of it, which the program checks.

#![forbid(unsafe_code)]

use std::ops::Range;
use std::sync::Arc;

use examples::{args, println};
use roundel::blocking::ThreadPool;

const WIDTH: usize = 48;
const HEIGHT: usize = 12;
const STRIPS: usize = 4;

type Picture = Vec<[u8; WIDTH]>;

/// A bright ring on a dark ground.
fn ring() -> Picture {
    let is_bright = |x: usize, y: usize| {
        let (x, y) = (x as f64 - 23.5, 4.0 * (y as f64 - 5.5));
        (14.0..22.0).contains(&x.hypot(y))
    };
    (0..HEIGHT).map(|y| std::array::from_fn(|x| if is_bright(x, y) { 255 } else { 0 })).collect()
}

/// The mean of a pixel and its neighbours, as far as there are any.
fn blurred(picture: &Picture, x: usize, y: usize) -> u8 {
    let rows = &picture[y.saturating_sub(1)..HEIGHT.min(y + 2)];
    let columns = x.saturating_sub(1)..WIDTH.min(x + 2);
    let pixels = rows.iter().flat_map(|row| &row[columns.clone()]);
    let (count, sum) = pixels.fold((0, 0), |(count, sum), pixel| (count + 1, sum + u32::from(*pixel)));
    (sum / count) as u8
}

fn blur(picture: &Picture, rows: Range<usize>) -> Picture {
    rows.map(|y| std::array::from_fn(|x| blurred(picture, x, y))).collect()
}

async fn blur_in_strips(picture: Arc<Picture>) -> Picture {
    let height = HEIGHT / STRIPS;
    let strips = (0..STRIPS).map(|strip| strip * height..(strip + 1) * height);
    let done = ThreadPool::new(STRIPS).map(strips, move |rows| blur(&picture, rows)).await;
    done.expect("no strip panics").concat()
}

fn show(picture: &Picture) {
    for row in picture {
        let line: String =
            row.iter().map(|pixel| [' ', '.', ':', 'o', '#'][usize::from(*pixel) / 52]).collect();
        println!("{}", line.trim_end());
    }
}

fn main() {
    args::none();
    let picture = Arc::new(ring());
    show(&picture);
    let in_strips = roundel::run(blur_in_strips(Arc::clone(&picture)));
    show(&in_strips);
    let is_same = in_strips == blur(&picture, 0..HEIGHT);
    println!("{STRIPS} strips of {} rows; the same as by one thread: {is_same}", HEIGHT / STRIPS);
}
