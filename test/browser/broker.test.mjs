// The broker's page in Chromium: it sends and receives, and draws what the broker says.
//
//   LWS_PROTON_BROKER       for broker.mjs
//   LWS_PROTON_BROKER_ARGS  its arguments besides ports
//   SCREENSHOT              where a picture of the page is written; none without it

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startBroker as start } from './broker.mjs';
import { launch } from './chromium.mjs';

const PHONE = { width: 360, height: 740 };

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

const startBroker = (t, ...args) =>
  start(t, ...(process.env.LWS_PROTON_BROKER_ARGS ?? '').split(' ').filter(Boolean), ...args);

// The page in a window of its own, connected; what it loads is the broker's, all of it.
async function open(broker, options = {}) {
  // The certificate is self-signed.
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('console', (line) => line.type() === 'error' && page.faults.push(line.text()));
  page.on('request', (request) => {
    if (!request.url().startsWith(broker.url) && !request.url().startsWith('data:'))
      page.faults.push(request.url());
  });
  await page.goto(broker.url);
  await untilText(page, '#connection', /^connected/);
  return page;
}

async function close(page) {
  assert.deepEqual(page.faults, []);
  await page.context().close();
}

async function untilText(page, selector, pattern) {
  await page.waitForFunction(
    ([wanted, source]) => RegExp(source).test(document.querySelector(wanted).textContent),
    [selector, pattern.source], { polling: 50 });
}

async function send(page, count, { text = 'hello', size = 0 } = {}) {
  await page.fill('#text', text);
  await page.fill('#size', String(size));
  await page.fill('#count', String(count));
  await page.click('#send button:text-is("Send")');
}

async function receive(page, { credit = 100, pace = 'at once' } = {}) {
  await page.fill('#credit', String(credit));
  await page.selectOption('#pace', { label: pace });
  await page.click('#receiving');
}

// The heights of a chart's line, 0 to 1, oldest first.
function heights(page, chart, line) {
  return page.$eval(`${chart} polyline.${line}`, (polyline) =>
    [...polyline.points].map(({ y }) => 1 - y / polyline.ownerSVGElement.viewBox.baseVal.height));
}

// Until the line has points, one of them above the ground and the last one as it says.
async function untilDrawn(page, chart, line, last) {
  for (;;) {
    const drawn = await heights(page, chart, line);
    if (drawn.length > 2 && Math.max(...drawn) > 0 && last(drawn.at(-1))) return;
    await page.waitForTimeout(50);
  }
}

test('what one window sends another receives, and both draw it', async (t) => {
  const broker = await startBroker(t);
  const sender = await open(broker), receiver = await open(broker);
  await send(sender, 500);
  await untilText(sender, '#sent', /^500 sent, 500 accepted$/);
  for (const page of [sender, receiver]) {
    await untilText(page, '#waiting', /^500$/);
    await untilDrawn(page, '#depth', 'a', (last) => last > 0);
    await untilDrawn(page, '#rates', 'a', () => true);
  }

  await receive(receiver, { credit: 50, pace: 'never' });
  await untilText(sender, '#unsettled', /^50$/);
  await untilDrawn(sender, '#depth', 'b', (last) => last > 0);
  const { SCREENSHOT } = process.env;
  if (SCREENSHOT) await sender.screenshot({ path: SCREENSHOT, fullPage: true });
  await receiver.click('#receiving'); // they go back
  await untilText(sender, '#waiting', /^500$/);

  await receive(receiver);
  await untilText(receiver, '#received', /^550 received$/);
  assert.equal(await receiver.locator('#messages li').count(), 20);
  assert.equal(await receiver.locator('#messages li').first().textContent(), 'hello');
  for (const page of [sender, receiver]) {
    await untilText(page, '#waiting', /^0$/);
    await untilDrawn(page, '#depth', 'a', (last) => last === 0);
    await untilDrawn(page, '#rates', 'b', () => true);
  }
  await close(sender);
  await close(receiver);
  await broker.stopsCleanly();
});

test('a full queue has the page wait for credit', async (t) => {
  const broker = await startBroker(t, '--queue-kib', '64', '--message-kib', '16');
  const page = await open(broker, { viewport: PHONE });
  await send(page, 400, { text: 'žluť', size: 1000 });
  await untilText(page, '#sent', /wait for credit$/);
  await send(page, 5, { text: 'after them' });
  await receive(page, { credit: 10 });
  await untilText(page, '#sent', /^405 sent, 405 accepted$/);
  await untilText(page, '#received', /^405 received$/);
  const shown = await page.locator('#messages li').allTextContents();
  for (const [i, text] of shown.entries())
    assert.match(text, i < 5 ? /^after them$/ : /^žluť\.{100,}…$/);
  await close(page);
  await broker.stopsCleanly();
});

test('another queue is used, by its name or from the list', async (t) => {
  const broker = await startBroker(t);
  const page = await open(broker);
  await page.fill('#queue', 'another "one"');
  await page.click('#choice button');
  await send(page, 1);
  await untilText(page, '#table', /another "one"1/);
  await page.fill('#queue', 'demo');
  await page.click('#choice button');
  await untilText(page, '#waiting', /^0$/);
  await page.click('#table button:text-is("another \\"one\\"")');
  await untilText(page, '#waiting', /^1$/);
  await close(page);
  await broker.stopsCleanly();
});

test('it fits a phone, by day and by night', async (t) => {
  const broker = await startBroker(t);
  const grounds = new Set();
  for (const colorScheme of ['light', 'dark']) {
    const page = await open(broker, { viewport: PHONE, colorScheme });
    const [width, ground] = await page.evaluate(() =>
      [document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]);
    assert.equal(width, PHONE.width);
    grounds.add(ground);
    await close(page);
  }
  assert.equal(grounds.size, 2);
  await broker.stopsCleanly();
});

test('the page says that its broker is gone, and finds it again', async (t) => {
  const first = await startBroker(t);
  const page = await open(first);
  await send(page, 1);
  await untilText(page, '#sent', /^1 sent, 1 accepted$/);
  await first.stopsCleanly();
  await untilText(page, '#connection', /^not connected/);
  const second = await startBroker(t, '--http-port', new URL(first.url).port);
  await untilText(page, '#connection', /^connected/);
  await send(page, 1);
  await untilText(page, '#sent', /^2 sent, 2 accepted$/);
  await page.context().close(); // its console has what could not be fetched
  await second.stopsCleanly();
});
