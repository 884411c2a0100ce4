// Diagnosis: what is worth a look. Each finding is a sentence and the event that shows it.
//
// One walk over the trace collects the findings, and each list keeps only its worst entries. A list that is empty is not
// shown, other than the busy share of the loop.

const WORST = 5;
// So many wakes by itself in a row make a task hot.
const HOT = 8;

// The largest entries that were offered.
class Largest {
  constructor() {
    this.entries = [];
  }

  // On virtual time most things take no time, which is not worth a look.
  offer(size, event) {
    if (size <= 0) return;
    if (this.entries.length === WORST && size <= this.entries.at(-1).size) return;
    this.entries.push({ size, event });
    this.entries.sort((x, y) => y.size - x.size || x.event - y.event).splice(WORST);
  }
}

class Diagnosis {
  constructor(trace, causes) {
    Object.assign(this, { trace, causes, busy: 0, parked: 0 });
    this.polls = new Largest();
    this.queued = new Largest();
    this.locks = new Largest();
    this.late = new Largest();
    // Task -> how often it woke itself in a row now, and the longest such row.
    this.rows = new Map();
    this.hot = new Map();
    this.idlePolls = new Map();
    this.unheard = [];
    this.panicked = [];
    this.knots = new Knots(trace);
    // Task -> the event with which it was cancelled.
    this.cancels = new Map();
    for (let event = 0; event < trace.count; event++) LOOKS[trace.kind[event]]?.call(this, event);
    this.neverPolled = this.findNeverPolled();
  }

  // A poll in which nothing was recorded, and after which the task waits for what it waited for before.
  noteIdlePoll(poll, end) {
    const task = this.trace.a[poll];
    const isIdle = end === poll + 1 && this.trace.b[end] === 0 && this.trace.kind[this.causes.cause[poll]] === KIND.wake;
    if (!isIdle) return;
    const entry = this.idlePolls.get(task) ?? { count: 0, event: poll };
    this.idlePolls.set(task, { ...entry, count: entry.count + 1 });
  }

  findNeverPolled() {
    const { taskFirst, taskEvents } = this.causes;
    const found = [];
    for (let task = 0; task < this.trace.tasks.length; task++) {
      const events = taskEvents.subarray(taskFirst[task], taskFirst[task + 1]);
      const spawn = events[0];
      if (events.length > 0 && !events.some((event) => this.trace.kind[event] === KIND.poll)) found.push({ task, event: spawn });
      if (found.length > WORST * 20) break;
    }
    return found;
  }

  // Groups of findings: { title, help, items: [{ text, event }] }.
  groups(words) {
    const { trace } = this;
    const task = (number) => taskName(trace, number);
    const from = (entries, text) => entries.map((entry) => ({ text: text(entry), event: entry.event }));
    const group = (title, help, items) => ({ title, help, items });
    return [
      group('Deadlocks', 'Each of these tasks waits for the next one, and the last one for the first.',
        from(this.knots.found.slice(0, WORST), (knot) => `${task(knot.tasks[0])} waits for ${knot.tasks.slice(1).map(task).join(', which waits for ')}${this.endOf(knot)}`)),
      group('Longest polls', 'While a poll runs, everything else stands still.',
        from(this.polls.entries, ({ size, event }) => `${task(trace.a[event])} ran for ${span(size)}`)),
      group('Longest waits in the queue', 'The task was ready, but others ran first.',
        from(this.queued.entries, ({ size, event }) => `${task(trace.a[event])} was queued for ${span(size)}`)),
      group('Longest waits for a lock or channel', 'From the beginning of the wait until its end.',
        from(this.locks.entries, ({ size, event }) => `${task(trace.a[event])} waited ${span(size)} for the ${words.resource(trace.b[event])}`)),
      group('Latest timers', 'How long after its deadline a timer fired.',
        from(this.late.entries, ({ size, event }) => `${words.resource(trace.a[event])} fired ${span(size)} after its deadline`)),
      group('Hot tasks', `They woke themselves at least ${HOT} times in a row.`,
        from(worst(this.hot), ({ key, count }) => `${task(key)} woke itself ${count} times in a row`)),
      group('Wakes without effect', 'The task was polled, and the trace shows nothing that it did.',
        from(worst(this.idlePolls), ({ key, count }) => `${task(key)}: ${counted(count, 'poll')}`)),
      group('Tasks that never ran', 'They were spawned, and never polled.',
        from(this.neverPolled.slice(0, WORST), (entry) => `${task(entry.task)} was never polled`)),
      group('Panics', 'Tasks that panicked.', from(this.panicked.slice(0, WORST), (entry) => `${task(trace.a[entry.event])} panicked`)),
      group('Panics that no code saw', 'The handle of the task was dropped.',
        from(this.unheard.slice(0, WORST), (entry) => words.short(entry.event))),
      group('Where the trace stops', '', this.lastWords(words)),
    ].filter(({ items }) => items.length > 0);
  }

  // A circle may be closed for a while only: until a task in it is cancelled, or gets what it waits for.
  endOf({ event, end, tasks }) {
    if (end === NONE) return ', until the trace ends';
    const cancelled = tasks.find((each) => this.cancels.get(each) >= event && this.cancels.get(each) <= end);
    if (cancelled === undefined) return `, until one of these waits ended at event ${end}`;
    return `, until ${taskName(this.trace, cancelled)} was cancelled at event ${this.cancels.get(cancelled)}`;
  }

