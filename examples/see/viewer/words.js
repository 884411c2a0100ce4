// The sentence: what happens in an event, and why, in plain English.
//
// Each kind of event has one function, which gives one to three short sentences. Names that the program gave stand
// between `backticks`. What the sentence says is in the trace; it does not guess.

class Words {
  constructor(trace, causes) {
    Object.assign(this, { trace, causes });
    // While the reader predicts, a sentence about a poll does not say what the poll will do.
    this.hidesFuture = false;
  }

  // Where and when: "Turn 7, step 1, at 200.1 ms." Then what.
  sentence(event) {
    return `${this.where(event)} ${this.what(event)}`;
  }

  where(event) {
    const { turn, step } = this.causes;
    const { turns } = this.causes;
    const at = `at ${span(this.trace.time[event])}`;
    if (step[event] !== 0) return `Turn ${turn[event]}, step ${step[event]}, ${at}.`;
    if (turns.length === 0 || event < turns[0]) return `Before the first turn, ${at}.`;
    if (this.causes.shutdown !== NONE && event >= this.causes.shutdown) return `Shutdown, ${at}.`;
    return event > turns.at(-1) ? `After the last turn, ${at}.` : `Between two turns, ${at}.`;
  }

  what(event) {
    const { kind, a, b, c } = this.trace;
    const words = SAY[KINDS[kind[event]]];
    return words ? words.call(this, event, a[event], b[event], c[event]) : `An event of the unknown kind ${kind[event]}.`;
  }

  task(task) {
    return taskName(this.trace, task);
  }

  resource(resource) {
    return resourceName(this.trace, resource);
  }

  // A short text for lists: the sentence without its place, and only its first part.
  short(event) {
    return capital(this.what(event).split('. ')[0].replace(/\.$/, ''));
  }

  // ---- Reasons.

  // Why a task was queued: "because timer 3 fired at 200.0 ms".
  reason(wake) {
    if (wake === NONE) return 'for a reason that the trace does not hold';
    const { trace } = this;
    const [by, resource] = [trace.b[wake], trace.c[wake]];
    if (trace.kind[wake] === KIND.spawn) {
      return by === NONE ? 'because it is new' : `because ${this.task(by)} spawned it`;
    }
    if (resource !== NONE) return `because ${this.report(wake, resource)}`;
    if (by === NONE) return 'because another thread, or code outside of the loop, woke it';
    if (by === trace.a[wake]) return 'because it woke itself';
    const isOver = trace.kind[this.causes.cause[wake]] === KIND.done;
    return isOver ? `because ${this.task(by)} ended` : `because ${this.task(by)} woke it`;
  }

  // What the kernel or the clock reported: "timer 3 fired at 200.0 ms".
  report(wake, resource) {
    const { trace, causes } = this;
    const cause = causes.cause[wake];
    const name = this.resource(resource);
    if (trace.resources[resource].kind === 'timer') {
      return `${name} fired${cause === NONE ? '' : ` at ${span(trace.time[cause])}`}`;
    }
    return cause === NONE ? `${name} was ready` : `${name} became ${readiness(trace.b[cause])}`;
  }

  // How long a polled task was queued: "It was queued for 4.0 µs."
  queuedFor(poll) {
    const wake = this.causes.cause[poll];
    const queued = wake === NONE ? 0 : this.trace.time[poll] - this.trace.time[wake];
    // On virtual time a task is polled at the moment at which it is woken.
    return queued === 0 ? '' : ` It was queued for ${span(queued)}.`;
  }

  // How long something took: " after 4.0 µs"; nothing if that is not known, or if no time passed.
  after(begin, end) {
    const took = begin === NONE ? 0 : this.trace.time[end] - this.trace.time[begin];
    return took === 0 ? '' : ` after ${span(took)}`;
  }

  // ---- What a poll does, from its events: "It spawns 3 tasks, and then waits for timer 4."

  deeds(poll) {
    const { trace, causes } = this;
    if (this.hidesFuture) return '';
    const end = causes.end[poll];
    if (end === NONE) return 'The trace ends during this poll.';
    const deeds = [];
    this.addTasks(deeds, poll, end, KIND.spawn, 'spawns');
    this.addTasks(deeds, poll, end, KIND.cancel, 'cancels');
    this.addTasks(deeds, poll, end, KIND.wake, 'wakes');
    return `It ${this.withEnd(deeds, poll, end, trace.a[poll])}`;
  }

