// Causes: one pass over the trace, which finds for each event where it belongs and why it came.
//
// Facts. The trace is in the order in which things happened, on one thread. So everything that an event belongs to (its
// turn, its poll) and everything that caused it (the wake of a poll, the timer of a wake) comes before it.
//
// What follows. One walk from the first event to the last, which remembers the last poll, wake and end of each task.
// The results are columns again, one number for each event.
//
//   turn     the number of its turn, or -1 if it belongs to none
//   step     the step of the turn, 1 to 5, or 0 if it belongs to no turn
//   poll     the poll during which it happened
//   cause    the event that made this one happen; -1 if that is outside of the program, or not known
//   effect   of a wake or spawn: the poll that follows from it. Of `set`: the event in which the timer fired. Of `waited`,
//            backwards: the `wait` that it ends
//   end      of a poll: the event that ends it
//   waits    of the end of a poll: a resource that the task waits for, or -1
//   useless  1 for a wake that changed nothing, because the task was queued already or is over

function findCauses(trace) {
  const column = () => new Int32Array(trace.count).fill(NONE);
  const found = {
    turn: column(), step: new Uint8Array(trace.count), poll: column(), cause: column(), effect: column(),
    end: column(), waits: column(), useless: new Uint8Array(trace.count),
  };
  const pass = new Pass(trace, found);
  for (let event = 0; event < trace.count; event++) pass.visit(event);
  return { ...found, ...eventsOfTasks(trace, found), roots: pass.roots, turns: pass.turns, shutdown: trace.kind.indexOf(KIND.shutdown) };
}

class Pass {
  constructor(trace, found) {
    const perTask = () => new Int32Array(trace.tasks.length).fill(NONE);
    const { turn = NONE, step = 0, running = NONE } = trace.begin ?? {};
    Object.assign(this, { trace, found, turn, step, running, poll: NONE });
    // The wake or spawn that has queued a task, until the poll.
    this.queuedBy = perTask();
    this.lastPoll = perTask();
    this.doneAt = perTask();
    this.cancelAt = perTask();
    // The open waits of each task: an array of resources.
    this.waits = new Map();
    // The last event of each kind that a resource had a part in.
    this.setAt = new Map();
    this.reportAt = new Map();
    this.openAt = new Map();
    this.waitAt = new Map();
    this.lastPark = NONE;
    for (const [task, resource] of trace.begin?.waits ?? []) {
      if (!this.waits.has(task)) this.waits.set(task, []);
      this.waits.get(task).push(resource);
    }
    // The tasks that were given to `block_on`. A turn ends when such a task does. Of those that were there before the first
    // event, only the tables tell.
    this.roots = new Set(trace.begin ? [...trace.tasks.keys()].filter((task) => isRoot(trace, task)) : []);
    // The events with which the turns begin.
    this.turns = [];
  }

  visit(event) {
    const kind = this.trace.kind[event];
    this.step = this.stepOf(event, kind);
    if (kind === KIND.turn) {
      this.turn = this.trace.a[event];
      this.turns.push(event);
    }
    this.found.step[event] = this.step;
    this.found.turn[event] = this.step === 0 ? NONE : this.turn;
    this.found.poll[event] = this.poll;
    // Most events come from the poll in which they happen. The visits below know better for their kinds.
    this.found.cause[event] = this.poll;
    VISITS[kind]?.call(this, event, this.trace.a[event], this.trace.b[event], this.trace.c[event]);
  }

  // A turn begins with step 1. Its other steps are known by what happens in them, and they come in their order.
  stepOf(event, kind) {
    if (kind === KIND.turn) return 1;
    // The shutdown cancels outside of a turn. The turns that it runs begin with an event of their own.
    if (kind === KIND.shutdown) return 0;
    // During a poll it is step 1. Without a turn there is no step.
    if (this.running !== NONE || this.step === 0) return this.step;
    return Math.max(this.step, this.leastStep(event, kind));
  }

