//! The page that shows a trace: its parts are files in `examples/see`, and this puts them into one.
//!
//! Facts. The page is one file that asks for nothing, so that it can be sent and opened anywhere. In it, the
//! trace stands in a script element, which the text `</script>` would end.
//!
//! Contract. The template names the places: `/*CSS*/`, `/*JS*/` and `/*TRACE*/`, each once. The scripts are put together in
//! the order of `SCRIPTS`, so a class can stand in the file where it belongs, and be used in those after it.

const TEMPLATE: &str = include_str!("../../see/viewer.html");
const STYLE: &str = include_str!("../../see/viewer.css");
const SCRIPTS: [&str; 13] = [
    include_str!("../../see/viewer/trace.js"),
    include_str!("../../see/viewer/causes.js"),
    include_str!("../../see/viewer/state.js"),
    include_str!("../../see/viewer/words.js"),
    include_str!("../../see/viewer/diagnosis.js"),
    include_str!("../../see/viewer/pen.js"),
    include_str!("../../see/viewer/timeline.js"),
    include_str!("../../see/viewer/pointer.js"),
    include_str!("../../see/viewer/panels.js"),
    include_str!("../../see/viewer/source.js"),
    include_str!("../../see/viewer/predict.js"),
    include_str!("../../see/viewer/controls.js"),
    include_str!("../../see/viewer/main.js"),
];

/// The page for a trace, which is given as JSON.
///
/// # Panics
///
/// If the template lacks one of its three places, which is an error in this program.
#[must_use]
pub fn page(trace: &str) -> String {
    let (before, rest) = part(TEMPLATE, "/*CSS*/");
    let (between, rest) = part(rest, "/*JS*/");
    // The trace stands before the scripts, because they read it.
    let (body, after_trace) = part(between, "/*TRACE*/");
    let trace = trace.replace('<', "\\u003c");
    [before, STYLE, body, &trace, after_trace, &SCRIPTS.join("\n"), rest].concat()
}

fn part<'a>(text: &'a str, place: &str) -> (&'a str, &'a str) {
    text.split_once(place).unwrap_or_else(|| panic!("the template of the viewer has no {place}"))
}
