// Two lines over the last minute, in an SVG that fills its element; words around it are HTML, so
// that they stay readable at any width.

const SVG = 'http://www.w3.org/2000/svg';
const SPAN_MS = 60_000;
const WIDTH = 600, HEIGHT = 100;

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function line(text) {
  const p = document.createElement('p');
  p.append(...text.map((part) => Object.assign(document.createElement('span'), { textContent: part })));
  return p;
}

// The next of 10, 20, 50, 100, ...
function roundUp(value) {
  let step = 10;
  for (let i = 0; step < value; ++i) step *= i % 3 === 1 ? 2.5 : 2;
  return step;
}

export class Chart {
  #samples = [];
  #lines;
  #picture;
  #top;
  #what;

  // `what` says for each of the two what it is.
  constructor(element, what) {
    this.#what = what;
    this.#picture =
      svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
    for (const y of [0, HEIGHT / 2])
      this.#picture.append(svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: y, y2: y }));
    this.#lines = ['a', 'b'].map((name) => svg('polyline', { class: name }));
    this.#picture.append(...this.#lines);
    const top = line(['']);
    this.#top = top.firstChild;
    element.append(top, this.#picture, line(['a minute ago', 'now']));
  }

  clear() {
    this.#samples = [];
  }

  // `ms` is the time of the values.
  add(ms, values) {
    this.#samples.push({ ms, values });
    while (this.#samples[0].ms < ms - SPAN_MS) this.#samples.shift();
    const most = roundUp(Math.max(...this.#samples.flatMap((sample) => sample.values)));
    this.#lines.forEach((polyline, i) => {
      const points = this.#samples.map((sample) => {
        const x = WIDTH * (1 - (ms - sample.ms) / SPAN_MS);
        const y = HEIGHT * (1 - sample.values[i] / most);
        return `${x.toFixed(1)},${y.toFixed(1)}`;
      });
      polyline.setAttribute('points', points.join(' '));
    });
    this.#top.textContent = most.toLocaleString();
    this.#picture.setAttribute('aria-label',
      this.#what.map((name, i) => `${name}: ${Math.round(values[i])}`).join(', '));
  }
}
