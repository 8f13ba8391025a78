// lws's test page in a browser window of its own, used through its mirror demo.
//
// A drawing is a list of { colour, strokes }; a stroke is a list of [x, y], whole pixels of the
// canvas.

import assert from 'node:assert/strict';

import { webSocketHandshakes } from './chromium.mjs';

const CANVAS = '#wslm_drawing canvas';

export class MirrorPage {
  #page;
  #handshakes;

  static async open(browser, url) {
    const context = await browser.newContext({
      viewport: { width: 700, height: 900 },
      ignoreHTTPSErrors: true, // the certificate is self-signed
    });
    const mirror = new MirrorPage();
    mirror.#page = await context.newPage();
    mirror.#handshakes = await webSocketHandshakes(mirror.#page);
    await mirror.#page.goto(url);
    await mirror.#untilConnected();
    await mirror.#page.click('text=Mirror Demo');
    return mirror;
  }

  // The status that answered each WebSocket handshake.
  handshakes() {
    return this.#handshakes;
  }

  // The page says so in words and in green.
  async #untilConnected() {
    await this.#page.waitForFunction(() => {
      const status = document.getElementById('wslm_status').textContent;
      const colour = document.getElementById('wslm_statustd').style.backgroundColor;
      return status.includes('websocket connection opened') && colour === 'rgb(64, 255, 64)';
    });
  }

  async draw(drawing) {
    for (const { colour, strokes } of drawing) {
      await this.#choose(colour);
      for (const stroke of strokes) await this.#drag(stroke);
    }
  }

  async #choose(colour) {
    await this.#page.evaluate((wanted) => {
      const select = document.getElementById('color');
      if (![...select.options].some((option) => option.value === wanted))
        select.add(new Option(wanted, wanted));
    }, colour);
    await this.#page.selectOption('#color', colour);
    await this.#page.dispatchEvent('#color', 'click'); // the page takes the colour at a click
  }

  async #drag(stroke) {
    const { mouse } = this.#page;
    const { x: left, y: top } = await this.#page.locator(CANVAS).boundingBox();
    const whole = (at) => Math.ceil(at - 0.5); // the page gets offsets with halves rounded up
    const to = ([x, y]) => mouse.move(whole(left) + x, whole(top) + y);

    // The page starts a stroke where the button's first move ends, not where it is pressed.
    await to([stroke[0][0] - 1, stroke[0][1]]);
    await mouse.down();
    for (const point of stroke) await to(point);
    await mouse.up();
  }

  pixels() {
    return this.#page.locator(CANVAS).evaluate(
      (canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data);
  }

  async untilItShows(expected) {
    const shown = this.#page.waitForFunction(
      ([selector, wanted]) => {
        const canvas = document.querySelector(selector);
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.length === wanted.length && data.every((value, i) => value === wanted[i]);
      },
      [CANVAS, expected], { polling: 50 });
    await shown.catch(async (error) => {
      assertSamePixels(await this.pixels(), expected);
      throw error;
    });
  }

  // Each of `points`, { x, y, colour }, has ink of its colour.
  async untilInked(points) {
    await this.#page.waitForFunction(
      ([selector, wanted]) => {
        const context = document.querySelector(selector).getContext('2d');
        return wanted.every(({ x, y, colour }) => {
          const [red, green, blue, alpha] = context.getImageData(x, y, 1, 1).data;
          const ink = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
          // Half-transparent pixels are rounded.
          return alpha > 0 && [red, green, blue].every((value, i) => Math.abs(value - ink[i]) <= 4);
        });
      },
      [CANVAS, points], { polling: 50 });
  }

  title() {
    return this.#page.title();
  }

  screenshot() {
    return this.#page.locator('#mirror').screenshot({ style: '#mirror { border-radius: 0 }' });
  }

  async close() {
    await this.#page.context().close();
  }
}

export function assertSamePixels(actual, expected) {
  assert.equal(actual.length, expected.length, 'canvases of different sizes');
  let different = 0;
  for (let at = 0; at < actual.length; at += 4)
    if ([0, 1, 2, 3].some((i) => actual[at + i] !== expected[at + i])) ++different;
  assert.equal(different, 0, `${different} pixels differ`);
}

// What a canvas is to show after `drawing`, with no server in between.
export async function expectedPixels(browser, drawing) {
  const page = await browser.newPage();
  try {
    return await page.evaluate((parts) => {
      const canvas = document.createElement('canvas');
      canvas.width = 480;
      canvas.height = 300;
      const context = canvas.getContext('2d');
      for (const { colour, strokes } of parts) {
        context.strokeStyle = colour;
        for (const stroke of strokes)
          for (let i = 1; i < stroke.length; ++i) {
            context.beginPath();
            context.moveTo(...stroke[i - 1]);
            context.lineTo(...stroke[i]);
            context.stroke();
          }
      }
      return context.getImageData(0, 0, canvas.width, canvas.height).data;
    }, drawing);
  } finally {
    await page.close();
  }
}
