// The state of the loop after an event, computed from the trace alone.
//
// Facts. The trace says what changes: a wake puts a task into a lane, a poll takes it out. So the state after an event is
// the state before it, and one small change. A step backwards has no such change.
//
// What follows. A state is kept for the event that is shown, and goes forwards one change at a time. Copies of it are
// kept every few thousand events. To go backwards, begin at the last copy before the event and go forwards.
//
// Invariant. The state after an event does not depend on the way in which one came there.

class State {
  // Before the first event. `begin` is what stood where then, if the recorder began in the middle.
  constructor(begin = null) {
    this.event = NONE;
    // The two lanes of the ready queue. A set keeps the order of insertion, and any member can be removed.
    this.tasks = new Set();
    this.outside = new Set();
    // The flag of the queue: set when the outside lane was the last to be taken from while neither lane was empty.
    this.outsideIsNext = false;
    // Tasks that are over and still in a lane, until the loop passes over them. They count when it is decided which lane
    // is next.
    this.over = new Set();
    this.running = NONE;
    // Timer -> { deadline, task, event }, in the order in which they were set.
    this.timers = new Map();
    // Resource -> the events with which its waits began, first come first.
    this.waits = new Map();
    // Lock -> the task that was last known to hold it.
    this.holders = new Map();
    // Source -> { descriptor, bits, event }: what the kernel last reported. A new wait clears the bits.
    this.sources = new Map();
    // The event with which the loop began to wait in the kernel, while it waits there.
    this.park = NONE;
    // Tasks that other threads have woken in this turn, and resources that the kernel or the clock reported in it.
    this.mail = [];
    this.reports = [];
    this.live = 0;
    this.dropped = 0;
    if (begin) this.start(begin);
  }

  start({ tasks, outside, over, outsideIsNext, running, timers, waits, sources, live }) {
    Object.assign(this, { tasks: new Set(tasks), outside: new Set(outside), over: new Set(over), outsideIsNext, running, live });
    timers.forEach(([timer, deadline, task], index) => this.timers.set(timer, { deadline, task, event: index - timers.length - 1 }));
    waits.forEach(([, resource], index) => this.waits.set(resource, [...(this.waits.get(resource) ?? []), begunWait(index)]));
    for (const source of sources) this.sources.set(source, { descriptor: NONE, bits: 0, event: NONE });
  }

  // How much there is to copy.
  get size() {
    return this.tasks.size + this.outside.size + this.timers.size + this.waits.size + this.sources.size;
  }

  copy() {
    const copy = Object.assign(new State(), this);
    copy.tasks = new Set(this.tasks);
    copy.outside = new Set(this.outside);
    copy.over = new Set(this.over);
    // The values of these maps are replaced, never changed, so the copy may share them.
    for (const name of ['timers', 'waits', 'holders', 'sources']) copy[name] = new Map(this[name]);
    copy.mail = [...this.mail];
    copy.reports = [...this.reports];
    return copy;
  }

  apply(trace, causes, event) {
    this.event = event;
    const step = causes.step[event];
    const isTurn = trace.kind[event] === KIND.turn;
    if (isTurn) Object.assign(this, { mail: [], reports: [] });
    // A batch of polls has ended. When no live task is in the lanes, the loop has passed over what is over.
    const before = event > 0 ? causes.step[event - 1] : trace.begin?.step ?? 0;
    if (before === 1 && (step >= 3 || isTurn) && this.over.size > 0 && this.ready === 0) this.passOver();
    CHANGE[trace.kind[event]]?.(this, trace, event, step, causes);
  }

  // What is woken in steps 3 to 5 goes to the outside lane, everything else to the tasks lane.
  push(task, step) {
    (step >= 3 ? this.outside : this.tasks).add(task);
  }

  // How many tasks are ready: those in the lanes that are not over.
  get ready() {
    return this.tasks.size + this.outside.size - this.over.size;
  }

  // The tasks of a lane that are not over, from its front.
  * lane(name) {
    for (const task of this[name]) if (!this.over.has(task)) yield task;
  }