  // The first step in which such an event can happen while no task runs.
  leastStep(event, kind) {
    const { trace } = this;
    if (kind === KIND.park || kind === KIND.unpark || kind === KIND.ready) return 3;
    if (kind === KIND.fired) return 5;
    const isByTask = trace.b[event] !== NONE || ![KIND.wake, KIND.spawn, KIND.cancel].includes(kind);
    if (isByTask) return 1;
    const cause = kind === KIND.wake ? trace.resources[trace.c[event]] : undefined;
    // Without a task or a report as its cause, it came from another thread, or the loop has called a function of the program.
    if (cause === undefined) return 4;
    return cause.kind === 'timer' ? 5 : 3;
  }

  queue(event, task) {
    this.queuedBy[task] = event;
  }

  // One number for a task and a resource. A task that is not of this loop has the number -1.
  waitKey(task, resource) {
    return (task + 1) * this.trace.resources.length + resource;
  }
}

// The future of a `block_on` was spawned nowhere, unlike a task that a program spawns before it runs the loop.
function isRoot(trace, task) {
  const { by, at } = trace.tasks[task] ?? {};
  return (by ?? NONE) === NONE && (at ?? NONE) === NONE;
}

// What each kind of event changes in the pass. `this` is the pass.
const VISITS = {
  [KIND.spawn](event, task, by) {
    if (by === NONE && this.step === 0 && isRoot(this.trace, task)) this.roots.add(task);
    if (this.poll === NONE && by !== NONE) this.found.cause[event] = this.lastPoll[by];
    this.queue(event, task);
  },
  [KIND.wake](event, task, by, resource) {
    const isUseless = this.queuedBy[task] !== NONE || this.doneAt[task] !== NONE;
    this.found.useless[event] = isUseless ? 1 : 0;
    if (resource !== NONE) this.found.cause[event] = this.reportAt.get(resource) ?? NONE;
    // A task that is over wakes those that wait for its end.
    else if (by !== NONE && by !== this.running) this.found.cause[event] = this.lastOf(by);
    if (!isUseless) this.queue(event, task);
  },
  [KIND.poll](event, task) {
    const wake = this.queuedBy[task];
    this.found.cause[event] = wake;
    if (wake !== NONE) this.found.effect[wake] = event;
    this.queuedBy[task] = NONE;
    this.lastPoll[task] = event;
    this.found.poll[event] = event;
    Object.assign(this, { running: task, poll: event });
  },
  [KIND.polled](event, task) {
    if (this.poll !== NONE) this.found.end[this.poll] = event;
    this.found.waits[event] = this.waits.get(task)?.at(-1) ?? NONE;
    Object.assign(this, { running: NONE, poll: NONE });
  },
  [KIND.done](event, task, end) {
    this.found.cause[event] = end === 1 ? this.cancelAt[task] : this.lastPoll[task];
    this.queuedBy[task] = NONE;
    this.doneAt[task] = event;
    // The turn in which a `block_on` ends has no further steps.
    if (this.roots.has(task)) this.step = 0;
  },
  [KIND.unheard](event, task) {
    this.found.cause[event] = this.doneAt[task];
  },
  [KIND.park](event) {
    this.found.cause[event] = NONE;
    this.lastPark = event;
  },
  [KIND.unpark](event) {
    this.found.cause[event] = this.lastPark;
  },
  [KIND.ready](event, resource) {
    // What the kernel reports comes from the network, a terminal, another process.
    this.found.cause[event] = NONE;
    this.reportAt.set(resource, event);
  },
  [KIND.fired](event, resource) {
    const set = this.setAt.get(resource) ?? NONE;
    this.found.cause[event] = set;
    if (set !== NONE) this.found.effect[set] = event;
    this.reportAt.set(resource, event);
  },
  [KIND.wait](event, task, resource) {
    if (!this.waits.has(task)) this.waits.set(task, []);
    this.waits.get(task).push(resource);
    // A task may wait for the same thing twice, in two futures that it polls together.
    const key = this.waitKey(task, resource);
    const open = this.waitAt.get(key);
    if (open) open.push(event);
    else this.waitAt.set(key, [event]);
  },
  [KIND.waited](event, task, resource) {
    const waits = this.waits.get(task) ?? [];
    const index = waits.lastIndexOf(resource);
    if (index >= 0) waits.splice(index, 1);
    // The poll in which a task learns that it has waited enough, or the wait itself.
    if (this.poll === NONE) this.found.cause[event] = this.reportAt.get(resource) ?? NONE;
    const key = this.waitKey(task, resource);
    const open = this.waitAt.get(key);
    this.found.effect[event] = open?.shift() ?? NONE;
    if (open?.length === 0) this.waitAt.delete(key);
  },
  [KIND.set](event, resource) {
    this.setAt.set(resource, event);
  },
  [KIND.cancel](event, task) {
    this.cancelAt[task] = event;
  },
};