  // A loop that parks without limit and never comes back has lost a wake-up, or is in a deadlock.
  lastWords(words) {
    const last = this.trace.count - 1;
    if (last < 0 || this.trace.kind[last] !== KIND.park || this.trace.b[last] !== NONE) return [];
    const text = 'The loop waits in the kernel, no timer is set, and nothing came until the trace ended';
    return [{ text, event: last }];
  }

  // "The loop was busy for 12 % of the time."
  summary() {
    const { trace } = this;
    const whole = trace.length;
    if (whole === 0) return 'No time passed between the first event and the last.';
    if (trace.clock === 'virtual') return `The clock is virtual: ${span(whole)} passed on it, and the polls took none of them.`;
    const percent = (part) => `${((part / whole) * 100).toFixed(1)} %`;
    return `Of ${span(whole)}, polls took ${percent(this.busy)}, waiting in the kernel ${percent(this.parked)}, and the loop’s own work ${percent(Math.max(0, whole - this.busy - this.parked))}.`;
  }
}

// The entries with the largest counts of a map.
function worst(map) {
  const entries = [...map].map(([key, value]) => ({ key, ...value }));
  return entries.sort((x, y) => y.count - x.count).slice(0, WORST);
}

// What each kind of event adds. `this` is the diagnosis.
const LOOKS = {
  [KIND.poll](event) {
    const wake = this.causes.cause[event];
    const { time, a } = this.trace;
    if (wake !== NONE) this.queued.offer(time[event] - time[wake], event);
    const isOwn = wake !== NONE && this.trace.kind[wake] === KIND.wake && this.trace.b[wake] === a[event];
    const row = isOwn ? (this.rows.get(a[event]) ?? 0) + 1 : 0;
    this.rows.set(a[event], row);
    if (row >= HOT && row > (this.hot.get(a[event])?.count ?? 0)) this.hot.set(a[event], { count: row, event });
  },
  [KIND.polled](event) {
    const poll = this.causes.cause[event];
    if (poll === NONE) return;
    const took = this.trace.time[event] - this.trace.time[poll];
    this.busy += took;
    this.polls.offer(took, poll);
    this.noteIdlePoll(poll, event);
  },
  [KIND.unpark](event) {
    const park = this.causes.cause[event];
    if (park !== NONE) this.parked += this.trace.time[event] - this.trace.time[park];
  },
  [KIND.fired](event) {
    const set = this.causes.cause[event];
    const late = set === NONE ? 0 : this.trace.time[event] - this.trace.b[set];
    this.late.offer(late, event);
  },
  [KIND.wait](event) {
    this.knots.wait(event);
  },
  [KIND.waited](event) {
    this.knots.waited(event);
    const wait = this.causes.effect[event];
    const isLine = wait !== NONE && this.trace.resources[this.trace.b[event]]?.kind === 'line';
    if (isLine) this.locks.offer(this.trace.time[event] - this.trace.time[wait], event);
  },
  [KIND.cancel](event) {
    // A second one changes nothing.
    if (!this.cancels.has(this.trace.a[event])) this.cancels.set(this.trace.a[event], event);
  },
  [KIND.done](event) {
    if (this.trace.b[event] === 2) this.panicked.push({ event });
  },
  [KIND.unheard](event) {
    this.unheard.push({ event });
  },
};

// Who waits for whom.
//
// A task that waits for a task or a lock leads to the task that has to bring it about. When a wait closes a circle, none
// of the tasks can go on, unless one of them also waits for something else, such as a timeout. So a circle is reported
// only if every task in it has that one wait. It is open again when the first of these waits ends.
class Knots {
  constructor(trace) {
    this.trace = trace;
    // Task -> its open waits, as events.
    this.waits = new Map();
    this.found = [];
    (trace.begin?.waits ?? []).forEach(([task], index) => this.wait(begunWait(index), task));
  }

  wait(event, task = this.trace.a[event]) {
    if (task === NONE) return;
    this.waits.set(task, [...(this.waits.get(task) ?? []), event]);
    const tasks = this.circle(task);
    if (tasks) this.found.push({ event: Math.max(event, 0), tasks, end: NONE });
  }

  waited(event) {
    const [task, resource] = [this.trace.a[event], this.trace.b[event]];
    const waits = this.waits.get(task);
    const index = waits?.findIndex((wait) => waitResource(this.trace, wait) === resource) ?? -1;
    if (index < 0) return;
    this.waits.set(task, waits.toSpliced(index, 1));
    for (const knot of this.found) if (knot.end === NONE && knot.tasks.includes(task)) knot.end = event;
  }

  // The tasks from this one round to it again, or null.
  circle(first) {
    const path = [first];
    for (;;) {
      const waits = this.waits.get(path.at(-1)) ?? [];
      const next = waits.length === 1 ? holderOf(this.trace, waits[0]) : NONE;
      if (next === NONE) return null;
      if (next === first) return [...path, first];
      if (path.includes(next)) return null;
      path.push(next);
    }
  }
}