  // Takes the polled task out, and those that are over and stood before it.
  pop(task, isShuffled) {
    while (!isShuffled) {
      const { lane, first, flag } = this.front();
      if (first !== task && !this.over.has(first)) break;
      this.outsideIsNext = flag;
      lane.delete(first);
      this.over.delete(first);
      if (first === task) return;
    }
    this.takeOut(task);
  }

  // The order is chance, or the trace does not tell the whole story: the task leaves its lane, wherever it stands.
  takeOut(task) {
    const isOutside = this.outside.has(task);
    if (this.outside.size > 0 && this.tasks.size > 0) this.outsideIsNext = isOutside;
    (isOutside ? this.outside : this.tasks).delete(task);
  }

  passOver() {
    for (let { lane, first, flag } = this.front(); first !== NONE; { lane, first, flag } = this.front()) {
      this.outsideIsNext = flag;
      lane.delete(first);
      this.over.delete(first);
    }
  }

  // What the queue would give next, from which lane, and the flag after that.
  front() {
    const { tasks, outside, outsideIsNext: flag } = this;
    const firstOfLane = (lane) => ({ lane, first: lane.values().next().value ?? NONE, flag });
    if (outside.size === 0) return firstOfLane(tasks);
    if (tasks.size === 0) return firstOfLane(outside);
    return { ...firstOfLane(flag ? tasks : outside), flag: !flag };
  }

  // The task that the loop would poll next, or -1.
  next() {
    if (this.over.size === 0) return this.front().first;
    const trial = Object.assign(new State(), { tasks: new Set(this.tasks), outside: new Set(this.outside), over: new Set(this.over), outsideIsNext: this.outsideIsNext });
    for (;;) {
      const { lane, first, flag } = trial.front();
      if (!trial.over.has(first)) return first;
      lane.delete(first);
      trial.outsideIsNext = flag;
    }
  }
}

// What each kind of event changes.
const CHANGE = {
  [KIND.spawn](state, trace, event, step) {
    state.live += 1;
    state.push(trace.a[event], step);
  },
  [KIND.wake](state, trace, event, step, causes) {
    if (causes.useless[event]) return;
    state.push(trace.a[event], step);
    if (step === 4) state.mail.push(trace.a[event]);
  },
  [KIND.poll](state, trace, event) {
    state.pop(trace.a[event], trace.shuffle);
    state.running = trace.a[event];
  },
  [KIND.polled](state) {
    state.running = NONE;
  },
  [KIND.done](state, trace, event) {
    const task = trace.a[event];
    state.live -= 1;
    if (state.tasks.has(task) || state.outside.has(task)) state.over.add(task);
    for (const [line, holder] of state.holders) if (holder === task) state.holders.delete(line);
  },
  [KIND.park](state, trace, event) {
    state.park = event;
  },
  [KIND.unpark](state) {
    state.park = NONE;
  },
  [KIND.ready](state, trace, event) {
    const source = trace.a[event];
    const before = state.sources.get(source) ?? { descriptor: NONE };
    state.sources.set(source, { ...before, bits: trace.b[event], event });
    state.reports.push(source);
  },
  [KIND.fired](state, trace, event) {
    state.timers.delete(trace.a[event]);
    state.reports.push(trace.a[event]);
  },
  [KIND.wait](state, trace, event) {
    const resource = trace.b[event];
    state.waits.set(resource, [...(state.waits.get(resource) ?? []), event]);
    if (isLock(trace, resource) && trace.c[event] !== NONE) state.holders.set(resource, trace.c[event]);
    // A task waits for a source only after the kernel has said that it would block.
    const source = state.sources.get(resource);
    if (source) state.sources.set(resource, { ...source, bits: 0 });
  },
  [KIND.waited](state, trace, event) {
    const [task, resource] = [trace.a[event], trace.b[event]];
    const waits = [...(state.waits.get(resource) ?? [])];
    const index = waits.findIndex((wait) => waitTask(trace, wait) === task);
    if (index >= 0) waits.splice(index, 1);
    if (waits.length > 0) state.waits.set(resource, waits);
    else state.waits.delete(resource);
    const isHandedOver = trace.resources[resource]?.what === 'mutex' && task !== NONE;
    if (waits.length === 0) state.holders.delete(resource);
    else if (isHandedOver) state.holders.set(resource, task);
  },
  [KIND.set](state, trace, event) {
    const timer = trace.a[event];
    // A timer that is set anew goes behind those that have the same deadline.
    state.timers.delete(timer);
    state.timers.set(timer, { deadline: trace.b[event], task: trace.c[event], event });
  },
  [KIND.unset](state, trace, event) {
    state.timers.delete(trace.a[event]);
  },
  [KIND.open](state, trace, event) {
    state.sources.set(trace.a[event], { descriptor: trace.b[event], bits: 0, event });
  },
  [KIND.close](state, trace, event) {
    state.sources.delete(trace.a[event]);
  },
  [KIND.gap](state, trace, event) {
    state.dropped += trace.a[event];
  },
};

