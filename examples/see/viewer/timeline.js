// The timeline: a lane for each task, drawn on a canvas.
//
// Facts. There may be a million polls, and a few thousand pixels. Polls that share a pixel look like one.
//
// What follows. Only the lanes in sight are drawn. In each, a binary search finds the first event in sight, and where
// several events share a pixel, another search finds the first event in the next one. So the work depends on the
// number of pixels, not on the number of events.
//
// Two scales. On a scale of time, polls of microseconds between sleeps of milliseconds are invisible, and on virtual time
// they take no time at all. So there is also a scale on which every event is equally wide.

const ROW = 24;
const RULER = 46;
const MOST_HEIGHT = 12 * ROW;

// The kinds of events that are about the task in column a.
const OF_A_TASK = new Set(
  ['spawn', 'wake', 'poll', 'polled', 'done', 'unheard', 'wait', 'waited', 'cancel', 'spent'].map((name) => KIND[name]),
);

class Timeline {
  constructor(view) {
    Object.assign(this, { view, trace: view.trace, causes: view.causes });
    this.ruler = document.getElementById('ruler');
    this.lanes = document.getElementById('lanes');
    this.canvas = document.getElementById('lanes-canvas');
    this.tree = spawnTree(this.trace);
    this.runs = runsOf(this.causes, this.trace.count);
    this.filter = '';
    // Of many tasks, only those are listed to which something happens in the window.
    this.onlyActive = this.trace.tasks.length > 60;
    this.scale = 'order';
    this.fit();
    // A long trace opens with its first part, in which something can be seen. "All" shows the whole.
    if (this.trace.count > 400) this.window = [0, this.position(Math.min(this.trace.count - 1, 160))];
    this.showRows();
    new Pointer(this);
  }

  // ---- Positions: the place of an event on the scale, and on the screen.

  position(event) {
    return this.scale === 'order' ? event : this.trace.time[event];
  }

  get length() {
    return this.scale === 'order' ? this.trace.count : Math.max(1, this.trace.end);
  }

  x(event) {
    return this.xOf(this.position(event));
  }

  xOf(position) {
    const [from, to] = this.window;
    return this.labels + ((position - from) / (to - from)) * (this.width - this.labels);
  }

  positionAt(x) {
    const [from, to] = this.window;
    return from + ((x - this.labels) / (this.width - this.labels)) * (to - from);
  }

