// What is drawn in one browser window shows in the others, to the pixel: lws's own test page and
// mirror demo on Proton's buffers, in Chromium.
//
//   LWS_PROTON_MIRROR       the server's program
//   LWS_PROTON_MIRROR_ARGS  its arguments besides --port 0
//   SCREENSHOT              where a picture of two windows is written; none without it
//   UPDATE_SCREENSHOT       1: it is written to DOCS_SCREENSHOT instead

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { OVER_HTTP1, OVER_HTTP2, launch } from './chromium.mjs';
import { MirrorPage, assertSamePixels, expectedPixels } from './mirror-page.mjs';
import { Server } from './server.mjs';

const BLACK = '#000000', BLUE = '#0000ff', GREEN = '#20ff20', DARK_RED = '#802020';

let browser;

function startServer(t) {
  const { LWS_PROTON_MIRROR, LWS_PROTON_MIRROR_ARGS } = process.env;
  assert.ok(LWS_PROTON_MIRROR, 'LWS_PROTON_MIRROR names no program');
  const args = (LWS_PROTON_MIRROR_ARGS ?? '').split(' ').filter(Boolean);
  return Server.start(t, LWS_PROTON_MIRROR, args);
}

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

// `count` + 1 points, point(0) to point(1), on whole pixels.
function curve(count, point) {
  return Array.from({ length: count + 1 }, (_, i) => point(i / count).map(Math.round));
}

const CENTRE = [240, 150];

function onOrbit(tilt, turn) {
  const x = 150 * Math.cos(2 * Math.PI * turn), y = 48 * Math.sin(2 * Math.PI * turn);
  const sin = Math.sin(tilt * Math.PI), cos = Math.cos(tilt * Math.PI);
  return [CENTRE[0] + x * cos - y * sin, CENTRE[1] + x * sin + y * cos];
}

function spiral([x, y], radius, turns) {
  return curve(12 * turns, (at) => [
    x + radius * at * Math.cos(2 * Math.PI * turns * at),
    y + radius * at * Math.sin(2 * Math.PI * turns * at),
  ]);
}

const TILTS = [0, 1 / 3, 2 / 3];
const ORBITS = [
  { colour: BLUE, strokes: TILTS.map((tilt) => curve(48, (at) => onOrbit(tilt, at))) },
];
const PARTICLES = [
  { colour: DARK_RED, strokes: [spiral(CENTRE, 20, 6)] },
  { colour: BLACK, strokes: TILTS.map((tilt, i) => spiral(onOrbit(tilt, 0.06 + 0.3 * i), 7, 3)) },
];

async function pictureOfTwoWindows(left, right) {
  const windows = await Promise.all([left, right].map(async (mirror) => `
    <figure>
      <figcaption>${await mirror.title()}</figcaption>
      <img src="data:image/png;base64,${(await mirror.screenshot()).toString('base64')}">
    </figure>`));
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  await page.setContent(`<!DOCTYPE html>
    <style>
      body { display: flex; gap: 24px; margin: 0; padding: 16px; background: white }
      figure { flex: 1; margin: 0; border: 1px solid #aaa; border-radius: 8px; overflow: hidden;
               box-shadow: 0 2px 8px #0003 }
      figcaption { padding: 8px; background: #ddd; color: #333; font: 14px sans-serif;
                   text-align: center }
      img { display: block; width: 100% }
    </style>
    ${windows.join('')}`);
  const picture = await page.locator('body').screenshot();
  await page.close();
  return picture;
}

test('what one of two windows draws, the other shows', async (t) => {
  const server = await startServer(t);
  const [left, right] = [
    await MirrorPage.open(browser, server.url),
    await MirrorPage.open(browser, server.url),
  ];
  const blank = await expectedPixels(browser, []);
  await left.untilItShows(blank);
  await right.untilItShows(blank);
  const accepted = server.url.startsWith('https:') ? OVER_HTTP2 : OVER_HTTP1;
  for (const mirror of [left, right])
    assert.deepEqual(new Set(mirror.handshakes()), new Set([accepted]));

  await left.draw(ORBITS);
  const orbits = await expectedPixels(browser, ORBITS);
  assert.notDeepEqual(orbits, blank);
  await left.untilItShows(orbits); // the drawer's own window shows only what the server sends
  await right.untilItShows(orbits);

  await right.draw(PARTICLES);
  const atom = await expectedPixels(browser, [...ORBITS, ...PARTICLES]);
  assert.notDeepEqual(atom, orbits);
  await right.untilItShows(atom);
  await left.untilItShows(atom);
  assertSamePixels(await left.pixels(), await right.pixels());

  const { SCREENSHOT, DOCS_SCREENSHOT, UPDATE_SCREENSHOT } = process.env;
  const file = UPDATE_SCREENSHOT === '1' ? DOCS_SCREENSHOT : SCREENSHOT;
  if (file)
    await writeFile(file, await pictureOfTwoWindows(left, right));

  await Promise.all([left.close(), right.close()]);
  await server.stopsCleanly();
});

test('six windows that draw at once all end with the same picture', async (t) => {
  const server = await startServer(t);
  const colours = [BLACK, BLUE, GREEN, DARK_RED, '#c000c0', '#e08000'];
  const mirrors = await Promise.all(colours.map(() => MirrorPage.open(browser, server.url)));

  // All cross in the middle, where the order in which they come shows; each ends in a lane of its
  // own, and that end arrives last.
  const lane = (i) => 30 + 48 * i;
  const strokes = colours.map((_, i) => [
    ...curve(40, (at) => [
      20 + 400 * at,
      150 + (lane(i) - 150) * Math.cos(2 * Math.PI * at),
    ]),
    [450, lane(i)], [460, lane(i)],
  ]);
  await Promise.all(
    mirrors.map((mirror, i) => mirror.draw([{ colour: colours[i], strokes: [strokes[i]] }])));

  const ends = colours.map((colour, i) => ({ x: 457, y: lane(i), colour }));
  await Promise.all(mirrors.map((mirror) => mirror.untilInked(ends)));
  const [first, ...others] = await Promise.all(mirrors.map((mirror) => mirror.pixels()));
  for (const other of others) assertSamePixels(other, first);

  await Promise.all(mirrors.map((mirror) => mirror.close()));
  await server.stopsCleanly();
});
