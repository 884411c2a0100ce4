//! Shows a trace.

#![forbid(unsafe_code)]

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let trace = roundel::record::Trace::read(std::fs::File::open(path).unwrap()).unwrap();
    print!("{}", examples::see::json::json(&trace));
}
