// The panels: the loop with its queue, timers, sources and locks; the events before and after; the table of tasks.
//
// All that they show is the state after the current event. A panel is built anew at each step, and shows a limited number
// of entries, so that a step takes the same time in a trace of a million events.

// So many entries of a list are shown. The rest is a number.
const MOST = 12;

// An element with attributes and children. Text is always text, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// A text in which `names` between backticks are shown as code.
function rich(text) {
  return text.split('`').map((part, index) => (index % 2 === 1 ? make('code', {}, part) : part));
}

function eventLink(event, ...children) {
  return make('a', { href: `#event=${event}` }, ...children);
}

class Panels {
  constructor(view) {
    Object.assign(this, { view, trace: view.trace, causes: view.causes });
    this.parts = document.getElementById('parts');
    this.steps = [...document.querySelectorAll('#steps > li')];
    this.turn = document.getElementById('loop-turn');
    this.around = document.querySelector('#around ol');
    this.table = document.getElementById('table');
    this.table.addEventListener('toggle', () => this.drawTable());
    // Tasks are buttons: one of them chooses the task.
    document.querySelector('main').addEventListener('click', (event) => {
      const chip = event.target.closest?.('[data-task]');
      if (chip) view.choose(Number(chip.dataset.task));
    });
  }

  draw() {
    const focus = document.activeElement?.closest?.('#parts [data-task]')?.dataset.task;
    this.drawSteps();
    this.parts.replaceChildren(
      this.queue(), this.timers(), this.sources(), this.lines(), this.joins(), this.inbox(),
    );
    // The chips are new elements, and the focus stays on the one for the same task.
    if (focus !== undefined) this.parts.querySelector(`[data-task="${focus}"]`)?.focus();
    this.drawAround();
    this.drawTable();
  }

  // ---- The five steps.

  drawSteps() {
    const { view, causes } = this;
    const step = causes.step[view.event];
    this.turn.textContent = step === 0 ? 'no turn' : `turn ${causes.turn[view.event]}`;
    this.steps.forEach((item, index) => {
      const isCurrent = index + 1 === step;
      item.classList.toggle('current', isCurrent);
      if (isCurrent) item.setAttribute('aria-current', 'step');
      else item.removeAttribute('aria-current');
      item.querySelector('span').replaceChildren(...(isCurrent ? this.stepNote(step) : []));
    });
  }

  stepNote(step) {
    const { state } = this.view;
    if (step === 1 && state.running !== NONE) return [this.chip(state.running), ' runs'];
    if (step === 3 && state.park !== NONE) {
      const limit = this.trace.b[state.park];
      if (limit === 0) return ['only looks'];
      return [limit === NONE ? 'waits until something comes' : `waits, at most ${span(limit)}`];
    }
    if (step === 3 || step === 5) return state.reports.length > 0 ? [`${counted(state.reports.length, 'report')}`] : [];
    return [];
  }

  // ---- The parts.

  part(title, help, count, ...content) {
    const heading = make('h3', {}, title, ' ', make('small', {}, count === null ? '' : String(count)));
    return make('section', { class: 'part' }, heading, make('p', { class: 'hint' }, help), ...content);
  }

  chip(task, note) {
    if (task === NONE) return make('span', { class: 'chip outside' }, 'not a task');
    const isChosen = task === this.view.chosen;
    const attributes = {
      type: 'button', class: isChosen ? 'chip chosen' : 'chip', 'data-task': task,
      'aria-pressed': isChosen, title: taskName(this.trace, task).replaceAll('`', ''),
    };
    return make('button', attributes, shortName(this.trace, task), note ? make('small', {}, ` ${note}`) : null);
  }

  // A list that is cut after the first entries.
  list(entries, count, draw, empty) {
    if (count === 0) return make('p', { class: 'empty' }, empty);
    const rest = count - entries.length;
    return make('ul', {}, ...entries.map((entry) => make('li', {}, ...draw(entry))), rest > 0 ? make('li', { class: 'rest' }, `and ${rest.toLocaleString('en')} more`) : null);
  }

