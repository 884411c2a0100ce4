//! Lines across a field, each with its name at its end.
//!
//! Facts. A legend in a corner must be learnt; a name at the end of a line need not. Some readers cannot tell lines
//! apart by colour, so each line also has the shape of its contender on its points. If a drawing shrinks, so do its
//! letters.
//!
//! What follows. The field is as wide as the space allows and has a height in pixels: horizontal places are in percent
//! and vertical ones in pixels, so nothing ever shrinks. Names that would overlap are pushed apart, and a thin line
//! leads to each. The text beside the field is in its margins, which `style.css` keeps free.

use std::fmt::Write;

use crate::faceoff::page::text::{anchor, escape};
use crate::faceoff::page::who;
use crate::faceoff::tables::OURS;

const HEIGHT: f64 = 280.0;
/// The distance from one name to the next.
const LETTERS: f64 = 19.0;
/// The share of a phone's width that a number on the axis needs.
const ROOM: f64 = 0.3;
/// The width of the field in the units to which lines are stretched.
const WIDTH: f64 = 1000.0;

/// An axis: its title, and places between 0 and 1 with their labels.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    pub name: String,
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Where space is short, some of the ticks that are close together are left out, but never the last.
    fn classes(&self) -> Vec<&'static str> {
        let mut next = f64::INFINITY;
        let mut class = |place: f64| match next - place < ROOM {
            true => "tick spare",
            false => {
                next = place;
                "tick"
            }
        };
        let mut classes: Vec<&str> = self.ticks.iter().rev().map(|tick| class(tick.0)).collect();
        classes.reverse();
        classes
    }
}

/// A line; its points are between 0 and 1, across and up.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub who: String,
    pub points: Vec<(f64, f64)>,
    /// Which of the points carry the shape.
    pub marked: Vec<(f64, f64)>,
    /// From below to above, at a horizontal place.
    pub whiskers: Vec<(f64, f64, f64)>,
}

#[derive(Clone, Debug, Default)]
pub struct Plot {
    pub title: String,
    /// What it shows, for readers who cannot see it.
    pub about: String,
    pub across: Axis,
    pub up: Axis,
    pub lines: Vec<Line>,
    /// The figures, as a table.
    pub table: String,
}

impl Plot {
    pub fn draw(&self) -> String {
        let id = format!("plot-{}", anchor(&self.title));
        let mut others: Vec<&Line> = self.lines.iter().filter(|line| !line.points.is_empty()).collect();
        others.sort_by_key(|line| line.who == OURS); // Ours is drawn last, on top of the others.
        let lines: String = others.iter().map(|line| line.draw()).collect();
        format!(
            "<figure class=\"card plot\" id=\"{id}\"><figcaption><h4>{title}</h4><p>{up} ↑ · {across} →</p></figcaption>\n\
             <svg class=\"field\" height=\"{HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{about}</desc>\n{grid}{lines}{names}</svg>\n\
             <details><summary>The same as a table</summary>{table}</details></figure>\n",
            title = escape(&self.title),
            up = escape(&self.up.name),
            across = escape(&self.across.name),
            about = escape(&self.about),
            grid = self.grid(),
            names = names(&others),
            table = self.table,
        )
    }

    fn grid(&self) -> String {
        let mut text = String::new();
        for (place, name) in &self.up.ticks {
            let y = down(*place);
            let _ = writeln!(
                text,
                "<line class=\"grid\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>\
                 <text class=\"tick\" x=\"-8\" y=\"{y}\" dy=\"5\" text-anchor=\"end\">{}</text>",
                escape(name)
            );
        }
        for ((place, name), class) in self.across.ticks.iter().zip(self.across.classes()) {
            let x = percent(*place);
            let _ = writeln!(
                text,
                "<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y2=\"{HEIGHT}\"/>\
                 <text class=\"{class}\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                HEIGHT + 20.0,
                escape(name)
            );
        }
        text
    }
}

