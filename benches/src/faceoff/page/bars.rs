//! One row as bars: a line for every contender, the best first, its value written beside it.
//!
//! Facts. If a drawing shrinks, so do its letters. So letters are text of the page, and only the rest is drawn. A
//! drawing is as wide as the space allows, because its places are in percent.
//!
//! Contract. Ours stands out. The floor and everything else that does not compete are grey and come last. A scale that
//! does not begin at zero has points on stalks instead of bars, and the row says so.

use crate::faceoff::figures::Figure;
use crate::faceoff::page::scale::Scale;
use crate::faceoff::page::text::{anchor, escape};
use crate::faceoff::page::who;
use crate::faceoff::report::{FLOOR, Row, Unit, Verdict};
use crate::faceoff::tables::{ABLATIONS, CONTROL, OURS, contested, dearer, lost, number};

/// A count per operation below this is zero; bytes are whole numbers.
fn is_nothing(unit: Unit, value: f64) -> bool {
    match unit {
        Unit::Count => value < 0.05,
        Unit::Bytes => value < 0.5,
        _ => value <= 0.0,
    }
}

/// The name by which a link finds this row.
pub fn row_anchor(row: &Row) -> String {
    format!("row-{}-{}", anchor(&row.group), anchor(&row.name))
}

/// Some rows beside or below each other, as space allows.
pub fn cards<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let figures: String = rows.filter(|row| !row.figures.is_empty()).map(card).collect();
    if figures.is_empty() { figures } else { format!("<div class=\"cards\">{figures}</div>\n") }
}

fn card(row: &Row) -> String {
    let scale = scale(row);
    let order = order(row);
    let lines: String = order.iter().map(|name| line(row, name, scale)).collect();
    format!(
        "<figure class=\"card\" id=\"{}\"><figcaption><h4>{}</h4><p>{}</p></figcaption>\n\
         <ol class=\"bars\">{lines}</ol></figure>\n",
        row_anchor(row),
        escape(&row.name),
        remark(row, scale)
    )
}

/// A wild round may be twice as long as the whole row; its whisker then ends at the edge.
fn scale(row: &Row) -> Scale {
    let something = |median: &f64| !is_nothing(row.unit, *median);
    let medians = row.figures.values().map(|figure| figure.median).filter(something);
    let medians: Vec<f64> = medians.collect();
    let most = medians.iter().copied().fold(0.0, f64::max);
    let whiskers = row.figures.values().map(|figure| figure.high.min(most * 1.25));
    match Scale::of(&medians) {
        Scale::Linear(_) if most > 0.0 => Scale::Linear(whiskers.fold(most, f64::max)),
        scale => scale,
    }
}

/// The best first; those that do not compete, last.
fn order(row: &Row) -> Vec<&str> {
    let mut names: Vec<&str> = row.contenders().collect();
    let cost = |name: &str| match row.unit {
        Unit::PerSecond => -row.figures[name].median,
        _ => row.figures[name].median,
    };
    names.sort_by(|a, b| (*a == FLOOR).cmp(&(*b == FLOOR)).then(cost(a).total_cmp(&cost(b))));
    names
}

/// The best, the direction that is better, and whether the scale begins at zero.
fn remark(row: &Row, scale: Scale) -> String {
    let mut parts: Vec<String> = Vec::new();
    match (row.verdict(), lost(row)) {
        _ if row.group == CONTROL => parts.push("nothing to win here".into()),
        (verdict, _) if row.group == ABLATIONS => parts.push(worth(row, &verdict)),
        (_, Some((who, cost))) => {
            parts.push(format!(
                "<strong class=\"lost\">{} ahead; we cost {}</strong>",
                escape(&who),
                escape(&dearer(row, cost))
            ));
        }
        (Verdict::Best(name), _) => parts.push(format!("best: {}", escape(name))),
        (Verdict::Tied(names), _) => parts.push(format!("tied: {}", escape(&names.join(", ")))),
        (Verdict::Nobody, _) => {}
    }
    if row.unit == Unit::PerSecond {
        parts.push("more is better".into());
    }
    if matches!(scale, Scale::Log(..)) {
        parts.push(format!("<em>log scale{}</em>", step(scale)));
    }
    parts.join("\u{a0}· ")
}

/// The worth of a mechanism that our version has and the other has not.
fn worth(row: &Row, verdict: &Verdict<'_>) -> String {
    let others: Vec<&str> = row.contenders().filter(|name| *name != OURS).collect();
    let times = |this: &str, other: &str| row.cost(this, other).map_or(0.0, |cost| cost.median);
    match (verdict, &others[..]) {
        (Verdict::Tied(_), _) => "the noise hides what it buys".into(),
        (Verdict::Best(OURS), [other]) if times(other, OURS) >= 1e6 => "it buys all of it".into(),
        (Verdict::Best(OURS), [other]) => format!("it buys {}×", number(times(other, OURS))),
        (Verdict::Best(other), [_]) => format!("it costs {}", escape(&dearer(row, times(OURS, other)))),
        _ => String::new(),
    }
}