  // The last event that is not after this position.
  eventAt(position) {
    if (this.scale === 'order') return Math.min(this.trace.count - 1, Math.max(0, Math.floor(position)));
    let [low, high] = [0, this.trace.count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.trace.time[middle] <= position) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  // ---- The window: from where to where the timeline is drawn.

  fit() {
    this.window = [0, this.length * 1.01];
  }

  setWindow(from, to) {
    const least = this.scale === 'order' ? 8 : 1000;
    const size = Math.min(Math.max(to - from, least), this.length * 1.02);
    const start = Math.min(Math.max(from, -size * 0.1), Math.max(0, this.length - size * 0.9));
    this.window = [start, start + size];
    if (this.onlyActive) this.showRows();
    this.draw();
  }

  // Zooms by a factor and keeps this position where it is.
  zoom(factor, around = this.position(this.view.event)) {
    const [from, to] = this.window;
    const centre = around < from || around > to ? (from + to) / 2 : around;
    this.setWindow(centre - (centre - from) * factor, centre + (to - centre) * factor);
  }

  pan(part) {
    const [from, to] = this.window;
    this.setWindow(from + (to - from) * part, to + (to - from) * part);
  }

  // The window follows the current event, and so do the rows.
  follow() {
    const [from, to] = this.window;
    const start = this.startFor(this.position(this.view.event));
    this.window = [start, start + to - from];
    if (start !== from && this.onlyActive) this.showRows();
    this.reveal(this.taskOfEvent(this.view.event));
  }

  // Where the window has to begin to show this position. It stands still while the position is well inside of it, goes along
  // with one near its edge, and jumps to one outside of it. It does not leave the trace, so near the ends it stands still.
  startFor(at) {
    const [from, to] = this.window;
    const size = to - from;
    const margin = size * 0.06;
    if (at >= from + margin && at <= to - margin) return from;
    // If only active tasks have rows, each move changes the rows. So the window moves seldom, and far.
    const jumps = this.onlyActive || at < from || at > to;
    const start = jumps ? at - size * 0.3 : at < from + margin ? at - margin : at + margin - size;
    // A little is left free after the last event.
    return Math.max(0, Math.min(start, Math.max(from, this.length - size * 0.995)));
  }

  reveal(task) {
    const row = task === NONE ? NONE : this.rowOf[task];
    if (row === NONE) return;
    const top = row * ROW;
    const height = this.lanes.clientHeight;
    if (top < this.lanes.scrollTop) this.lanes.scrollTop = top;
    else if (top + ROW > this.lanes.scrollTop + height) this.lanes.scrollTop = top + ROW - height;
  }

  setScale(scale) {
    const middle = this.view.event;
    const part = (this.window[1] - this.window[0]) / this.length;
    this.scale = scale;
    const size = part * this.length;
    this.window = [this.position(middle) - size / 2, this.position(middle) + size / 2];
    this.setWindow(...(part > 0.9 ? [0, this.length * 1.01] : this.window));
  }

  // ---- Rows.

  // The tasks that have a row, and the row of each task: -1 if it has none.
  showRows() {
    this.rows = this.chooseRows();
    this.rowOf = new Int32Array(this.trace.tasks.length).fill(NONE);
    this.rows.forEach((task, row) => { this.rowOf[task] = row; });
  }

  chooseRows() {
    const words = this.filter.trim().toLowerCase();
    const { trace } = this;
    const isActive = this.onlyActive ? this.activity() : null;
    return this.tree.order.filter((task) => {
      if (isActive && !isActive[task]) return false;
      if (words === '') return true;
      const { name, id, at } = trace.tasks[task];
      return `${name ?? ''} #${id} ${trace.texts[at] ?? ''}`.toLowerCase().includes(words);
    });
  }

  // For each task, 1 if something happens to it in the window.
  activity() {
    const { causes, trace } = this;
    const isActive = new Uint8Array(trace.tasks.length);
    const [from, to] = this.window.map((position) => this.eventAt(position));
    if (to - from < 20000) {
      for (let event = from; event <= to; event++) {
        const task = this.taskOfEvent(event);
        if (task !== NONE) isActive[task] = 1;
      }
      return isActive;
    }
    for (let task = 0; task < trace.tasks.length; task++) {
      const last = lastChange(causes, task, to);
      if (last !== NONE && causes.taskEvents[last] >= from) isActive[task] = 1;
    }
    return isActive;
  }

  setFilter(text, onlyActive) {
    Object.assign(this, { filter: text, onlyActive });
    this.showRows();
    this.draw();
  }

  // The task that an event is about, or -1.
  taskOfEvent(event) {
    if (OF_A_TASK.has(this.trace.kind[event])) return this.trace.a[event];
    const poll = this.causes.poll[event];
    return poll === NONE ? NONE : this.trace.a[poll];
  }

  // ---- Drawing.

  draw() {
    this.width = Math.max(200, this.lanes.clientWidth);
    this.labels = this.roomForNames();
    const height = this.rows.length * ROW;
    document.getElementById('lanes-height').style.height = `${height}px`;
    this.lanes.style.height = `${Math.max(ROW, Math.min(MOST_HEIGHT, height))}px`;
    this.colours = colours();
    this.drawRuler(prepare(this.ruler, this.width, RULER));
    this.drawLanes(prepare(this.canvas, this.width, Math.max(ROW, Math.min(MOST_HEIGHT, height))));
    this.canvas.setAttribute('aria-label', this.inWords());
  }

  // The room for the names: on a narrow screen up to a third of the width, if the longest of them needs it.
  roomForNames() {
    const pen = this.canvas.getContext('2d');
    pen.font = FONT;
    const ends = this.tree.order.slice(0, 500).map((task) => 12 + this.indent(task) + pen.measureText(this.label(task)).width);
    const least = Math.min(190, Math.max(88, this.width * 0.17));
    return Math.max(least, Math.min(190, this.width * 0.36, Math.max(...ends)));
  }

  label(task) {
    const { name, id } = this.trace.tasks[task];
    return name ? `${name} #${id}` : `#${id}`;
  }

  // The name and the number if there is room for both, or else as much of the name as fits.
  shownName(pen, task) {
    return cut(pen, this.label(task), this.labels - this.indent(task) - 8, shortName(this.trace, task));
  }

  // A task stands below the one that spawned it, and a little to the right.
  indent(task) {
    return Math.min(6, this.tree.depth[task]) * (this.width < 500 ? 6 : 10);
  }

  // What can be seen of the future: nothing while the reader predicts it.
  get horizon() {
    return this.view.hidesFuture ? this.view.event : this.trace.count - 1;
  }

  drawRuler(pen) {
    const { colours: colour, labels, width } = this;
    pen.font = FONT;
    for (const [position, text] of this.ticks()) {
      const x = this.xOf(position);
      pen.fillStyle = colour.grid;
      pen.fillRect(Math.round(x), 20, 1, RULER - 20);
      pen.fillStyle = colour.soft;
      pen.textAlign = x > width - 40 ? 'right' : 'center';
      if (x > labels + 18) pen.fillText(text, Math.min(x, width - 2), 15);
    }
    pen.textAlign = 'left';
    pen.fillStyle = colour.soft;
    pen.fillText('the loop', 4, RULER - 9);
    this.clip(pen, RULER);
    this.drawLoop(pen);
    this.drawCursor(pen, 20, RULER);
    this.drawTail(pen);
    pen.restore();
  }

  clip(pen, height) {
    pen.save();
    pen.beginPath();
    pen.rect(this.labels, 0, this.width - this.labels, height);
    pen.clip();
  }

  // The marks of the ruler at round numbers: one every 110 pixels or so, closer on a narrow screen.
  ticks() {
    const [from, to] = this.window;
    const apart = Math.min(110, Math.max(64, this.width / 9));
    const rough = (to - from) / Math.max(2, (this.width - this.labels) / apart);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(this.scale === 'order' ? 1 : 100, power * [1, 2, 5, 10].find((factor) => factor * power >= rough));
    const ticks = [];
    for (let at = Math.ceil(Math.max(0, from) / step) * step; at <= Math.min(to, this.length); at += step) {
      ticks.push([at, this.scale === 'order' ? at.toLocaleString('en') : span(at)]);
    }
    return ticks;
  }

  // The lane of the loop itself: a mark where each turn begins, and hatched while it waits in the kernel.
  drawLoop(pen) {
    const { colours: colour, causes, trace } = this;
    const [top, bottom] = [RULER - 20, RULER - 4];
    this.drawRuns(pen, top, bottom);
    let last = -10;
    const begin = firstAfter(causes.turns, this.eventAt(this.window[0]) - 1);
    for (let index = Math.max(0, begin - 1); index < causes.turns.length; index++) {
      const event = causes.turns[index];
      const x = this.x(event);
      if (x > this.width || event > this.horizon) break;
      if (index >= begin && x - last < 3) {
        // Turns that share a pixel look like one: go on with the first turn of the next pixel.
        index = Math.max(index, firstAfter(causes.turns, this.eventAt(this.positionAt(last + 3))) - 1);
        continue;
      }
      last = x;
      this.drawTurn(pen, index, top, bottom);
    }
    pen.fillStyle = colour.soft;
  }

  // A bar for each stretch in which the loop runs. Each takes at least a pixel, and those that share a pixel look like one.
  drawRuns(pen, top, bottom) {
    pen.fillStyle = this.colours.grid;
    let last = -1;
    for (const [begin, end] of this.runs) {
      const x = Math.max(last, this.x(begin));
      if (x > this.width || begin > this.horizon) break;
      const width = Math.max(1, this.xAfter(end) - x);
      if (this.xAfter(end) < last) continue;
      pen.fillRect(x, top, width, bottom - top);
      last = x + width;
    }
  }

  // The end of what has its last event before this one. On the scale of time an event has no width.
  xAfter(event) {
    const last = Math.min(event - 1, this.horizon);
    return this.scale === 'order' ? this.xOf(last + 1) : this.x(last);
  }

  drawTurn(pen, index, top, bottom) {
    const { causes, trace, colours: colour } = this;
    const begin = causes.turns[index];
    const end = Math.min(endOfTurn(causes, index, trace.count), this.horizon + 1);
    const [x, after] = [this.x(begin), this.xAfter(end)];
    for (let event = end - 1; event > begin && event > end - 200; event--) {
      if (trace.kind[event] !== KIND.park) continue;
      const back = event + 1 < trace.count ? this.x(Math.min(event + 1, this.horizon)) : after;
      hatch(pen, this.x(event), top, Math.max(1, back - this.x(event)), bottom - top, colour);
      break;
    }
    pen.fillStyle = after - x < 12 ? colour.other : colour.ink;
    pen.fillRect(Math.round(x), top, 1, bottom - top);
    const left = Math.max(x, this.labels);
    if (after - left < 34) return;
    pen.fillStyle = colour.soft;
    pen.fillText(after - left > 70 ? `turn ${trace.a[begin]}` : `${trace.a[begin]}`, left + 4, bottom - 3);
  }

  drawLanes(pen) {
    pen.font = FONT;
    const first = Math.floor(this.lanes.scrollTop / ROW);
    const shift = first * ROW - this.lanes.scrollTop;
    const current = this.taskOfEvent(this.view.event);
    for (let index = first; index < Math.min(this.rows.length, first + MOST_HEIGHT / ROW + 1); index++) {
      const task = this.rows[index];
      const y = shift + (index - first) * ROW;
      const isChosen = task === this.view.chosen || task === current;
      if (isChosen) {
        pen.fillStyle = this.colours.wash;
        pen.fillRect(0, y, this.width, ROW);
      }
      this.drawLabel(pen, task, y, isChosen);
      this.clip(pen, MOST_HEIGHT + ROW);
      this.drawTask(pen, task, y);
      pen.restore();
    }
    this.clip(pen, MOST_HEIGHT + ROW);
    this.drawCursor(pen, 0, MOST_HEIGHT);
    this.drawArrows(pen);
    pen.restore();
  }

  drawLabel(pen, task, y, isChosen) {
    const indent = this.indent(task);
    pen.fillStyle = isChosen ? this.colours.ours : this.colours.ink;
    pen.fillText(this.shownName(pen, task), 4 + indent, y + 16);
  }

  // The life of one task, from the first event in sight to the last one.
  drawTask(pen, task, y) {
    const { causes, trace } = this;
    const { taskEvents } = causes;
    const end = causes.taskFirst[task + 1];
    let index = lastChange(causes, task, this.eventAt(this.window[0]));
    if (index === NONE) index = causes.taskFirst[task];
    while (index < end) {
      const event = taskEvents[index];
      const x = this.x(event);
      if (x > this.width || event > this.horizon) return;
      const status = statusAfter(trace, causes, index);
      if (status === 'done') return this.drawEnd(pen, event, y);
      const next = index + 1 < end ? Math.min(taskEvents[index + 1], this.horizon) : this.horizon;
      const isLast = index + 1 >= end || taskEvents[index + 1] > this.horizon;
      const to = isLast && this.scale === 'order' ? this.x(next) + (this.xOf(1) - this.xOf(0)) : this.x(next);
      this.drawPart(pen, status, index, x, to, y);
      index = to - x >= 1 ? index + 1 : this.skip(task, index, x);
    }
  }

  // The index of the first event of the task that has a pixel of its own.
  skip(task, index, x) {
    const next = lastChange(this.causes, task, this.eventAt(this.positionAt(x + 1)));
    return Math.max(index + 1, next);
  }

  drawPart(pen, status, index, x, to, y) {
    const { colours: colour, causes } = this;
    if (status === 'running') {
      pen.fillStyle = colour.poll;
      pen.fillRect(x, y + 4, Math.max(2, to - x), ROW - 8);
    } else if (status === 'queued') {
      pen.fillStyle = colour.queued;
      pen.fillRect(x, y + 8, Math.max(1, to - x), ROW - 16);
    } else if (isReturned(this.trace, causes.taskEvents[index])) {
      pen.fillStyle = colour.soft;
      pen.fillRect(x, y + 11.5, to - x, 1);
    } else {
      const resource = causes.waits[causes.taskEvents[index]];
      pen.fillStyle = colour[this.trace.resources[resource]?.kind ?? 'other'];
      pen.fillRect(x, y + 10.5, Math.max(0.5, to - x), 3);
    }
  }

  drawEnd(pen, event, y) {
    const x = Math.round(this.x(event));
    pen.fillStyle = this.trace.b[event] === 0 ? this.colours.soft : this.colours.bad;
    pen.fillRect(x, y + 4, 2, ROW - 8);
  }

  drawCursor(pen, top, bottom) {
    const x = this.x(this.view.event);
    const wide = this.scale === 'order' ? Math.max(2, this.xOf(1) - this.xOf(0)) : 2;
    pen.globalAlpha = wide > 6 ? 0.16 : 0.8;
    pen.fillStyle = this.colours.ours;
    pen.fillRect(x, top, wide, bottom - top);
    pen.globalAlpha = 1;
    if (wide > 6) pen.fillRect(x, top, 1.5, bottom - top);
  }

  // ---- Arrows: from the cause of the current poll to it, and from it to the polls that it causes.

  drawArrows(pen) {
    const { trace, causes, view } = this;
    const poll = trace.kind[view.event] === KIND.poll ? view.event : causes.poll[view.event];
    if (poll === NONE) return this.drawArrow(pen, causes.cause[view.event], view.event, 1);
    const end = Math.min(causes.end[poll] === NONE ? trace.count : causes.end[poll] + 40, poll + 4000, this.horizon + 1);
    let drawn = 0;
    for (let event = poll + 1; event < end && drawn < 40; event++) {
      const isOurs = [KIND.wake, KIND.spawn].includes(trace.kind[event]) && trace.b[event] === trace.a[poll];
      if (!isOurs || causes.effect[event] === NONE || causes.effect[event] > this.horizon) continue;
      this.drawArrow(pen, event, causes.effect[event], 0.55);
      drawn += 1;
    }
    this.drawArrow(pen, causes.cause[poll], poll, 1);
  }

  // The task that made an event happen, or -1 if that was the loop itself, or code outside of it.
  doerOf(event) {
    const { kind, a, b, c } = this.trace;
    const poll = this.causes.poll[event];
    if (poll !== NONE) return a[poll];
    if ([KIND.wake, KIND.spawn, KIND.cancel].includes(kind[event])) return b[event];
    // A task that has returned is over after its poll, and one that was cancelled may end without a poll.
    if (kind[event] === KIND.set) return c[event];
    return OF_A_TASK.has(kind[event]) ? a[event] : NONE;
  }

  // The middle of the row in which an event happened; above all rows if that is the loop itself.
  yOf(event, isSource) {
    const task = isSource ? this.doerOf(event) : this.taskOfEvent(event);
    const row = task === NONE ? NONE : this.rowOf[task];
    return row === NONE ? (task === NONE ? 0 : null) : row * ROW - this.lanes.scrollTop + ROW / 2;
  }

  // A cause that is no task: the arrow begins in the lane of the loop.
  drawTail(pen) {
    const { trace, causes, view } = this;
    const poll = trace.kind[view.event] === KIND.poll ? view.event : causes.poll[view.event];
    const cause = causes.cause[poll === NONE ? view.event : poll];
    if (cause === NONE || this.yOf(cause, true) !== 0) return;
    const x = this.x(cause);
    pen.fillStyle = pen.strokeStyle = this.colours.arrow;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, RULER - 12, 4, 0, 7);
    pen.fill();
    pen.beginPath();
    pen.moveTo(x, RULER - 12);
    pen.lineTo(x, RULER);
    pen.stroke();
  }

