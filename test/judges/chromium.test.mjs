// Chromium: an echo of 100 MB arrives intact over ws, over wss, and over HTTP/2 (RFC 8441).
//
// The environment is that of npm-ws.test.mjs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { OVER_HTTP1, OVER_HTTP2, launch, webSocketHandshakes } from './chromium.mjs';
import { echo } from './echo-client.mjs';
import { ECHO, TLS, startEcho } from './echo-server.mjs';

const COMPRESSED = /^permessage-deflate/, NOT_COMPRESSED = /^$/;

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

async function openPage(t) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  t.after(() => context.close());
  return context.newPage();
}

// `count` WebSockets at once divide the volume. Returns the extensions that they agreed on.
function echoIn(page, url, count) {
  return page.evaluate(`(async (echo, url, count, seed, volume) => {
    const sockets = Array.from({ length: count }, () => new WebSocket(url));
    await Promise.all(sockets.map((socket, i) => echo(socket, { seed: seed + i, volume })));
    return sockets.map((socket) => socket.extensions);
  })(${echo}, ${JSON.stringify(url)}, ${count}, ${ECHO.seed}, ${ECHO.volume / count})`);
}

for (const [name, args, agreed] of [
  ['ws, compressed', [], COMPRESSED],
  ['wss, not compressed', [...TLS, '--no-deflate'], NOT_COMPRESSED],
])
  test(`an echo over ${name}`, async (t) => {
    const server = await startEcho(t, ['--origin', '*', ...args]);
    const page = await openPage(t);
    const handshakes = await webSocketHandshakes(page);
    const [extensions] = await echoIn(page, server.url, 1);
    assert.match(extensions, agreed);
    assert.deepEqual(handshakes, [OVER_HTTP1]);
    await page.context().close();
    await server.stopsCleanly();
  });

test('echoes side by side over one HTTP/2 connection', async (t) => {
  const COUNT = 5;
  const server = await startEcho(t, TLS);
  const page = await openPage(t);
  // Chromium opens a WebSocket over an HTTP/2 connection that it has, and makes none for it.
  await page.goto(server.url.replace('wss:', 'https:'));
  const handshakes = await webSocketHandshakes(page);
  for (const extensions of await echoIn(page, server.url, COUNT))
    assert.match(extensions, NOT_COMPRESSED); // lws agrees to no extension there
  assert.deepEqual(handshakes, Array(COUNT).fill(OVER_HTTP2));
  await page.context().close();
  await server.stopsCleanly();
});