  queue() {
    const { state } = this.view;
    const next = state.next();
    const lane = (name, help, which) => {
      const tasks = firstOf(state.lane(which), MOST);
      const chips = tasks.map((task) => this.chip(task, task === next && !this.trace.shuffle && !this.view.hidesFuture ? 'next' : ''));
      const rest = Math.max(0, state[which].size - state.over.size - tasks.length);
      return make('div', { class: 'lane' }, make('h4', {}, name, make('small', {}, ` ${help}`)),
        make('div', { class: 'chips' }, ...(chips.length > 0 ? chips : [make('span', { class: 'empty' }, 'empty')]), rest > 0 ? make('span', { class: 'rest' }, `and ${rest.toLocaleString('en')} more`) : null));
    };
    const count = state.ready;
    const help = this.trace.shuffle ? 'The order of this loop is shuffled: any of them may be next.' : 'The first of each lane is on the left. While neither lane is empty, the loop takes one from each, alternately.';
    const part = this.part('Ready queue', help, count,
      lane('Tasks lane', 'spawned or woken in step 1, or outside of a turn', 'tasks'), lane('Outside lane', 'spawned or woken in steps 3 to 5', 'outside'));
    part.classList.add('wide-part');
    return part;
  }

  timers() {
    const { state } = this.view;
    const now = this.trace.time[this.view.event];
    const draw = ({ timer, deadline, task }) => [
      make('span', { class: 'time' }, span(deadline)), ` ${resourceName(this.trace, timer).replaceAll('`', '')} `,
      task === NONE ? null : this.chip(task),
      make('small', {}, deadline > now ? ` in ${span(deadline - now)}` : ' is due'),
    ];
    return this.part('Timers', 'The earliest deadline comes first.', state.timers.size,
      this.list(timersInOrder(state, MOST), state.timers.size, draw, 'No timer is set.'));
  }

  // A task that was woken, and was not polled since, does not wait any more. The trace says so when it is polled.
  waiters(resource) {
    const waits = this.view.state.waits.get(resource) ?? [];
    const tasks = waits.slice(0, MOST).map((wait) => waitTask(this.trace, wait));
    const chips = tasks.map((task) => this.chip(task, this.does(task) === 'queued' ? 'queued' : ''));
    const rest = waits.length - chips.length;
    return [...chips, rest > 0 ? `and ${rest.toLocaleString('en')} more` : null];
  }

  // What a task does now: "queued", "running", "waiting" or "done".
  does(task) {
    return task === NONE ? 'waiting' : statusAt(this.trace, this.causes, task, this.view.event);
  }

  sources() {
    const { state } = this.view;
    const draw = ([source, { descriptor, bits }]) => [
      ...rich(resourceName(this.trace, source)), make('small', {}, descriptor === NONE || this.trace.resources[source].fd !== undefined ? '' : ` fd ${descriptor}`), ' ',
      bits === 0 ? null : make('b', { class: 'ready' }, readiness(bits)),
      state.waits.has(source) ? ' waiting: ' : null, ...this.waiters(source),
    ];
    // What the kernel reported in this turn comes first.
    const reported = state.reports.filter((source) => state.sources.has(source)).slice(0, MOST);
    const others = firstOf(state.sources.keys(), MOST + reported.length).filter((source) => !reported.includes(source));
    const shown = [...reported, ...others].slice(0, MOST).map((source) => [source, state.sources.get(source)]);
    return this.part('Sources', 'Sockets, pipes and the like, with the tasks that wait for them.', state.sources.size,
      this.list(shown, state.sources.size, draw, 'No source is open.'));
  }

  // The resources of a kind that some task waits for.
  waitedFor(kind) {
    return [...this.view.state.waits.keys()].filter((resource) => this.trace.resources[resource]?.kind === kind);
  }

