// Predict: the page stops before something is decided, and asks what comes next.
//
// Facts. The state after an event decides what comes next, other than what the kernel and other threads bring. The right
// answer is what happened next in the trace.
//
// What follows. A question is made from the state after the current event, and from the next event. There are three:
// which task is polled next; whether the loop waits in the kernel when a batch is over; which waiter gets a lock. While a
// question is open, the page shows nothing of the future. A wrong answer is explained by the queue.

const MOST_ANSWERS = 5;

class Predict {
  constructor(view) {
    Object.assign(this, { view, trace: view.trace, causes: view.causes });
    this.form = document.getElementById('question');
    this.isOn = false;
    // "poll": before each poll. "turn": before the loop asks the kernel.
    this.stops = 'poll';
    this.right = 0;
    this.asked = 0;
    // The open question, and whether it was answered.
    this.question = null;
    this.form.addEventListener('submit', (event) => event.preventDefault());
  }

  toggle() {
    this.isOn = !this.isOn;
    this.question = null;
    this.form.hidden = !this.isOn;
    this.view.words.hidesFuture = this.isOn;
    if (this.isOn) {
      Object.assign(this, { right: 0, asked: 0 });
      this.stopBefore(this.view.event);
    }
    this.view.render();
  }

  // The first event from the current one to `target` after which there is a question; `target` if there is none.
  stopBefore(target) {
    if (!this.isOn) return target;
    if (this.question && !this.question.given) return this.view.event;
    const from = this.view.event + (this.question ? 1 : 0);
    this.question = null;
    for (let event = from; event <= target; event++) {
      if (this.mayAsk(event) && this.ask(event)) return event;
    }
    return target;
  }

  // Whether something is decided between this event and the next one.
  mayAsk(event) {
    const { trace, causes } = this;
    const next = event + 1;
    if (next >= trace.count) return false;
    if (this.isBatchOver(event)) return true;
    if (this.stops === 'turn') return false;
    return trace.kind[next] === KIND.poll || (trace.kind[next] === KIND.wake && causes.poll[next] !== NONE);
  }

  // Step 1 ends where the next event belongs to another step, or to another turn.
  isBatchOver(event) {
    const { step, turn } = this.causes;
    if (step[event] !== 1 || this.causes.poll[event + 1] !== NONE && this.trace.kind[event + 1] !== KIND.poll) return false;
    return step[event + 1] >= 3 || (step[event + 1] === 1 && turn[event + 1] !== turn[event]);
  }

  // ---- The questions: { prompt, answers: [{ text, isRight }], why }.

  ask(event) {
    const state = this.view.history.at(event);
    const next = event + 1;
    const question = this.isBatchOver(event) ? this.askPark(state, next)
      : this.trace.kind[next] === KIND.poll ? this.askPoll(state, next) : this.askLock(state, next);
    this.question = question && { ...question, event, given: null };
    return question !== null;
  }

  askPoll(state, next) {
    const { trace } = this;
    const truth = trace.a[next];
    const likely = [truth, ...firstOf(state.lane('tasks'), 3), ...firstOf(state.lane('outside'), 3)];
    const tasks = [...new Set(likely)].slice(0, MOST_ANSWERS).sort((x, y) => x - y);
    const answers = tasks.map((task) => ({ text: plainName(trace, task), isRight: task === truth }));
    answers.push({ text: 'none: the loop asks the kernel first', isRight: false });
    return { prompt: 'Which task is polled next?', answers, why: this.whyPoll(state, truth) };
  }

  whyPoll(state, truth) {
    const names = (lane) => shortList([...state.lane(lane)].map((task) => plainName(this.trace, task))) || 'no task';
    const lanes = `In the tasks lane: ${names('tasks')}. In the outside lane: ${names('outside')}.`;
    if (this.trace.shuffle) return `${lanes} The order of this loop is shuffled, so chance chose ${plainName(this.trace, truth)}.`;
    if (state.next() !== truth) return `${lanes} The loop took ${plainName(this.trace, truth)}.`;
    if (state.tasks.size === 0 || state.outside.size === 0) {
      return `${lanes} One lane is empty, so the first task of the other one runs: ${plainName(this.trace, truth)}.`;
    }
    const lane = state.outside.has(truth) ? 'outside' : 'tasks';
    return `${lanes} While neither lane is empty, the loop takes one from each, alternately. Now it takes from the ${lane} lane, so ${plainName(this.trace, truth)} runs.`;
  }

