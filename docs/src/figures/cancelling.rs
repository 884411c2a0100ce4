//! How a task is cancelled, and how a scope holds its children.

use super::drawing::Align::{Middle, Start};
use super::drawing::{Drawing, Kind};
use super::named;

pub(super) fn cancel() -> Drawing {
    let title = "To cancel: take out, release, call";
    let description = "The loop takes the future out of its slot while it borrows the state. It releases \
        the borrow. Then it drops the future, whose destructors may call anything, even cancel.";
    let mut cancel = Drawing::new(title, description, 226);
    let file = "runtime/src/core/executor/drops.rs";
    cancel.boxed((6, 10), (388, 62), Kind::Dashed, "");
    cancel.note((16, 28), Start, "the state is borrowed");
    cancel.boxed((16, 36), (170, 28), Kind::Plain, &format!("`{}`", named(file, "slot.task.take()")));
    cancel.text((198, 55), Start, "1  take the future out");
    cancel.arrow(Kind::Plain, &[(100, 64), (100, 94)]);
    cancel.boxed((16, 94), (170, 28), Kind::Plain, &format!("`{}`", named(file, "drop(state)")));
    cancel.text((198, 113), Start, "2  release the borrow");
    cancel.arrow(Kind::Hot, &[(100, 122), (100, 152)]);
    named(file, "self.drop_task");
    cancel.boxed((16, 152), (170, 28), Kind::Hot, "`drop_task`");
    cancel.hot((198, 171), Start, "3  call: destructors run");
    cancel.note(
        (16, 204),
        Start,
        "A destructor may spawn, wake or cancel: nothing is\nborrowed, so it finds the loop in order.",
    );
    cancel
}

pub(super) fn serve() -> Drawing {
    let title = "How a server ends";
    let description = "The server accepts until its future is done. Then it drains: the listener is \
        closed, and the handlers go on. When no handler is left, or the grace period is over, it ends: \
        the handlers that are left are cancelled. When none is left, it is over. A broken listener \
        leads from accepting to ending.";
    let mut serve = Drawing::new(title, description, 324);
    let states = [
        ("Accepting", "new clients, new handlers"),
        ("Draining", "the listener is closed,\nthe handlers go on"),
        ("Ending", "the handlers that are left\nare cancelled, and clean up"),
        ("Over", "the result is returned"),
    ];
    let reasons = ["its future is done", "no handler is left, or grace is over", "no handler is left"];
    for (at, (state, meaning)) in states.into_iter().enumerate() {
        named("net/src/serve.rs", state);
        let y = 10 + at as i32 * 90;
        serve.boxed((80, y), (110, 36), if at == 0 { Kind::Hot } else { Kind::Plain }, &format!("`{state}`"));
        serve.note((206, y + if meaning.contains('\n') { 14 } else { 22 }), Start, meaning);
        if let Some(reason) = reasons.get(at) {
            serve.arrow(Kind::Hot, &[(135, y + 36), (135, y + 90)]);
            serve.text((146, y + 68), Start, reason);
        }
    }
    serve.arrow(Kind::Dashed, &[(80, 28), (14, 28), (14, 208), (80, 208)]);
    serve.note((20, 112), Start, "broken\nlistener");
    serve
}

pub(super) fn scope() -> Drawing {
    let title = "A scope ends when its last child has ended";
    let description = "A task runs a scope with three children, and one of these has a child of its own. \
        If a child of try_scope fails, its siblings are cancelled. The task goes on when all of them \
        have ended.";
    let mut scope = Drawing::new(title, description, 244);
    named("runtime/src/group/scope.rs", "fn try_scope");
    scope.boxed((140, 8), (120, 32), Kind::Plain, "the task");
    scope.boxed((10, 66), (380, 168), Kind::Dashed, "");
    scope.note((18, 84), Start, "`try_scope`");
    scope.line(Kind::Plain, &[(200, 40), (200, 66)]);
    for (x, name, kind) in
        [(24, "child", Kind::Plain), (144, "child: error", Kind::Hot), (264, "child", Kind::Plain)]
    {
        scope.line(Kind::Plain, &[(200, 66), (200, 92), (x + 55, 92)]);
        scope.arrow(Kind::Plain, &[(x + 55, 92), (x + 55, 106)]);
        scope.boxed((x, 106), (110, 32), kind, name);
    }
    scope.arrow(Kind::Hot, &[(144, 130), (134, 130)]);
    scope.arrow(Kind::Hot, &[(254, 130), (264, 130)]);
    scope.hot((200, 158), Middle, "cancels its siblings");
    scope.boxed((24, 176), (110, 32), Kind::Plain, "grandchild");
    scope.arrow(Kind::Plain, &[(79, 138), (79, 176)]);
    scope.note((160, 192), Start, "All of it is one task. It goes\non when all have ended.");
    scope
}
