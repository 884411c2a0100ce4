//! A picture made of boxes, arrows and labels.
//!
//! Facts. A phone shows a picture 330 pixels wide. A picture in a file does not know the theme that a reader has chosen
//! for the page around it, and a picture that is a part of the page does.
//!
//! What follows. Every drawing is [`WIDTH`] units wide and has one size of text, so it can be read on a phone. Colours
//! are the variables of mdBook's themes. Where there are none, as on a code host, they are those for a light or a dark
//! screen. A text between backticks is set as code. A text that does not fit into its box or into the drawing is an
//! error, so no label is cut off.
//!
//! What it does not know: what a picture shows.

use std::fmt::Write;

/// The width of every drawing.
pub const WIDTH: i32 = 400;
/// The width at which a page shows a drawing, if there is room.
const SHOWN: i32 = 540;
/// From one line of text to the next.
const LINE: i32 = 17;
/// The width of a letter, in tenths of a unit: of text and of code.
const LETTER: [i32; 2] = [64, 72];

/// The colours: of text, of what matters less, of a box, of what matters most, of its ground.
const STYLE: &str = "<style>
.figure{--ink:var(--fg,#24292f);--pale:var(--figure-pale,#6a737d);--hot:var(--figure-hot,#0a61c9);--ground:var(--figure-ground,#eef2f7)}
@media (prefers-color-scheme:dark){.figure{--ink:var(--fg,#dfe5ec);--pale:var(--figure-pale,#98a3b0);--hot:var(--figure-hot,#6cb0ff);--ground:var(--figure-ground,#232b38)}}
.figure text{fill:var(--ink);font:13px system-ui,-apple-system,'Segoe UI',Roboto,'Open Sans',sans-serif}
.figure .code{font:12px ui-monospace,'Source Code Pro',Menlo,Consolas,'DejaVu Sans Mono',monospace}
.figure .pale{fill:var(--pale)}.figure .hot{fill:var(--hot)}
.figure .box{fill:var(--ground);stroke:var(--pale)}.figure .box.hot{fill:var(--ground);stroke:var(--hot);stroke-width:2}
.figure .gone{fill:none;stroke:var(--pale);stroke-dasharray:4 3}
.figure .line{fill:none;stroke:var(--pale);stroke-width:1.5}.figure .line.hot{fill:none;stroke:var(--hot)}
.figure .dashed{stroke-dasharray:4 3}.figure .head{fill:var(--pale)}.figure .head.hot{fill:var(--hot)}
</style>";

/// How a thing is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As most things are.
    Plain,
    /// As what the reader should look at.
    Hot,
    /// As what is not there any more, or may happen.
    Dashed,
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// It begins at the place.
    Start,
    /// The place is its middle.
    Middle,
    /// It ends at the place.
    End,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Drawing {
    title: &'static str,
    description: &'static str,
    height: i32,
    body: String,
}

impl Drawing {
    /// An empty picture of this height. The description says in words what the picture shows.
    #[must_use]
    pub fn new(title: &'static str, description: &'static str, height: i32) -> Self {
        Self { title, description, height, body: String::new() }
    }

    /// A text at a place. Its lines are separated by `\n`; the place is the base of the first one.
    pub fn text(&mut self, at: (i32, i32), align: Align, text: &str) {
        self.styled(at, align, "", text);
    }

    /// A text that matters less.
    pub fn note(&mut self, at: (i32, i32), align: Align, text: &str) {
        self.styled(at, align, " pale", text);
    }

    /// A text that matters most.
    pub fn hot(&mut self, at: (i32, i32), align: Align, text: &str) {
        self.styled(at, align, " hot", text);
    }

    fn styled(&mut self, (x, y): (i32, i32), align: Align, class: &str, text: &str) {
        for (line, y) in text.split('\n').zip((y..).step_by(LINE as usize)) {
            let (inner, width, kind) = measured(line);
            let (left, anchor) = match align {
                Align::Start => (x, "start"),
                Align::Middle => (x - width / 2, "middle"),
                Align::End => (x - width, "end"),
            };
            assert!(left >= 0 && left + width <= WIDTH, "{}: `{line}` is too long", self.title);
            assert!(y > 8 && y < self.height, "{}: `{line}` is too low", self.title);
            let class = format!("{kind}{class}");
            let class = if class.is_empty() { class } else { format!(" class=\"{}\"", class.trim()) };
            let inner = escaped(inner);
            self.put(&format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\"{class}>{inner}</text>"));
        }
    }

    /// A box with its left top corner at a place, and a text in its middle.
    pub fn boxed(&mut self, (x, y): (i32, i32), (width, height): (i32, i32), kind: Kind, text: &str) {
        let class = match kind {
            Kind::Plain => "box",
            Kind::Hot => "box hot",
            Kind::Dashed => "gone",
        };
        self.put(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" class=\"{class}\"/>"
        ));
        let lines: Vec<&str> = text.split('\n').collect();
        let widest = lines.iter().map(|line| measured(line).1).max().unwrap_or_default();
        assert!(widest <= width, "{}: `{text}` is too wide for its box: {widest}", self.title);
        let first = y + height / 2 - LINE * (lines.len() as i32 - 1) / 2 + 4;
        if !text.is_empty() {
            self.text((x + width / 2, first), Align::Middle, text);
        }
    }

    /// A line through these places.
    pub fn line(&mut self, kind: Kind, places: &[(i32, i32)]) {
        let class = match kind {
            Kind::Plain => "line",
            Kind::Hot => "line hot",
            Kind::Dashed => "line dashed",
        };
        let points: Vec<String> = places.iter().map(|(x, y)| format!("{x},{y}")).collect();
        self.put(&format!("<polyline points=\"{}\" class=\"{class}\"/>", points.join(" ")));
    }

    /// A line with a head at its end. Its last part runs straight up, down, left or right.
    pub fn arrow(&mut self, kind: Kind, places: &[(i32, i32)]) {
        let [.., (before_x, before_y), (x, y)] = *places else {
            panic!("{}: an arrow has two ends", self.title)
        };
        let (dx, dy) = ((x - before_x).signum(), (y - before_y).signum());
        assert!(dx == 0 || dy == 0, "{}: an arrow ends in a slant at {x} {y}", self.title);
        // The line ends in the middle of the head.
        let mut line = places.to_vec();
        *line.last_mut().expect("two ends") = (x - 4 * dx, y - 4 * dy);
        self.line(kind, &line);
        let (back_x, back_y) = (x - 8 * dx, y - 8 * dy);
        let corners = [(x, y), (back_x + 4 * dy, back_y + 4 * dx), (back_x - 4 * dy, back_y - 4 * dx)];
        let points: Vec<String> = corners.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let class = if kind == Kind::Hot { "head hot" } else { "head" };
        self.put(&format!("<polygon points=\"{}\" class=\"{class}\"/>", points.join(" ")));
    }

    fn put(&mut self, element: &str) {
        writeln!(self.body, "{element}").expect("a text takes everything");
    }

    /// The picture as a file.
    #[must_use]
    pub fn svg(&self) -> String {
        let Self { title, description, height, body } = self;
        let shown = height * SHOWN / WIDTH;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"figure\" role=\"img\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{SHOWN}\" height=\"{shown}\">\n<title>{}</title>\n<desc>{}</desc>\n{STYLE}\n{body}</svg>\n",
            escaped(title),
            escaped(description)
        )
    }
}

/// A line of text without its backticks, about how wide it is, and its class.
fn measured(line: &str) -> (&str, i32, &'static str) {
    let code = line.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    let (inner, letter, class) = code.map_or((line, LETTER[0], ""), |inner| (inner, LETTER[1], "code"));
    (inner, inner.chars().count() as i32 * letter / 10, class)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