  // "wakes `a` and `b`", if there is any such event in the poll. A task that wakes itself is not said here.
  addTasks(deeds, poll, end, kind, verb) {
    const { trace } = this;
    const names = [];
    for (let event = poll + 1; event < end && event < poll + 2000; event++) {
      if (trace.kind[event] !== kind || trace.a[event] === trace.a[poll]) continue;
      names.push(plainName(trace, trace.a[event]));
    }
    if (names.length > 0) deeds.push(`${verb} ${shortList(names, 3)}`);
  }

  // How the poll ends belongs to the same sentence.
  withEnd(deeds, poll, end, task) {
    const { trace, causes } = this;
    const before = deeds.length === 0 ? '' : `${deeds.join(', ')}, and then `;
    if (trace.c[end] === 1) return `${before}panics.${this.wakesJoiners(end, task)}`;
    if (trace.b[end] === 1) return `${before}returns${this.wakesJoiners(end, task) || '.'}`;
    if (statusAt(trace, causes, task, end) === 'queued') return `${before}gives way: it goes to the back of the queue.`;
    const goals = this.goals(causes.cause[end], end);
    if (goals.length === 0) return deeds.length === 0 ? 'stays pending.' : `${deeds.join(', and ')}.`;
    return `${before}waits for ${shortList(goals, 3)}.`;
  }

  // What the task waits for at the end of a poll: what it began to wait for in it, or else what it waited for before.
  goals(poll, end) {
    const { trace, causes } = this;
    const begun = [];
    for (let event = poll + 1; event < end && event < poll + 200; event++) {
      const isOwn = trace.a[event] === trace.a[poll];
      if (isOwn && trace.kind[event] === KIND.wait && !begun.includes(trace.b[event])) begun.push(trace.b[event]);
      const ended = isOwn && trace.kind[event] === KIND.waited ? begun.indexOf(trace.b[event]) : NONE;
      if (ended !== NONE) begun.splice(ended, 1);
    }
    if (begun.length === 0 && causes.waits[end] !== NONE) begun.push(causes.waits[end]);
    return begun.map((resource) => goalName(trace, resource));
  }

  // The tasks that a task wakes by its end: they follow in the trace at once.
  wakesJoiners(end, task) {
    const { trace } = this;
    const names = [];
    for (let event = end + 1; event < trace.count && event < end + 50; event++) {
      if (trace.kind[event] === KIND.poll || trace.kind[event] === KIND.turn) break;
      if (trace.kind[event] === KIND.wake && trace.b[event] === task) names.push(plainName(trace, trace.a[event]));
    }
    return names.length === 0 ? '' : `: ${shortList(names, 3)} ${names.length === 1 ? 'is' : 'are'} woken.`;
  }

  // Who holds what a task waits for.
  heldBy(holder, resource) {
    if (holder === NONE || !isLock(this.trace, resource)) return '';
    return ` It is held by ${this.task(holder)}.`;
  }

