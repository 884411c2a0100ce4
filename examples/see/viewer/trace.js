// The trace: what the recorder wrote, as columns that are fast to read.
//
// Facts. A trace may hold a million events. An object for each of them would take hundreds of megabytes and seconds.
//
// What follows. Each field of an event is one typed array, and an event is its index in them. Tasks and resources are
// few, so they stay objects. Nothing is changed after it was read.

const NONE = -1;

// The kinds of events, in the order of their numbers in the file.
const KINDS = [
  'turn', 'spawn', 'wake', 'poll', 'polled', 'done', 'unheard', 'park', 'unpark', 'ready', 'fired',
  'wait', 'waited', 'set', 'unset', 'open', 'close', 'cancel', 'spent', 'mark', 'gap', 'shutdown',
];
const KIND = Object.fromEntries(KINDS.map((name, number) => [name, number]));

// How a task ended: column b of `done`.
const ENDS = ['returned', 'was cancelled', 'panicked'];

// The version of the format that this page understands.
const VERSION = 2;

function readTrace(text) {
  const json = JSON.parse(text);
  if (json.version !== VERSION) {
    throw new Error(`this page reads traces of version ${VERSION}, and this one has version ${json.version}`);
  }
  const columns = json.events;
  const count = columns.kind.length;
  const time = new Float64Array(count);
  let now = 0;
  for (let event = 0; event < count; event++) {
    now += columns.at[event];
    time[event] = now;
  }
  const trace = {
    ...json,
    count,
    time,
    kind: Uint8Array.from(columns.kind),
    a: Int32Array.from(columns.a),
    // A deadline is a number up to 2^53, and deadlines are in column b.
    b: Float64Array.from(columns.b),
    c: Int32Array.from(columns.c),
    events: null,
    end: now,
    // From the first event to the last. The runtime was built before the first one.
    length: count === 0 ? 0 : now - time[0],
  };
  nameSpawners(trace);
  nameRoots(trace);
  return trace;
}

// The future that a program runs the loop for is spawned nowhere and has no name. Readers know it as `main`.
function nameRoots({ tasks }) {
  for (const task of tasks) {
    if ([task.name, task.by, task.at].every((value) => value === null || value === undefined)) task.name = 'main';
  }
}

// A spawn may leave out what the table of tasks says.
function nameSpawners({ count, kind, a, b, tasks }) {
  for (let event = 0; event < count; event++) {
    if (kind[event] === KIND.spawn && b[event] === NONE) b[event] = tasks[a[event]]?.by ?? NONE;
  }
}

// ---- Waits. One that had begun before the first event has no event: its number is below -1, and it stands in `begin`.

function begunWait(index) {
  return -2 - index;
}

function waitTask(trace, wait) {
  return wait >= 0 ? trace.a[wait] : trace.begin.waits[-2 - wait][0];
}

function waitResource(trace, wait) {
  return wait >= 0 ? trace.b[wait] : trace.begin.waits[-2 - wait][1];
}

function waitHolder(trace, wait) {
  return wait >= 0 ? trace.c[wait] : trace.begin.waits[-2 - wait][2];
}

// ---- Names. They hold `backticks` around what a program named, so that the page can show it as code.

function quoted(name) {
  return '`' + String(name).replaceAll('`', "'") + '`';
}

// The short name of a task, for chips and rows: its own name, or its number.
function shortName(trace, task) {
  const { name, id } = trace.tasks[task] ?? { id: '?' };
  return name ?? `#${id}`;
}

// The name of a task in a sentence, with its number.
function taskName(trace, task) {
  if (task === NONE) return 'code outside of the loop';
  const { name, id } = trace.tasks[task] ?? { id: '?' };
  return name === null || name === undefined ? `task #${id}` : `${quoted(name)} (#${id})`;
}

// The name of a task that the sentence has mentioned, or that needs no number.
function plainName(trace, task) {
  const { name, id } = trace.tasks[task] ?? { id: '?' };
  return name === null || name === undefined ? `task #${id}` : quoted(name);
}

// Sources are numbered like tasks: a slot in the lower half, and in the upper half how many had it before.
function shortNumber(number) {
  return number < 2 ** 32 ? String(number) : `${number % 2 ** 32}.${Math.floor(number / 2 ** 32)}`;
}

// Lines in which a task waits for what another one holds. In other lines, such as that of a channel, nothing is held.
const LOCKS = new Set(['mutex', 'rwlock', 'semaphore', 'once', 'pool', 'process pool']);

function isLock(trace, resource) {
  return LOCKS.has(trace.resources[resource]?.what);
}

// The task that has to bring about what a wait is for, or -1.
function holderOf(trace, wait) {
  const resource = waitResource(trace, wait);
  return trace.resources[resource]?.kind === 'task' || isLock(trace, resource) ? waitHolder(trace, wait) : NONE;
}

function resourceName(trace, resource) {
  const { kind, number: whole, what, name, task } = trace.resources[resource] ?? { kind: 'thing', number: 0 };
  const number = shortNumber(whole);
  const own = name ? ` ${quoted(name)}` : '';
  if (kind === 'timer') return `timer ${number}${own}`;
  if (kind === 'task') return task === undefined ? `task ${number}` : plainName(trace, task);
  if (kind === 'source') return `${what || 'source'} ${number}${own}${socketOf(trace, resource)}`;
  if (name) return `${what} ${quoted(name)}`;
  // "channel to be sent to" is a name of several words, and a number at its end would belong to nothing.
  return String(what).includes(' ') ? `${what} (no. ${number})` : `${what} ${number}`;
}

// " (fd 9, 127.0.0.1:50312)": the descriptor of a source and its peer, or its own address if it has no peer.
function socketOf(trace, resource) {
  const { fd, peer, local } = trace.resources[resource];
  const known = [fd === null || fd === undefined ? null : `fd ${fd}`, peer ?? local].filter(Boolean);
  return known.length === 0 ? '' : ` (${known.join(', ')})`;
}

// "the end of `eggs`", "timer 3": what a task waits for.
function goalName(trace, resource) {
  const name = resourceName(trace, resource);
  const { kind, what } = trace.resources[resource] ?? {};
  if (kind === 'task') return `${name} to end`;
  return kind === 'timer' || kind === 'source' ? name : what ? `the ${name}` : name;
}

// ---- Times.

const UNITS = [[1e9, 's'], [1e6, 'ms'], [1e3, 'µs']];

// A span of time in the unit that gives one to three digits before the point: "850 ns", "4.2 µs", "200.0 ms".
function span(ns) {
  if (ns < 1000) return `${Math.round(ns)} ns`;
  // 999,960 ns would be rounded to "1000.0 µs", so that the next larger unit is taken from there.
  const [size, unit] = UNITS.find(([unitSize]) => ns >= unitSize * 0.99995) ?? UNITS[2];
  const value = ns / size;
  return `${value.toFixed(unit === 's' ? 3 : 1)} ${unit}`;
}

function counted(number, noun) {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

// "a", "a and b", "a, b and c".
function listed(items) {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

// The same, but a long list is cut: "a, b, c and 12 more".
function shortList(items, most = 4) {
  return items.length <= most + 1 ? listed(items) : listed([...items.slice(0, most), `${items.length - most} more`]);
}

// The place "src/main.rs:40:5" in its parts.
function place(trace, text) {
  const whole = trace.texts[text];
  const parts = whole === undefined ? null : /^(.*?):(\d+)(?::(\d+))?$/.exec(whole);
  return parts && { whole, path: parts[1], line: Number(parts[2]) };
}
