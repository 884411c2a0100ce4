// The controls: buttons, keys, the link to an event, play, theme.
//
// Every command has a name. A button has it in `data-do`, a key in the table below. So each of them can be given by mouse,
// by finger and by keyboard.

const KEYS = {
  ArrowRight: 'event', ArrowLeft: 'eventBack', p: 'poll', P: 'pollBack', t: 'turn', T: 'turnBack',
  Home: 'first', End: 'last', c: 'cause', b: 'back', ' ': 'play', g: 'predict', '+': 'zoomIn', '=': 'zoomIn',
  '-': 'zoomOut', 0: 'fit', h: 'left', l: 'right', o: 'scale', '/': 'find', d: 'theme', '?': 'help',
};

class Controls {
  constructor(view) {
    Object.assign(this, { view, timer: null });
    this.commands = this.makeCommands();
    document.addEventListener('click', (event) => {
      const button = event.target.closest?.('[data-do]');
      if (button) this.commands[button.dataset.do]();
      const link = event.target.closest?.('a[href^="#event="]');
      if (link && !event.ctrlKey && !event.metaKey) this.follow(event, link);
    });
    document.addEventListener('keydown', (event) => this.press(event));
    element('active').checked = view.timeline.onlyActive;
    this.listen();
    this.showTheme();
  }

  makeCommands() {
    const { view } = this;
    const { timeline, predict } = view;
    return {
      event: () => view.step('event', 1), eventBack: () => view.step('event', -1),
      poll: () => view.step('poll', 1), pollBack: () => view.step('poll', -1),
      turn: () => view.step('turn', 1), turnBack: () => view.step('turn', -1),
      first: () => view.go(0), last: () => view.forward(view.trace.count - 1),
      cause: () => view.toCause(), back: () => view.back(),
      play: () => this.play(), predict: () => this.togglePredict(),
      nextQuestion: () => view.forward(view.trace.count - 1),
      zoomIn: () => timeline.zoom(0.5), zoomOut: () => timeline.zoom(2),
      fit: () => timeline.setWindow(0, timeline.length * 1.01),
      left: () => timeline.pan(-0.25), right: () => timeline.pan(0.25),
      scale: () => this.setScale(timeline.scale === 'order' ? 'time' : 'order'),
      find: () => element('filter').focus(),
      theme: () => this.switchTheme(), help: () => this.toggleHelp(),
    };
  }