impl Line {
    fn draw(&self) -> String {
        let place = |(x, y): &(f64, f64)| format!("{:.1},{}", x * WIDTH, down(*y));
        let points: Vec<String> = self.points.iter().map(place).collect();
        let whiskers: String = self.whiskers.iter().map(|whisker| stroke(*whisker)).collect();
        let marks: String =
            self.marked.iter().map(|(x, y)| at(percent(*x), down(*y), &who::shape(&self.who))).collect();
        format!(
            "<g class=\"{}\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" width=\"100%\" \
             height=\"{HEIGHT}\"><polyline points=\"{}\"/></svg>{}{whiskers}{marks}</g>\n",
            who::class(&self.who),
            points.join(" "),
            self.lead(),
        )
    }
}

impl Line {
    /// From the end of a line that is shorter than the field to its name.
    fn lead(&self) -> String {
        match self.points.last() {
            Some((x, y)) if *x < 0.999 => {
                let (x, y) = (percent(*x), down(*y));
                format!("<line class=\"lead\" x1=\"{x}\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>")
            }
            _ => String::new(),
        }
    }
}

fn stroke((x, low, high): (f64, f64, f64)) -> String {
    let x = percent(x);
    format!("<line class=\"whisker\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/>", down(low), down(high))
}

/// Puts something that does not stretch at a place that does.
fn at(x: String, y: f64, what: &str) -> String {
    format!("<svg class=\"at\" x=\"{x}\" y=\"{y}\">{what}</svg>")
}

fn names(lines: &[&Line]) -> String {
    let mut ends: Vec<(f64, &str)> =
        lines.iter().filter_map(|line| Some((down(line.points.last()?.1), &line.who[..]))).collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted: Vec<f64> = ends.iter().map(|end| end.0).collect();
    let name = |((end, who), place): (&(f64, &str), f64)| {
        let lead = format!("<path class=\"lead\" d=\"M2 {end}L12 {place:.1}\"/>");
        let text = format!(
            "<g transform=\"translate(20 {place:.1})\">{}</g><text x=\"30\" y=\"{:.1}\">{}</text>",
            who::shape(who),
            place + 5.0,
            escape(who)
        );
        format!("<svg class=\"at\" x=\"100%\"><g class=\"{}\">{lead}{text}</g></svg>\n", name_class(who))
    };
    ends.iter().zip(apart(&wanted)).map(name).collect()
}

fn name_class(who: &str) -> String {
    format!("name {}", who::class(who))
}

/// The nearest places that are far enough apart for letters; `wanted` is in order.
fn apart(wanted: &[f64]) -> Vec<f64> {
    let mut places = wanted.to_vec();
    for index in 1..places.len() {
        places[index] = places[index].max(places[index - 1] + LETTERS);
    }
    let mut limit = HEIGHT;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - LETTERS;
    }
    places
}

fn percent(place: f64) -> String {
    format!("{:.2}%", place * 100.0)
}

/// Pixels from above.
fn down(place: f64) -> f64 {
    ((1.0 - place) * HEIGHT * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_lie_upon_each_other() {
        let places = apart(&[10.0, 11.0, 12.0, 279.0, 280.0]);
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= LETTERS), "{places:?}");
        assert!(places.iter().all(|place| *place <= HEIGHT) && places[0] == 10.0, "{places:?}");
    }

    #[test]
    fn numbers_on_the_axis_are_spared_where_they_are_near() {
        let ticks = [0.0, 0.25, 0.5, 1.0].map(|place| (place, String::new())).to_vec();
        let classes = Axis { name: String::new(), ticks }.classes();
        assert_eq!(classes, ["tick", "tick spare", "tick", "tick"]);
    }

    #[test]
    fn the_drawing_says_what_it_shows() {
        let line = Line { who: "tokio".into(), points: vec![(0.0, 0.0), (1.0, 1.0)], ..Line::default() };
        let plot =
            Plot { title: "a < b".into(), about: "it rises".into(), lines: vec![line], ..Plot::default() };
        let text = plot.draw();
        assert!(text.contains("role=\"img\"") && text.contains("it rises</desc>"), "{text}");
        assert!(text.contains("a &lt; b") && text.contains("points=\"0.0,280 1000.0,0\""), "{text}");
    }
}