  drawArrow(pen, from, to, strength) {
    if (from === NONE || to === NONE) return;
    const [y1, y2] = [this.yOf(from, true), this.yOf(to, false)];
    // Both in the lane of the loop: the tail is enough.
    if (y1 === null || y2 === null || (y1 === 0 && y2 === 0)) return;
    const [x1, x2] = [this.x(from), this.x(to)];
    pen.globalAlpha = strength;
    pen.strokeStyle = pen.fillStyle = this.colours.arrow;
    pen.lineWidth = 2;
    const bend = Math.min(40, Math.max(8, (x2 - x1) / 2));
    pen.beginPath();
    pen.moveTo(x1, y1);
    if (y1 === 0) pen.bezierCurveTo(x1, y2 * 0.7, x1, y2, x2 - 5, y2);
    else pen.bezierCurveTo(x1 + bend, y1, x2 - bend, y2, x2 - 5, y2);
    pen.stroke();
    pen.beginPath();
    pen.moveTo(x2, y2);
    pen.lineTo(x2 - 8, y2 - 5);
    pen.lineTo(x2 - 8, y2 + 5);
    pen.fill();
    pen.globalAlpha = 1;
  }

  // What the drawing shows, as text.
  inWords() {
    const { trace, view } = this;
    const [from, to] = this.window.map((position) => span(trace.time[this.eventAt(position)]));
    const state = view.state;
    const running = state.running === NONE ? 'no task runs' : `${shortName(trace, state.running)} runs`;
    const queued = state.ready;
    return `Timeline of ${counted(this.rows.length, 'task')} from ${from} to ${to}. The current event is at ${span(trace.time[view.event])}: ${running}, ${counted(queued, 'task')} ${queued === 1 ? 'is' : 'are'} ready. The table below says the same in words.`;
  }
}

