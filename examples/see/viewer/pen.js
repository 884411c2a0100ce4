// The pen: what drawing on a canvas needs, whatever is drawn.
//
// Facts. A canvas knows nothing of the page's style. So the colours are read from the style sheet at each drawing, and a
// change of the theme needs nothing but another drawing.

const FONT = '14px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';

// Sizes the canvas for the screen's pixels and clears it.
function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  pen.clearRect(0, 0, width, height);
  return pen;
}

const COLOURS = ['ink', 'soft', 'grid', 'wash', 'ours', 'poll', 'queued', 'timer', 'source', 'line', 'task', 'other', 'arrow', 'bad'];

function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// The text if it fits, or else its short form, which loses letters until it fits. Similar names often differ in a number at
// their ends, so they lose letters before that.
function cut(pen, text, room, shorter) {
  if (pen.measureText(text).width <= room) return text;
  if (pen.measureText(shorter).width <= room) return shorter;
  let kept = shorter.length - 1;
  const short = () => `${shorter.slice(0, kept - Math.floor(kept / 3))}…${shorter.slice(shorter.length - Math.floor(kept / 3))}`;
  while (kept > 1 && pen.measureText(short()).width > room) kept -= 1;
  return short();
}

function hatch(pen, x, y, width, height, colour) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.strokeStyle = colour.soft;
  pen.globalAlpha = 0.5;
  const [from, to] = [Math.max(x, 0) - height, Math.min(x + width, 6000)];
  for (let at = from - (from % 6); at < to; at += 6) {
    pen.beginPath();
    pen.moveTo(at, y + height);
    pen.lineTo(at + height, y);
    pen.stroke();
  }
  pen.restore();
}
