//! A trace as one page, which any browser opens without a network.
//!
//! Facts. The page is a template with three places: one each for the style, the program of the viewer, and the trace.

use roundel::record::Trace;

use crate::see::json::json;

/// Until there is a viewer, a page that only holds the trace.
const TEMPLATE: &str = "\
<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>A trace of roundel</title>
<style>/*CSS*/</style>
<script type=\"application/json\" id=\"trace\">/*TRACE*/</script>
<script>/*JS*/</script>
";
const STYLE: &str = "";
const VIEWER: &str = "";

/// The page.
#[must_use]
pub fn page(trace: &Trace) -> String {
    assemble(TEMPLATE, &[("/*CSS*/", STYLE), ("/*JS*/", VIEWER), ("/*TRACE*/", &json(trace))])
}

/// Puts each part at its place. A part may contain what marks the place of another.
fn assemble(template: &str, parts: &[(&str, &str)]) -> String {
    let place = |part: &(&str, &str)| template.find(part.0).map(|at| (at, part.0.len(), part.1.to_owned()));
    let mut places: Vec<_> = parts.iter().filter_map(place).collect();
    places.sort();
    let (mut page, mut done) = (String::new(), 0);
    for (at, length, part) in places {
        page.push_str(&template[done..at]);
        page.push_str(&part);
        done = at + length;
    }
    page.push_str(&template[done..]);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_may_look_like_a_place() {
        let page = assemble("<1><2>", &[("<2>", "two"), ("<1>", "one <2>")]);
        assert_eq!(page, "one <2>two");
    }
}
