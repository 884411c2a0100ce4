//! The programs that show several things: all of them, or the one that is named.

use crate::common::{run, watchdog};

#[test]
fn the_programs_of_many_parts_show_one_or_say_which_there_are() {
    let _watchdog = watchdog();
    for (program, part) in [("future_sizes", "ready"), ("waker_words", "place")] {
        let (all, one) = (run(program, &[]).lines, run(program, &[part]));
        assert!(one.status.success() && one.lines.len() == 2, "{program}: {one:?}");
        assert!(all.windows(2).any(|lines| lines == one.lines), "{program}: {one:?} is not in {all:?}");
        let none = run(program, &["nonsense"]);
        assert_eq!((none.code(), none.lines.len()), (Some(2), 0), "{program}: {none:?}");
        assert!(none.complaints.contains(part), "{program}: {none:?}");
    }
}