// ---- Every event's state.

// Copies are at least this many events apart. If a state is large they are farther apart, because otherwise most of the
// memory would be copies.
const APART = 4096;
// A step backwards leaves a copy so many events before its event, for the steps backwards that follow.
const NEAR = 256;

class History {
  constructor(trace, causes) {
    const begin = () => new State(trace.begin);
    Object.assign(this, { trace, causes, copies: [begin()], state: begin(), near: begin() });
    let last = NONE;
    for (let event = 0; event < trace.count; event++) {
      this.state.apply(trace, causes, event);
      if (event - last < Math.max(APART, this.state.size)) continue;
      this.copies.push(this.state.copy());
      last = event;
    }
  }

  // The state after `event`. It is the history's own: do not keep it, and do not change it.
  at(event) {
    const isAhead = event >= this.state.event && event - this.state.event < APART;
    if (!isAhead) this.goBack(event);
    this.goOn(event);
    return this.state;
  }

  goOn(event) {
    while (this.state.event < event) this.state.apply(this.trace, this.causes, this.state.event + 1);
  }

  // Begins at the last copy that is not after the event.
  goBack(event) {
    const old = this.copyBefore(event);
    const isNear = this.near.event <= event && this.near.event > old.event;
    this.state = (isNear ? this.near : old).copy();
    if (event - this.state.event < NEAR * 2) return;
    this.goOn(event - NEAR);
    this.near = this.state.copy();
  }

  // A second reader of the same states, which goes its own way.
  reader() {
    return Object.assign(Object.create(History.prototype), this, { state: new State(this.trace.begin), near: new State(this.trace.begin) });
  }

  copyBefore(event) {
    let [low, high] = [0, this.copies.length];
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (this.copies[middle].event <= event) low = middle;
      else high = middle;
    }
    return this.copies[low];
  }
}

// The timers in the order in which they are due; equal deadlines in the order in which they were set. `most` limits the
// list, so that a step with 100,000 timers does not sort them all.
function timersInOrder(state, most = Infinity) {
  const isBefore = ([, x], [, y]) => x.deadline - y.deadline || x.event - y.event;
  const all = state.timers.size <= most * 4 ? [...state.timers] : earliest(state.timers, most, isBefore);
  return all.sort(isBefore).slice(0, most).map(([timer, entry]) => ({ timer, ...entry }));
}

function earliest(timers, most, isBefore) {
  const best = [];
  for (const entry of timers) {
    if (best.length === most && isBefore(entry, best.at(-1)) > 0) continue;
    best.push(entry);
    best.sort(isBefore).splice(most);
  }
  return best;
}

// The state as plain values, for tests. Tasks, timers and sources are indexes into the tables of the trace.
function plainState(trace, causes, state) {
  const { event } = state;
  return {
    event,
    time: event === NONE ? 0 : trace.time[event],
    turn: event === NONE ? NONE : causes.turn[event],
    step: event === NONE ? 0 : causes.step[event],
    running: state.running,
    parked: state.park !== NONE,
    tasks: [...state.lane('tasks')],
    outside: [...state.lane('outside')],
    outside_is_next: state.outsideIsNext,
    timers: timersInOrder(state).map(({ timer, deadline, task }) => ({ timer, deadline, task })),
    waits: [...state.waits].map(([resource, waits]) => ({ resource, tasks: waits.map((wait) => waitTask(trace, wait)) })),
    holders: [...state.holders].map(([resource, task]) => ({ resource, task })),
    sources: [...state.sources].map(([source, { descriptor, bits }]) => ({ source, descriptor, bits })),
    live: state.live,
  };
}
