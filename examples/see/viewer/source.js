// The source: the lines of `turn` with the current step marked, and the place in the user's program that belongs to the
// event.

const LINES_AROUND = 4;

class Sources {
  constructor(view) {
    Object.assign(this, { view, trace: view.trace });
    this.box = document.querySelector('#source .sources');
    this.turn = this.trace.turn?.lines ? this.listing('How the loop does it', this.trace.turn.path, this.trace.turn.first, this.trace.turn.lines) : null;
    this.places = make('div', { class: 'places' });
    this.box.replaceChildren(...[this.turn, this.places].filter(Boolean));
  }

  draw() {
    this.markStep();
    const places = this.placesOf(this.view.event);
    this.places.replaceChildren(...places.map(([title, at]) => this.snippet(title, at)));
    if (places.length === 0) this.places.append(make('p', { class: 'empty' }, 'No place in the program belongs to this event.'));
  }

  // Indentation that all lines share is cut off.
  listing(title, path, first, lines, marked = NONE) {
    const indents = lines.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length);
    const indent = Math.min(...indents, 80);
    const rows = lines.map((line, index) => {
      const text = line.slice(indent);
      const isComment = text.trimStart().startsWith('//');
      const code = make('code', { class: isComment ? 'comment' : null }, text === '' ? ' ' : text);
      const number = first + index;
      return make('li', { value: number, 'data-line': number, class: number === marked ? 'marked' : null, 'aria-current': number === marked ? 'true' : null }, code);
    });
    const name = make('p', { class: 'hint' }, title, ' ', make('code', {}, path));
    return make('div', { class: 'listing' }, name, make('ol', { tabindex: '0', 'aria-label': `Lines of ${path}` }, ...rows));
  }

  markStep() {
    if (!this.turn) return;
    const step = this.view.causes.step[this.view.event];
    const marked = step === 0 ? NONE : this.trace.turn.steps[step - 1];
    for (const row of this.turn.querySelectorAll('li')) {
      const isMarked = Number(row.dataset.line) === marked;
      row.classList.toggle('marked', isMarked);
      if (isMarked) row.setAttribute('aria-current', 'true');
      else row.removeAttribute('aria-current');
    }
  }

  // The places that belong to an event: of the thing that it is about, and of its task. At most two.
  placesOf(event) {
    const { trace, view } = this;
    const places = [];
    const add = (title, text) => {
      const at = text === null || text === undefined ? null : place(trace, text);
      if (at && !places.some(([, other]) => other.whole === at.whole)) places.push([title, at]);
    };
    const resource = this.resourceOf(event);
    if (resource !== NONE) add(`${capital(resourceName(trace, resource).replaceAll('`', ''))} was made here:`, trace.resources[resource]?.at);
    const task = view.chosen === NONE ? view.timeline.taskOfEvent(event) : view.chosen;
    if (task !== NONE) {
      add(`Task ${taskName(trace, task).replaceAll('`', '').replace(/^task /, '')} was spawned here:`, trace.tasks[task]?.at);
      const waits = this.waitsOf(task, event);
      if (waits !== NONE) add(`It waits for ${resourceName(trace, waits).replaceAll('`', '')}, which was made here:`, trace.resources[waits]?.at);
    }
    return places.slice(0, 2);
  }

  resourceOf(event) {
    const { trace } = this;
    switch (trace.kind[event]) {
      case KIND.ready: case KIND.fired: case KIND.set: case KIND.unset: case KIND.open: case KIND.close: return trace.a[event];
      case KIND.park: return trace.a[event];
      case KIND.wait: case KIND.waited: return trace.b[event];
      case KIND.wake: return trace.c[event];
      case KIND.polled: return this.view.causes.waits[event];
      default: return NONE;
    }
  }

  waitsOf(task, event) {
    const { causes } = this.view;
    const index = lastChange(causes, task, event);
    return index === NONE ? NONE : causes.waits[causes.taskEvents[index]];
  }

  snippet(title, { whole, path, line }) {
    const lines = this.file(path);
    if (!lines) return make('div', { class: 'listing' }, make('p', { class: 'hint' }, title, ' ', make('code', {}, whole)));
    const first = Math.max(1, line - LINES_AROUND);
    return this.listing(title, path, first, lines.slice(first - 1, line + LINES_AROUND), line);
  }

  // A place may name a file from another folder than the one in which the trace was read.
  file(path) {
    const files = this.trace.files ?? {};
    if (files[path]) return files[path];
    const key = Object.keys(files).find((name) => name.endsWith(`/${path}`) || path.endsWith(`/${name}`));
    return key && files[key];
  }
}
