// The mouse and the fingers on the timeline: a click goes to an event, a drag moves, the wheel and two fingers zoom.
class Pointer {
  constructor(timeline) {
    this.timeline = timeline;
    this.down = new Map();
    this.hasMoved = false;
    for (const canvas of [timeline.canvas, timeline.ruler]) {
      canvas.addEventListener('pointerdown', (event) => this.press(event, canvas));
      canvas.addEventListener('pointermove', (event) => this.move(event));
      canvas.addEventListener('pointerup', (event) => this.release(event, canvas));
      canvas.addEventListener('pointercancel', (event) => this.down.delete(event.pointerId));
      canvas.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    }
    timeline.lanes.addEventListener('scroll', () => timeline.draw());
  }

  press(event, canvas) {
    canvas.setPointerCapture?.(event.pointerId);
    this.down.set(event.pointerId, event.offsetX);
    this.hasMoved = this.down.size > 1;
  }

  move(event) {
    if (!this.down.has(event.pointerId)) return;
    const before = this.down.get(event.pointerId);
    if (!this.hasMoved && Math.abs(event.offsetX - before) < 4) return;
    this.hasMoved = true;
    const other = [...this.down].find(([id]) => id !== event.pointerId);
    if (other) this.pinch(before, event.offsetX, other[1]);
    else this.timeline.pan((before - event.offsetX) / (this.timeline.width - this.timeline.labels));
    this.down.set(event.pointerId, event.offsetX);
  }

  pinch(before, now, other) {
    const spread = Math.max(10, Math.abs(now - other));
    this.timeline.zoom(Math.max(10, Math.abs(before - other)) / spread, this.timeline.positionAt(other));
  }

  release(event, canvas) {
    const wasPressed = this.down.delete(event.pointerId);
    if (!wasPressed || this.hasMoved) return;
    const { timeline } = this;
    const row = Math.floor((event.offsetY + timeline.lanes.scrollTop) / ROW);
    const task = canvas === timeline.canvas ? timeline.rows[row] : undefined;
    timeline.view.goNear(timeline.eventAt(timeline.positionAt(event.offsetX)), task, event.offsetX < timeline.labels);
  }

  wheel(event) {
    const { timeline } = this;
    if (event.ctrlKey || event.metaKey) timeline.zoom(event.deltaY > 0 ? 1.25 : 0.8, timeline.positionAt(event.offsetX));
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) timeline.pan((event.deltaX || event.deltaY) / 800);
    else return;
    event.preventDefault();
  }
}