fn line(row: &Row, name: &str, scale: Scale) -> String {
    let figure = &row.figures[name];
    let kind = match name {
        OURS if row.group != CONTROL => "ours",
        _ if name == FLOOR || row.group == CONTROL => "floor",
        _ => "other",
    };
    let best = contested(row) && row.verdict() == Verdict::Best(name);
    format!(
        "<li class=\"{kind}\"><span class=\"who\">{}{}</span>{}<span class=\"value\">{}</span>\
         <span class=\"times\">{}</span></li>\n",
        who::label(name),
        if best { " <span class=\"star\" role=\"img\" aria-label=\"best\">★</span>" } else { "" },
        drawing(row.unit, figure, scale),
        escape(&row.unit.shown(figure.median)),
        times(row, name),
    )
}

/// Our cost in multiples, if it is worth saying.
fn times(row: &Row, name: &str) -> String {
    let ours = row.figures.get(OURS).is_some_and(|ours| !is_nothing(row.unit, ours.median));
    match row.cost(name, OURS) {
        Some(cost) if ours && name != OURS => format!("{}×", number(cost.median)),
        _ => String::new(),
    }
}

fn percent(place: f64) -> String {
    format!("{:.2}%", place * 100.0)
}

/// The bar, or the point on its stalk, and the middle half of the rounds.
fn drawing(unit: Unit, figure: &Figure, scale: Scale) -> String {
    if is_nothing(unit, figure.median) {
        return "<svg class=\"line\" height=\"22\" aria-hidden=\"true\"></svg>".into();
    }
    let end = percent(scale.place(figure.median));
    let mark = match scale {
        Scale::Linear(_) => format!("<rect class=\"bar\" y=\"3\" width=\"{end}\" height=\"16\" rx=\"2\"/>"),
        Scale::Log(..) => format!(
            "{}<line class=\"stalk\" x2=\"{end}\" y1=\"11\" y2=\"11\"/><circle class=\"bar\" cx=\"{end}\" cy=\"11\" r=\"5.5\"/>",
            grid(scale)
        ),
    };
    format!("<svg class=\"line\" height=\"22\" aria-hidden=\"true\">{mark}{}</svg>", whisker(figure, scale))
}

fn whisker(figure: &Figure, scale: Scale) -> String {
    if figure.low == figure.high {
        return String::new();
    }
    let (low, high) = (percent(scale.place(figure.low)), percent(scale.place(figure.high)));
    let cap = |x: &str| format!("<line x1=\"{x}\" x2=\"{x}\" y1=\"7\" y2=\"15\"/>");
    format!(
        "<g class=\"whisker\"><line x1=\"{low}\" x2=\"{high}\" y1=\"11\" y2=\"11\"/>{}{}</g>",
        cap(&low),
        cap(&high)
    )
}

/// The factor between one line of the grid and the next.
fn step(scale: Scale) -> String {
    match scale.ticks(3)[..] {
        [first, second, ..] => format!(", each line {:.0}×", second / first),
        _ => String::new(),
    }
}

fn grid(scale: Scale) -> String {
    let lines = scale.ticks(3).into_iter().map(|value| percent(scale.place(value)));
    lines.map(|x| format!("<line class=\"grid\" x1=\"{x}\" x2=\"{x}\" y2=\"100%\"/>")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figures: &[(&str, f64)]) -> Row {
        let figures = figures.iter().map(|(name, value)| (name.to_string(), Figure::new(vec![*value])));
        Row { group: "g".into(), name: "n <b>".into(), unit: Unit::Nanoseconds, figures: figures.collect() }
    }

    #[test]
    fn the_best_comes_first_and_the_floor_last() {
        let row = row(&[("roundel", 2.0), ("tokio", 1.0), ("mio", 0.5)]);
        assert_eq!(order(&row), ["tokio", "roundel", "mio"]);
        let text = card(&row);
        assert!(text.contains("tokio ahead; we cost 2.00×") && text.contains("n &lt;b&gt;"), "{text}");
    }

    #[test]
    fn more_a_second_is_the_longer_bar_and_comes_first() {
        let row = Row { unit: Unit::PerSecond, ..row(&[("roundel", 2.0), ("tokio", 4.0)]) };
        assert_eq!(order(&row), ["tokio", "roundel"]);
        assert!(card(&row).contains("more is better"));
    }

    #[test]
    fn what_does_not_begin_at_nought_says_so_and_is_no_bar() {
        let text = card(&row(&[("roundel", 1.0), ("tokio", 30.0)]));
        assert!(text.contains("log scale") && !text.contains("<rect"), "{text}");
        let text = card(&row(&[("roundel", 1.0), ("tokio", 19.0)]));
        assert!(!text.contains("log scale") && text.contains("<rect"), "{text}");
    }

    #[test]
    fn an_ablation_says_what_a_mechanism_is_worth() {
        let ablation =
            |ours, other| Row { group: ABLATIONS.into(), ..row(&[("roundel", ours), ("without it", other)]) };
        assert!(card(&ablation(2.0, 4.0)).contains("it buys 2.00×"));
        assert!(card(&ablation(4.0, 2.0)).contains("it costs 2.00×"));
        assert!(card(&ablation(2.0, 2.0)).contains("the noise hides"));
    }

    #[test]
    fn next_to_nothing_makes_no_scale() {
        let row = Row { unit: Unit::Count, ..row(&[("roundel", 0.002), ("tokio", 1.0)]) };
        assert_eq!(scale(&row), Scale::Linear(1.0));
    }

    #[test]
    fn nothing_at_all_is_no_card() {
        assert_eq!(cards([&row(&[])].into_iter()), "");
        assert!(!card(&row(&[("roundel", 0.0)])).contains("<rect"));
    }
}
