// The view: it knows the current event, and everything on the page follows it.

class View {
  constructor(trace) {
    const begin = performance.now();
    this.trace = trace;
    this.causes = findCauses(trace);
    this.history = new History(trace, this.causes);
    this.words = new Words(trace, this.causes);
    this.event = 0;
    this.state = this.history.at(0);
    // The task that the reader has chosen by a click, or -1.
    this.chosen = NONE;
    // The events from which the reader has jumped away.
    this.jumps = [];
    this.timeline = new Timeline(this);
    this.predict = new Predict(this);
    this.panels = new Panels(this);
    this.sources = new Sources(this);
    this.controls = new Controls(this);
    this.opened = performance.now() - begin;
  }

  // While the reader predicts, the page shows nothing that comes later.
  get hidesFuture() {
    return this.predict?.isOn ?? false;
  }

  // ---- Moving.

  go(event) {
    this.say('');
    this.event = Math.min(Math.max(0, event), this.trace.count - 1);
    this.predict.leave(this.event);
    this.state = this.history.at(this.event);
    this.render();
    this.keepInAddress();
  }

  // Forwards, but not beyond the next question. Backwards there is no question.
  forward(event) {
    this.go(event > this.event ? this.predict.stopBefore(event) : event);
  }

  jump(event) {
    if (event === this.event) return;
    this.jumps.push(this.event);
    this.go(event);
  }

  back() {
    if (this.jumps.length > 0) this.go(this.jumps.pop());
  }

  step(unit, direction) {
    const target = this.find(unit, direction);
    if (direction > 0) this.forward(target);
    else this.go(target);
  }

  // The next or previous event, poll or turn. The ends of the trace are the last ones.
  find(unit, direction) {
    const { kind, count } = this.trace;
    let event = this.event + direction;
    if (unit !== 'event') while (event >= 0 && event < count && kind[event] !== KIND[unit]) event += direction;
    return Math.min(Math.max(0, event), count - 1);
  }

  toCause() {
    const cause = this.causes.cause[this.event];
    if (cause !== NONE) this.jump(cause);
  }

  // A click on the timeline: to the event of this task that is nearest before, or to the event there.
  goNear(event, task, isLabel) {
    if (isLabel && task !== undefined) return this.choose(task);
    const index = task === undefined ? NONE : lastChange(this.causes, task, event);
    const target = index === NONE ? event : this.causes.taskEvents[index];
    this.jump(this.hidesFuture ? Math.min(target, this.event) : target);
  }

  choose(task) {
    this.chosen = this.chosen === task ? NONE : task;
    this.timeline.reveal(this.chosen);
    this.render();
  }

  // ---- The address. Browsers refuse to change it many times a second, so it follows a little later.

  keepInAddress() {
    clearTimeout(this.pending);
    this.pending = setTimeout(() => this.writeAddress(), 300);
  }

  writeAddress() {
    try {
      history.replaceState(null, '', `#event=${this.event}`);
    } catch {
      // A page without an address of its own has no link either.
    }
  }

  goToHash() {
    const event = this.eventOfHash();
    if (event === null) return;
    this.jump(Math.min(event, this.trace.count - 1));
    this.sayIfBeyond(event);
  }

  eventOfHash() {
    const match = /^#event=(\d+)$/.exec(location.hash);
    return match && Number(match[1]);
  }

  // An address may name an event that the trace does not have. Nothing else on the page would say so.
  sayIfBeyond(event) {
    const { count } = this.trace;
    if (event < count) return;
    const which = count === 1 ? '1 event, so this is the only one' : `${count.toLocaleString('en')} events, numbered from 0, so this is the last one`;
    this.say(`There is no event ${event.toLocaleString('en')}. This trace has ${which}.`);
  }

  say(text) {
    const note = document.getElementById('note');
    note.textContent = text;
    note.hidden = text === '';
  }

  // ---- Showing.

  // The timeline asks how large it is, which is cheap only before the rest of the page changes.
  render() {
    this.timeline.follow();
    this.timeline.draw();
    const where = make('span', { class: 'where' }, this.words.where(this.event));
    document.getElementById('sentence').replaceChildren(where, ' ', ...rich(this.words.what(this.event)));
    this.predict.draw();
    this.panels.draw();
    this.sources.draw();
    this.controls.draw();
  }

  renderFacts() {
    const { trace } = this;
    document.getElementById('program').textContent = trace.program || 'a program';
    document.title = `${trace.program || 'A program'}: a trace of its loop`;
    const facts = [
      counted(trace.count, 'event'), counted(trace.tasks.length, 'task'), counted(this.causes.turns.length, 'turn'), span(trace.length),
      trace.clock === 'virtual' ? 'virtual time' : null, trace.shuffle ? 'shuffled order' : null, trace.date ? trace.date.slice(0, 10) : null,
      trace.dropped > 0 ? `${counted(trace.dropped, 'event')} dropped` : null, trace.cut ? 'the file was cut off' : null,
    ];
    document.getElementById('facts').textContent = facts.filter(Boolean).join(' · ');
  }

  renderDiagnosis() {
    const diagnosis = new Diagnosis(this.trace, this.causes);
    document.getElementById('summary').textContent = diagnosis.summary();
    const cards = diagnosis.groups(this.words).map(({ title, help, items }) => make('section', { class: 'part' },
      make('h3', {}, title), make('p', { class: 'hint' }, help),
      make('ul', {}, ...items.map(({ text, event }) => make('li', {}, eventLink(event, ...rich(capital(text))))))));
    document.querySelector('#diagnosis .findings').replaceChildren(...cards);
  }
}

// What a test may ask: plain values only.
function publish(view) {
  const { trace, causes } = view;
  const reader = view.history.reader();
  window.roundel = {
    events: trace.count,
    event: (event) => ({ kind: KINDS[trace.kind[event]], time: trace.time[event], a: trace.a[event], b: trace.b[event], c: trace.c[event] }),
    state: (event) => plainState(trace, causes, reader.at(event)),
    sentence: (event) => view.words.sentence(event),
    cause: (event) => causes.cause[event],
    current: () => view.event,
    go: (event) => view.go(event),
    score: () => ({ right: view.predict.right, asked: view.predict.asked }),
    opened: () => view.opened,
    timeline: () => plainTimeline(view.timeline),
    doer: (event) => view.timeline.doerOf(event),
    diagnose: () => view.renderDiagnosis(),
  };
}

function plainTimeline(timeline) {
  const pen = timeline.canvas.getContext('2d');
  const { window, runs, rows, trace, labels } = timeline;
  return {
    window: [...window], runs, labels,
    xs: Array.from({ length: trace.count }, (_, event) => timeline.x(event)),
    names: rows.map((task) => timeline.shownName(pen, task)),
  };
}

function start() {
  const text = document.getElementById('trace').textContent;
  let trace;
  try {
    trace = readTrace(text);
    if (trace.count === 0) throw new Error('it has no events');
  } catch (error) {
    document.getElementById('sentence').textContent = `This trace cannot be shown: ${error.message}.`;
    return;
  }
  const view = new View(trace);
  publish(view);
  view.renderFacts();
  const event = view.eventOfHash() ?? 0;
  view.go(event);
  view.sayIfBeyond(event);
  // The diagnosis of a long trace takes a while. The page can be used before it is there.
  setTimeout(() => view.renderDiagnosis(), 0);
}

start();
