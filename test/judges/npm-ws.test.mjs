// The npm package ws: an echo of 100 MB through each kind of connection arrives intact, in
// fragments that are cut anywhere, inside of characters too.
//
//   LWS_PROTON_ECHO       the echo program
//   LWS_PROTON_TLS_DIR    its cert.pem and key.pem
//   LWS_PROTON_ECHO_MB    how much, instead of 100
//   LWS_PROTON_ECHO_SEED  what is sent, to repeat a run; random without it

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { WebSocket } from 'ws';

import { echo } from './echo-client.mjs';
import { ECHO, TLS, certificate, startEcho } from './echo-server.mjs';

const MOST_FRAGMENTS = 500;

function sendInFragments(socket, message, random) {
  const binary = typeof message !== 'string';
  const bytes = Buffer.from(message);
  const least = bytes.length / MOST_FRAGMENTS;
  let at = 0, final = false;
  while (!final) {
    // Half of the messages in one piece, the others in pieces of every size.
    const piece = random() < 0.5 ? bytes.length : least + bytes.length ** random();
    const end = Math.min(bytes.length, Math.ceil(at + piece));
    final = end === bytes.length;
    socket.send(bytes.subarray(at, end), { binary, fin: final });
    at = end;
  }
}

for (const [name, args] of [['ws', []], ['wss', TLS]])
  for (const perMessageDeflate of [false, true])
    test(`an echo over ${name}, ${perMessageDeflate ? '' : 'not '}compressed`, async (t) => {
      const server = await startEcho(t, args);
      const socket = new WebSocket(server.url, { ca: readFileSync(certificate), perMessageDeflate });
      socket.once('open', () => {
        assert.equal(socket.extensions.startsWith('permessage-deflate'), perMessageDeflate);
      });
      assert.ok(await echo(socket, ECHO, sendInFragments) >= ECHO.volume);
      await server.stopsCleanly();
    });