  askPark(state, next) {
    const { trace } = this;
    const isPark = trace.kind[next] === KIND.park && trace.b[next] !== 0;
    const [first] = timersInOrder(state, 1);
    const limit = isPark ? trace.b[next] : NONE;
    const shown = limit !== NONE ? limit : Math.max(0, (first?.deadline ?? 0) - trace.time[next - 1]);
    const answers = [
      { text: 'no: it only looks, and goes on at once', isRight: !isPark },
      { text: 'yes, until something comes, however long that takes', isRight: isPark && limit === NONE },
    ];
    if (first || limit !== NONE) {
      const name = first ? resourceName(trace, first.timer) : 'a timer';
      answers.splice(1, 0, { text: `yes, for at most ${span(shown)}, until ${name} is due`, isRight: isPark && limit !== NONE });
    }
    return { prompt: 'The batch is over. Does the loop wait in the kernel?', answers, why: this.whyPark(state, isPark, limit, next) };
  }

  whyPark(state, isPark, limit, next) {
    const queued = state.ready;
    if (isPark && limit === NONE) return 'No task is ready and no timer is set, so nothing limits the wait.';
    if (isPark) return 'No task is ready, so the loop may sleep, but not beyond the earliest deadline.';
    if (queued > 0) return `${counted(queued, 'task')} ${queued === 1 ? 'is' : 'are'} still in the ready queue, so the loop must not wait.`;
    if (this.trace.kind[next] === KIND.park) return 'The loop has to call a function of the program, so it must not wait.';
    if (this.trace.clock === 'virtual') return 'The clock is virtual: no time passes in the kernel. The clock jumps to the next deadline.';
    return 'A deadline has passed already, or another thread had sent mail, so the loop must not wait.';
  }

  // A running task wakes one of several that wait for a lock.
  askLock(state, next) {
    const { trace } = this;
    const woken = trace.a[next];
    for (const [resource, waits] of state.waits) {
      const tasks = waits.map((wait) => trace.a[wait]);
      if (trace.resources[resource]?.kind !== 'line' || tasks.length < 2 || !tasks.includes(woken)) continue;
      const answers = [...new Set([woken, ...tasks])].slice(0, MOST_ANSWERS).sort((x, y) => x - y)
        .map((task) => ({ text: plainName(trace, task), isRight: task === woken }));
      const isFirst = tasks[0] === woken;
      const why = isFirst ? `The line is served in order, and ${plainName(trace, woken)} was the first in it.` : `In line: ${shortList(tasks.map((task) => plainName(trace, task)))}.`;
      return { prompt: `${capital(plainName(trace, trace.b[next]))} lets the line at ${goalName(trace, resource)} move on. Which task is woken?`, answers, why };
    }
    return null;
  }

  // ---- Answers.

  answer(number) {
    const { question } = this;
    const given = question?.answers[number];
    if (!given || question.given) return;
    question.given = given;
    this.asked += 1;
    if (given.isRight) this.right += 1;
    this.view.render();
    this.form.querySelector('.go-on')?.focus();
  }

  // A question belongs to the event after which it was asked.
  leave(event) {
    if (this.question && this.question.event !== event) this.question = null;
  }

  draw() {
    const { question, form } = this;
    form.hidden = !this.isOn;
    if (!this.isOn) return;
    const score = make('p', { class: 'score' }, this.asked === 0 ? 'Predict: no answer yet' : `Predict: ${this.right} of ${this.asked} right`);
    const content = !question ? this.drawIdle() : question.given ? this.drawVerdict() : this.drawQuestion();
    form.replaceChildren(score, ...content, this.drawStops());
  }

  drawIdle() {
    const go = make('button', { type: 'button', class: 'main go-on', 'data-do': 'nextQuestion' }, 'To the next question');
    return [make('p', {}, 'The page stops before a decision of the loop and asks you what comes next.'), go];
  }

  drawQuestion() {
    const buttons = this.question.answers.map(({ text }, index) => {
      const button = make('button', { type: 'button', class: 'answer', 'aria-keyshortcuts': String(index + 1) }, make('kbd', {}, String(index + 1)), ' ', ...rich(text));
      button.addEventListener('click', () => this.answer(index));
      return button;
    });
    return [make('p', { class: 'prompt', role: 'status' }, ...rich(this.question.prompt)), make('div', { class: 'answers' }, ...buttons)];
  }

  drawVerdict() {
    const { given, why, answers } = this.question;
    const truth = answers.find(({ isRight }) => isRight);
    const verdict = given.isRight ? 'Right.' : `Not so. It was: ${truth?.text ?? 'something else'}.`;
    const go = make('button', { type: 'button', class: 'main go-on', 'data-do': 'nextQuestion' }, 'Go on');
    return [make('p', { class: given.isRight ? 'verdict right' : 'verdict wrong', role: 'status' }, make('b', {}, ...rich(verdict)), ' ', ...rich(why)), go];
  }

  drawStops() {
    const select = make('select', { 'aria-label': 'When to ask' },
      make('option', { value: 'poll' }, 'ask before each poll'), make('option', { value: 'turn' }, 'ask before each look at the kernel'));
    select.value = this.stops;
    select.addEventListener('change', () => {
      this.stops = select.value;
      this.question = null;
      this.view.render();
    });
    return select;
  }
}