  lines() {
    const { state } = this.view;
    const all = this.waitedFor('line');
    const draw = (line) => {
      const holder = state.holders.get(line);
      const held = holder === undefined ? [] : ['held by ', this.chip(holder), ', '];
      return [...rich(resourceName(this.trace, line)), ': ', ...held, 'waiting: ', ...this.waiters(line)];
    };
    return this.part('Locks and channels', 'Each one that a task waits for. The line is in the order of arrival.', all.length,
      this.list(all.slice(0, MOST), all.length, draw, 'No task waits for one.'));
  }

  joins() {
    const all = this.waitedFor('task');
    const draw = (resource) => {
      const { task } = this.trace.resources[resource];
      if (task === undefined) return [...this.waiters(resource), ` waits for task ${this.trace.resources[resource].number}`];
      const isOver = this.does(task) === 'done';
      return [...this.waiters(resource), isOver ? ' has waited for ' : ' waits for ', this.chip(task, isOver ? 'is over' : '')];
    };
    return this.part('Tasks that wait for tasks', 'They go on when the other one has ended.', all.length,
      this.list(all.slice(0, MOST), all.length, draw, 'No task waits for another task.'));
  }

  inbox() {
    const { mail } = this.view.state;
    return this.part('Inbox', 'Tasks that other threads, or code outside of the loop, have woken in this turn.', mail.length,
      this.list(mail.slice(0, MOST), mail.length, (task) => [this.chip(task)], 'No mail came in this turn.'));
  }

  // ---- Before and after.

  drawAround() {
    const { view, trace } = this;
    const from = Math.max(0, Math.min(view.event - 4, trace.count - 9));
    const to = Math.min(trace.count - 1, Math.max(view.event + 4, 8));
    const items = [];
    for (let event = from; event <= (view.hidesFuture ? view.event : to); event++) {
      const isCurrent = event === view.event;
      const line = make('span', {}, ...rich(view.words.short(event)));
      items.push(make('li', { value: event, class: isCurrent ? 'current' : null, 'aria-current': isCurrent ? 'true' : null },
        eventLink(event, make('span', { class: 'time' }, `${event}`), line)));
    }
    this.around.replaceChildren(...items);
  }

  // ---- The table, which says what the timeline shows.

  drawTable() {
    if (!this.table.open) return;
    const { view } = this;
    const rows = view.timeline.rows.slice(0, 100);
    const cells = (texts, tag) => texts.map((text) => make(tag, tag === 'th' ? { scope: 'col' } : {}, ...rich(text)));
    const head = make('thead', {}, make('tr', {}, ...cells(['task', 'does now', 'since', 'polls', 'spawned by', 'at'], 'th')));
    const body = make('tbody', {}, ...rows.map((task) => make('tr', {}, ...cells(this.rowOf(task), 'td'))));
    const rest = view.timeline.rows.length - rows.length;
    this.table.querySelector('.scroll').replaceChildren(make('table', {}, head, body), rest > 0 ? make('p', {}, `and ${rest.toLocaleString('en')} more`) : '');
  }

  rowOf(task) {
    const { trace, causes, view } = this;
    const { by, at } = trace.tasks[task];
    const index = lastChange(causes, task, view.event);
    const status = statusAt(trace, causes, task, view.event);
    let polls = 0;
    for (let each = causes.taskFirst[task]; each <= index; each++) if (trace.kind[causes.taskEvents[each]] === KIND.poll) polls += 1;
    const waits = index === NONE ? NONE : causes.waits[causes.taskEvents[index]];
    const does = {
      unborn: 'not spawned yet', queued: 'is in the ready queue', running: 'runs', done: 'is over',
      waiting: index !== NONE && isReturned(trace, causes.taskEvents[index]) ? 'has returned' : waits === NONE ? 'waits' : `waits for ${goalName(trace, waits)}`,
    }[status];
    const since = index === NONE ? '' : span(trace.time[causes.taskEvents[index]]);
    return [taskName(trace, task), does, since, String(polls), by === null ? '' : plainName(trace, by), trace.texts[at] ?? ''];
  }
}

// The first members of a set or another iterable.
function firstOf(iterable, most) {
  const found = [];
  for (const member of iterable) {
    if (found.length === most) break;
    found.push(member);
  }
  return found;
}