  listen() {
    const { view } = this;
    const filter = () => {
      view.timeline.setFilter(element('filter').value, element('active').checked);
      view.panels.drawTable();
    };
    element('filter').addEventListener('input', filter);
    element('active').addEventListener('change', filter);
    element('scale').addEventListener('change', () => this.setScale(element('scale').value));
    element('slider').addEventListener('input', () => view.forward(Number(element('slider').value)));
    element('speed').addEventListener('change', () => this.timer !== null && this.play(true));
    element('theme').addEventListener('click', () => this.commands.theme());
    element('help-button').addEventListener('click', () => this.commands.help());
    window.addEventListener('hashchange', () => view.goToHash());
    window.addEventListener('resize', () => view.timeline.draw());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.showTheme());
    this.preparePrint();
  }

  // The address may lag, so that a link to the event in it would do nothing: the page follows its links itself.
  follow(event, link) {
    event.preventDefault();
    const { view } = this;
    if (link.id === 'link') {
      view.writeAddress();
      navigator.clipboard?.writeText(location.href).catch(() => {});
      link.textContent = 'Copied';
      setTimeout(() => { link.textContent = 'Link'; }, 1500);
    } else view.jump(Number(link.getAttribute('href').slice('#event='.length)));
  }

  // Paper is white. The canvas is drawn in the colours of the theme, so the theme is changed for as long as it takes.
  preparePrint() {
    const root = document.documentElement;
    window.addEventListener('beforeprint', () => {
      this.themeOnScreen = root.dataset.theme;
      root.dataset.theme = 'light';
      this.view.timeline.draw();
    });
    window.addEventListener('afterprint', () => {
      if (this.themeOnScreen) root.dataset.theme = this.themeOnScreen;
      else delete root.dataset.theme;
      this.view.timeline.draw();
    });
  }

  // ---- Keys.

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target.matches?.('input[type=search], select, textarea');
    if (event.key === 'Escape') return this.escape(event);
    if (isTyping || element('help').open && event.key !== '?') return;
    // The slider and the buttons have keys of their own.
    if (event.target.matches?.('input') && /Arrow|Home|End|Page/.test(event.key)) return;
    if (event.key === ' ' && event.target.matches?.('button, input, summary, a')) return;
    if (this.view.predict.isOn && /^[1-9]$/.test(event.key)) return this.view.predict.answer(Number(event.key) - 1);
    const command = Object.hasOwn(KEYS, event.key) ? this.commands[KEYS[event.key]] : undefined;
    if (!command) return;
    event.preventDefault();
    command();
  }

  escape(event) {
    if (event.target.id !== 'filter') return;
    event.target.value = '';
    event.target.dispatchEvent(new Event('input'));
    event.target.blur();
  }

  // ---- Play.

  play(isNewSpeed = false) {
    const wasPlaying = this.timer !== null;
    this.pause();
    if (wasPlaying && !isNewSpeed) return;
    const perSecond = Number(element('speed').value);
    this.timer = setInterval(() => this.playOne(), 1000 / perSecond);
    element('play').textContent = 'Pause';
    element('play').setAttribute('aria-pressed', 'true');
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    element('play').textContent = 'Play';
    element('play').setAttribute('aria-pressed', 'false');
  }

  // A question and the end of the trace stop the play.
  playOne() {
    const before = this.view.event;
    this.view.step('event', 1);
    if (this.view.event === before) this.pause();
  }

  togglePredict() {
    this.view.predict.toggle();
    element('predict').setAttribute('aria-pressed', String(this.view.predict.isOn));
  }

  // ---- What is shown of the controls.

  draw() {
    const { view } = this;
    const slider = element('slider');
    slider.max = String(view.trace.count - 1);
    slider.value = String(view.event);
    slider.setAttribute('aria-valuetext', `event ${view.event} of ${view.trace.count - 1}`);
    element('position').textContent = `${view.event.toLocaleString('en')} of ${(view.trace.count - 1).toLocaleString('en')}`;
    element('link').setAttribute('href', `#event=${view.event}`);
    setDisabled('cause', view.causes.cause[view.event] === NONE);
    setDisabled('back', view.jumps.length === 0);
    for (const button of document.querySelectorAll('.steps [data-do]')) {
      const isBack = button.dataset.do.endsWith('Back');
      setDisabled(button, isBack ? view.event === 0 : view.event === view.trace.count - 1);
    }
    element('scale').value = view.timeline.scale;
  }

  setScale(scale) {
    this.view.timeline.setScale(scale);
    element('scale').value = scale;
  }

  // ---- Theme and help.

  isDark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  }

  switchTheme() {
    document.documentElement.dataset.theme = this.isDark() ? 'light' : 'dark';
    this.showTheme();
  }

  showTheme() {
    element('theme').textContent = this.isDark() ? 'Light' : 'Dark';
    element('theme').setAttribute('aria-label', this.isDark() ? 'Switch to the light theme' : 'Switch to the dark theme');
    this.view.timeline.draw();
  }

  toggleHelp() {
    const help = element('help');
    if (help.open) help.close();
    else help.showModal();
  }
}

function element(id) {
  return document.getElementById(id);
}

// A disabled button would lose the focus, so it stays a button that says that it does nothing now.
function setDisabled(button, isDisabled) {
  const target = typeof button === 'string' ? element(button) : button;
  target.setAttribute('aria-disabled', String(isDisabled));
}