  lane(event) {
    return this.causes.step[event] >= 3 ? 'outside lane' : 'tasks lane';
  }
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function readiness(bits) {
  const words = ['not ready', 'readable', 'writable', 'readable and writable'];
  return words[bits & 3];
}

// One function for each kind of event. `this` is the Words; a, b and c are the event's columns.
const SAY = {
  turn(event) {
    const next = event + 1 < this.trace.count ? KINDS[this.trace.kind[event + 1]] : 'nothing';
    const isIdle = next !== 'poll';
    return isIdle ? 'A turn begins. No task is ready to be polled.' : 'A turn begins: the loop polls the tasks that are ready.';
  },
  spawn(event, task, by) {
    const lane = `The new task goes to the back of the ${this.lane(event)}.`;
    if (by !== NONE) return `${capital(this.task(by))} spawns ${this.task(task)}. ${lane}`;
    if (this.causes.roots.has(task)) return `The loop gets its first task, ${this.task(task)}, which is put into the ready queue.`;
    return `Another thread, or code outside of the loop, spawns ${this.task(task)}. ${lane}`;
  },
  wake(event, task, by, resource) {
    const name = capital(this.task(task));
    if (this.causes.useless[event]) return `${name} is woken. It is queued already, so nothing changes.`;
    const goes = `goes to the back of the ${this.lane(event)}`;
    if (resource === NONE && by === task) return `${name} wakes itself: it gives way, and ${goes}.`;
    if (resource === NONE && by === NONE) return `${name} is woken by another thread, or by code outside of the loop. It ${goes}.`;
    const isOver = by !== NONE && this.trace.kind[this.causes.cause[event]] === KIND.done;
    if (resource === NONE && !isOver) return `${capital(this.task(by))} wakes ${this.task(task)}, which ${goes}.`;
    return `${name} is woken ${this.reason(event)}. It ${goes}.`;
  },
  poll(event, task) {
    const reason = this.reason(this.causes.cause[event]);
    return `${capital(this.task(task))} is polled ${reason}.${this.queuedFor(event)} ${this.deeds(event)}`;
  },
  polled(event, task, complete, panicked) {
    const begin = this.causes.cause[event];
    const poll = `The poll of ${this.task(task)} ends${this.after(begin, event)}`;
    if (panicked === 1) return `${poll}: it panicked.`;
    if (complete === 1) return `${poll}: its future is complete.`;
    if (statusAt(this.trace, this.causes, task, event) === 'queued') return `${poll}: it is queued again.`;
    const goals = begin === NONE ? [] : this.goals(begin, event);
    return goals.length === 0 ? `${poll}: it is pending.` : `${poll}: it waits for ${shortList(goals, 3)}.`;
  },
  done(event, task, end) {
    return `${capital(this.task(task))} is over: it ${ENDS[end] ?? 'ended'}.`;
  },
  unheard(event, task) {
    return `${capital(this.task(task))} panicked, and its handle was dropped. No code will see this panic.`;
  },
  park(event, timer, limit) {
    if (limit === 0) return 'No task is ready, but the loop has something else to do. So it only looks at the kernel, and does not wait.';
    const why = 'No task is ready, so the loop waits in the kernel';
    if (limit === NONE) return `${why} until something comes. No timer limits the wait.`;
    return timer === NONE ? `${why} for at most ${span(limit)}.` : `${why} for at most ${span(limit)}, until ${this.resource(timer)} is due.`;
  },
  unpark(event) {
    const park = this.causes.cause[event];
    return `The loop is back from the kernel${this.after(park, event)}.`;
  },
  ready(event, source, bits) {
    return `The kernel reports that ${this.resource(source)} is ${readiness(bits)}.`;
  },
  fired(event, timer) {
    const set = this.causes.cause[event];
    if (set === NONE) return `${capital(this.resource(timer))} is due.`;
    const deadline = this.trace.b[set];
    const late = this.trace.time[event] - deadline;
    const lateness = late > 0 ? ` It fires ${span(late)} after its deadline.` : '';
    return `${capital(this.resource(timer))} is due: it was set for ${span(deadline)}.${lateness}`;
  },
  wait(event, task, resource, holder) {
    return `${capital(this.task(task))} begins to wait for ${goalName(this.trace, resource)}.${this.heldBy(holder, resource)}`;
  },
  waited(event, task, resource) {
    const wait = this.causes.effect[event];
    const after = this.after(wait, event).trimStart();
    return capital(`${after}${after === '' ? '' : ', '}${this.task(task)} no longer waits for ${goalName(this.trace, resource)}.`);
  },
  set(event, timer, deadline, task) {
    const by = task === NONE ? 'Code outside of the loop' : capital(this.task(task));
    const away = deadline - this.trace.time[event];
    return `${by} sets ${this.resource(timer)} for ${span(deadline)}${away > 0 ? `, which is ${span(away)} away` : ''}.`;
  },
  unset(event, timer) {
    return `${capital(this.resource(timer))} is dropped before it was due.`;
  },
  open(event, source, descriptor) {
    return `${capital(this.resource(source))} is opened${descriptor === NONE ? '' : `, with descriptor ${descriptor}`}.`;
  },
  close(event, source) {
    return `${capital(this.resource(source))} is closed.`;
  },
  cancel(event, task, by) {
    return `${capital(this.task(by))} cancels ${this.task(task)}.`;
  },
  spent(event, task) {
    return `${capital(this.task(task))} has used up its budget of operations, so it must give way to the others.`;
  },
  mark(event, text, task) {
    const words = this.trace.texts[text] ?? '';
    return `${task === NONE ? 'The program' : capital(this.task(task))} leaves a mark: “${words}”.`;
  },
  gap(event, number) {
    const missing = `${counted(number, 'event')} ${number === 1 ? 'is' : 'are'} missing`;
    if (event === 0 && this.trace.begin) return `Before this, ${missing}. The trace knows what stood where then, so the page is right from here on.`;
    return `Here ${missing}, because the recorder had no room for them. What follows may look wrong.`;
  },
  shutdown(event, step) {
    const steps = [
      'The runtime is dropped, so the shutdown begins. All tasks are cancelled.',
      'The shutdown lets cleanups run, and what destructors have spawned.',
      'The shutdown drops what is still there. What is spawned from now on is dropped at once.',
      'The shutdown ends the timers, the sources and the threads.',
    ];
    return steps[step - 1] ?? `The shutdown goes on with step ${step}.`;
  },
};
