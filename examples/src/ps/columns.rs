//! Lays out a table so that it fits a width.
//!
//! What follows. Each column is as wide as its longest cell, if there is room. If not, columns become narrower, down to the
//! least width that is of use. If there is still no room, the columns that matter least are left out.
//!
//! Contract. No line of the first rows is wider than the width, and the cells of later rows are cut like theirs. Numbers of tasks
//! are never cut.

/// A column before it is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// The least width that is of use.
    pub least: usize,
    /// The column with the highest rank is left out first.
    pub rank: usize,
    /// How a cell is written.
    pub cell: Cell,
}

/// How a cell is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// From the left, and never cut: in a later row that needs more, the rest moves to the right.
    Whole,
    /// From the left; what does not fit is cut off at its end.
    Text,
    /// The same, but cut off at its beginning, because the end says more: a file and a line.
    Place,
    /// To the right.
    Number,
}

/// Which columns are shown, and how wide each is.
#[derive(Clone, Debug)]
pub struct Layout {
    columns: Vec<(usize, Column, usize)>,
}

/// Between two columns.
const GAP: usize = 2;

impl Layout {
    /// A layout for these rows. A column without any text is left out.
    ///
    /// ```
    /// use examples::ps::columns::{Cell, Column, Layout};
    /// let columns = [
    ///     Column { title: "TASK", least: 4, rank: 0, cell: Cell::Text },
    ///     Column { title: "AGE", least: 3, rank: 2, cell: Cell::Number },
    ///     Column { title: "AT", least: 8, rank: 1, cell: Cell::Place },
    /// ];
    /// let row = ["#3.1".into(), "7 s".into(), "src/main.rs:12".into()];
    /// let show = |width| Layout::new(&columns, std::slice::from_ref(&row), width).line(&row);
    /// assert_eq!(show(40), "#3.1  7 s  src/main.rs:12");
    /// assert_eq!(show(20), "#3.1  7 s  …in.rs:12");
    /// assert_eq!(show(15), "#3.1  …in.rs:12");
    /// ```
    #[must_use]
    pub fn new<const N: usize>(columns: &[Column; N], rows: &[[String; N]], width: usize) -> Layout {
        let natural = |index: usize| {
            let longest = rows.iter().map(|row| row[index].chars().count()).max().unwrap_or(0);
            (longest > 0).then(|| longest.max(columns[index].title.chars().count()))
        };
        let found = (0..N).filter_map(|index| Some((index, columns[index], natural(index)?)));
        let mut layout = Layout { columns: found.collect() };
        layout.leave_out(width);
        layout.narrow(width);
        layout
    }

    /// Leaves out columns until the rest can fit.
    fn leave_out(&mut self, width: usize) {
        let least = |columns: &[(usize, Column, usize)]| -> usize {
            columns.iter().map(|(_, column, natural)| column.least.min(*natural) + GAP).sum()
        };
        while self.columns.len() > 1 && least(&self.columns) > width + GAP {
            let ranks = self.columns.iter().enumerate();
            let (at, _) = ranks.max_by_key(|(_, (_, column, _))| column.rank).expect("there is a column");
            self.columns.remove(at);
        }
    }

    /// Takes from the columns that are widest, compared with the least that is of use.
    fn narrow(&mut self, width: usize) {
        let mut excess = (self.width()).saturating_sub(width);
        while excess > 0 {
            let spare = |(_, column, width): &(usize, Column, usize)| width.saturating_sub(column.least);
            let widest = self.columns.iter_mut().max_by_key(|column| spare(column));
            let Some(widest) = widest.filter(|column| spare(column) > 0) else { break };
            widest.2 -= 1;
            excess -= 1;
        }
        if let [only] = &mut self.columns[..] {
            only.2 = only.2.min(width);
        }
    }

    fn width(&self) -> usize {
        (self.columns.iter().map(|(.., width)| width + GAP).sum::<usize>()).saturating_sub(GAP)
    }

    /// The line with the titles.
    #[must_use]
    pub fn titles(&self) -> String {
        self.join(|_, column| column.title)
    }

    /// The line of a row.
    #[must_use]
    pub fn line(&self, row: &[String]) -> String {
        self.join(|index, _| &row[index])
    }

    fn join<'a>(&'a self, text: impl Fn(usize, &Column) -> &'a str) -> String {
        let cells =
            self.columns.iter().map(|(index, column, width)| cut(text(*index, column), *width, column.cell));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// Makes a text exactly this wide.
fn cut(text: &str, width: usize, cell: Cell) -> String {
    let length = text.chars().count();
    if length > width && cell != Cell::Whole {
        let kept = width.saturating_sub(1);
        return match cell {
            Cell::Place => format!("…{}", text.chars().skip(length - kept).collect::<String>()),
            _ => format!("{}…", text.chars().take(kept).collect::<String>()),
        };
    }
    let space = " ".repeat(width.saturating_sub(length));
    if cell == Cell::Number { format!("{space}{text}") } else { format!("{text}{space}") }
}