// Whether the task has returned with this event. It is not over yet, but it waits for nothing.
function isReturned(trace, event) {
  return trace.kind[event] === KIND.polled && trace.b[event] === 1;
}

// The first event after a turn. What follows the end of a `block_on` belongs to no turn.
function endOfTurn({ turns, turn }, index, count) {
  let [low, high] = [turns[index], turns[index + 1] ?? count];
  if (turn[high - 1] !== NONE) return high;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    if (turn[middle] !== NONE) low = middle;
    else high = middle;
  }
  return high;
}

// The stretches in which the loop ran, turn after turn: the first event of each, and the first one after it.
function runsOf(causes, count) {
  const runs = [];
  causes.turns.forEach((begin, index) => {
    const end = endOfTurn(causes, index, count);
    if (runs.at(-1)?.[1] === begin) runs.at(-1)[1] = end;
    else runs.push([begin, end]);
  });
  return runs;
}

// The first index in a sorted list whose value is larger than this.
function firstAfter(list, value) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The tasks in the order in which they are listed: each one is followed by those that it spawned.
function spawnTree(trace) {
  const children = new Map();
  trace.tasks.forEach(({ by }, task) => {
    const parent = by ?? NONE;
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(task);
  });
  const order = [];
  const depth = new Int32Array(trace.tasks.length);
  const open = [...(children.get(NONE) ?? [])].reverse();
  while (open.length > 0) {
    const task = open.pop();
    order.push(task);
    for (const child of (children.get(task) ?? []).reverse()) {
      depth[child] = depth[task] + 1;
      open.push(child);
    }
  }
  return { order, depth };
}
