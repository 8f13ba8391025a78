// Bytes through the gateway and back as they were, over many connections, while one of two brokers is
// killed and comes back.
//
//   LWS_PROTON_GATEWAY     the gateway
//   LWS_PROTON_TEST_MIB    so much each way in all, instead of 128

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

import { WebSocket } from 'ws';

import { Server } from './server.mjs';

const { LWS_PROTON_GATEWAY, LWS_PROTON_TEST_MIB = '128' } = process.env;
const MIB = 1024 * 1024;
const CONNECTIONS = 200;
const EACH = Math.ceil(Number(LWS_PROTON_TEST_MIB) * MIB / CONNECTIONS);
const AT_A_TIME = 48 * 1024, ON_THEIR_WAY = 256 * 1024;

// Returns what it is sent, and says its port, and that it has a connection.
const ECHO = `
const { createServer } = require('node:net');
const server = createServer((socket) => {
  socket.on('error', () => {}).pipe(socket);
}).once('connection', () => console.log('accepted')).listen(Number(process.argv[1]), '127.0.0.1', () => console.log(server.address().port));
`;

async function startEcho(t, port = 0) {
  const child = spawn(process.execPath, ['-e', ECHO, port], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface(child.stdout);
  const accepted = new Promise((resolve) =>
    lines.on('line', (line) => line === 'accepted' && resolve()));
  const [at] = await Promise.race([once(lines, 'line'), once(child, 'exit').then(([status]) => {
    throw new Error(`the echo at ${port} ended with ${status}`);
  })]);
  return {
    port: Number(at),
    accepted,
    async kill() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

// The endless stream of a connection: at any offset what is there is known.
const PATTERN = randomBytes(1_000_003);
const DOUBLE = Buffer.concat([PATTERN, PATTERN]);
const streamOf = (seed, from, length) => {
  const start = (seed * 4099 + from) % PATTERN.length;
  return DOUBLE.subarray(start, start + length);
};

// Sends so many bytes and has them back, all but for what a lost connection loses: `lost` is called
// with how that ended, and it goes on with another.
async function flow(url, seed, total, { count, lost }) {
  for (let back = 0; back < total;) {
    const socket = new WebSocket(url, ['amqp']);
    let sent = back;
    const send = () => {
      for (; sent < total && sent - back < ON_THEIR_WAY;) {
        const bytes = streamOf(seed, sent, Math.min(AT_A_TIME, total - sent));
        socket.send(bytes);
        sent += bytes.length;
      }
    };
    let fault = null;
    socket.on('open', send);
    socket.on('message', (bytes) => {
      if (Buffer.compare(bytes, streamOf(seed, back, bytes.length)) !== 0) {
        fault = new Error(`other bytes at ${back} of connection ${seed}`);
        socket.terminate();
        return;
      }
      back += bytes.length;
      count(bytes.length);
      if (back === total) socket.close();
      else send();
    });
    const [code, reason] = await once(socket, 'close');
    if (fault) throw fault;
    if (back < total) lost(code, String(reason));
  }
}

test('bytes go through as they are, and a broker may die meanwhile', async (t) => {
  const brokers = [await startEcho(t), await startEcho(t)];
  const gateway = await Server.start(t, LWS_PROTON_GATEWAY,
    brokers.flatMap(({ port }) => ['--broker', `amqp://127.0.0.1:${port}`]));
  const doomed = brokers[0];
  const ends = [];
  let back = 0, onHalf;
  const half = new Promise((resolve) => (onHalf = resolve));
  const flows = (count) => Promise.all(Array.from({ length: count }, (_, seed) =>
    flow(gateway.url, seed, EACH, {
      count(bytes) {
        back += bytes;
        if (back >= EACH * CONNECTIONS / 2) onHalf();
      },
      lost: (...how) => ends.push(how),
    })));
  const all = flows(CONNECTIONS);

  await Promise.race([half, all]);
  await doomed.kill();
  const again = await startEcho(t, doomed.port);
  await all;
  assert.equal(back, EACH * CONNECTIONS);
  // The gateway takes them in turn.
  assert.ok(ends.length > 0 && ends.length <= CONNECTIONS / brokers.length, `${ends.length}`);
  for (const end of ends) assert.deepEqual(end, [1001, 'the broker closed the connection']);
  t.diagnostic(`${back / MIB} MiB each way; ${ends.length} connections ended with their broker`);
  // One for each broker: those that were lost may all have gone to the other before this was back.
  await flows(brokers.length);
  await again.accepted;
  await gateway.stopsCleanly();
});