// The event from which a wake by a task that is not running came: its end, or its last poll.
Pass.prototype.lastOf = function lastOf(task) {
  return this.doneAt[task] === NONE ? this.lastPoll[task] : this.doneAt[task];
};

// ---- The events that change what a task does, task by task: one long array, and where each task's part begins.

const CHANGES = new Set([KIND.spawn, KIND.wake, KIND.poll, KIND.polled, KIND.done]);

function eventsOfTasks(trace, found) {
  const first = new Int32Array(trace.tasks.length + 1);
  const counts = (event) => CHANGES.has(trace.kind[event]) && !found.useless[event] && trace.a[event] >= 0;
  for (let event = 0; event < trace.count; event++) if (counts(event)) first[trace.a[event] + 1] += 1;
  for (let task = 0; task < trace.tasks.length; task++) first[task + 1] += first[task];
  const events = new Int32Array(first.at(-1));
  const next = first.slice();
  for (let event = 0; event < trace.count; event++) if (counts(event)) events[next[trace.a[event]]++] = event;
  return { taskFirst: first, taskEvents: events };
}

// The index in `taskEvents` of the last event of the task that is not after `event`, or -1.
function lastChange(causes, task, event) {
  let [low, high] = [causes.taskFirst[task], causes.taskFirst[task + 1]];
  const begin = low;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (causes.taskEvents[middle] <= event) low = middle + 1;
    else high = middle;
  }
  return low - 1 < begin ? NONE : low - 1;
}

// What the task does from the event at this index on, until its next one: "queued", "running", "waiting" or "done".
function statusAfter(trace, causes, index) {
  const { taskEvents, taskFirst } = causes;
  const event = taskEvents[index];
  const before = index > taskFirst[trace.a[event]] ? trace.kind[taskEvents[index - 1]] : NONE;
  switch (trace.kind[event]) {
    case KIND.poll: return 'running';
    // A wake during its own poll queues a task again when the poll ends.
    case KIND.polled: return before === KIND.wake ? 'queued' : 'waiting';
    case KIND.done: return 'done';
    case KIND.wake: return before === KIND.poll ? 'running' : 'queued';
    default: return 'queued';
  }
}

// What a task does before its first event: it is not spawned yet, or it was before the trace began.
function statusBefore(trace, causes, task) {
  const first = causes.taskFirst[task];
  const isSpawned = first < causes.taskFirst[task + 1] && trace.kind[causes.taskEvents[first]] === KIND.spawn;
  if (!trace.begin || isSpawned) return 'unborn';
  const { tasks, outside, running } = trace.begin;
  if (running === task) return 'running';
  return tasks.includes(task) || outside.includes(task) ? 'queued' : 'waiting';
}

// What a task does after `event`; "unborn" if it was not spawned yet.
function statusAt(trace, causes, task, event) {
  const index = lastChange(causes, task, event);
  return index === NONE ? statusBefore(trace, causes, task) : statusAfter(trace, causes, index);
}
