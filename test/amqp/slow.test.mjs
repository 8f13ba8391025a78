// A consumer that does not read costs the broker, and the gateway, no more memory than is said, and
// others nothing.
//
//   LWS_PROTON_BROKER    for broker.mjs
//   LWS_PROTON_GATEWAY   the gateway

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { WebSocket } from 'ws';

import { numbersOf, startBroker, until, urlOf } from './broker.mjs';
import { receiving, sending } from './conversation.mjs';
import { close, connectTo, opened } from './rhea-connection.mjs';
import { Server } from './server.mjs';

const { LWS_PROTON_GATEWAY } = process.env;
const KIB = 1024, MIB = 1024 * KIB;

// Bytes that are resident, or that were at most.
function memoryOf({ pid }, what = 'VmRSS') {
  const [, kib] = RegExp(`^${what}:\\s+(\\d+) kB$`, 'm')
    .exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
  return kib * KIB;
}

// The least of three, which other work on the machine has lengthened least.
async function timeOf(action) {
  let least = Infinity;
  for (let round = 0; round < 3; round += 1) {
    const begun = performance.now();
    await action();
    least = Math.min(least, performance.now() - begun);
  }
  return least;
}

test('200 messages of 5 MB for a receiver that has stopped', async (t) => {
  const queue = 64 * MIB, message = 8 * MIB, size = 5_000_000, count = 200;
  const broker =
    await startBroker(t, '--queue-kib', queue / KIB, '--message-kib', message / KIB);
  const [stopped, sender, one, other] = await Promise.all(
    ['ws', 'ws', 'ws', 'tcp'].map((way) => opened(connectTo(urlOf(way, broker)))));
  let round = 0;
  const others = () => timeOf(async () => {
    const name = `q${round += 1}`;
    await Promise.all([receiving(one, name, 2000, { size: 100 }).done,
      sending(other, name, 2000, { size: 100 }).done]);
  });
  await others();
  const before = await others(), resident = memoryOf(broker);

  const into = receiving(stopped, 'large', count, { credit: count, size });
  await once(into.receiver, 'receiver_open');
  stopped.socket.pause();
  const out = sending(sender, 'large', count, { size, most: 10 });
  await until(async () => (await numbersOf(broker, 'large')).bytes + message > queue, out.done,
    into.done);
  const during = await others();
  const grown = memoryOf(broker, 'VmHWM') - resident;
  t.diagnostic(`${Math.round(grown / MIB)} MiB; others: ${Math.round(before)} ms before, ` +
    `${Math.round(during)} ms meanwhile`);
  // Of the queue, which takes up to twice what it holds; of its sender's session, and of a message on its
  // way into the queue.
  assert.ok(grown < 2 * queue + 4 * message, `${grown} bytes`);
  assert.ok(during < 5 * before, `${during} ms, ${before} ms before`);

  stopped.socket.resume();
  await Promise.all([into.done, out.done]);
  for (const client of [stopped, sender, one, other]) await close(client);
  await broker.stopsCleanly();
});

test('20 consumers behind the gateway that have stopped', async (t) => {
  const connections = 20, flood = 16 * MIB;
  // Each way 96 KiB in the tunnel, and the windows of both of its connections.
  const each = (2 * 96 + 4 * 64) * KIB;
  const chunk = Buffer.alloc(64 * KIB, 'x');
  const floods = [];
  // The first byte says what it is to be: a flood, or an echo.
  const broker = createServer((socket) => {
    socket.on('error', () => {}).once('data', (first) => {
      if (first[0] !== 'f'.charCodeAt()) {
        socket.write(first);
        socket.pipe(socket);
        return;
      }
      floods.push(socket);
      for (let i = 0; i < flood; i += chunk.length) socket.write(chunk);
    });
  }).listen(0, '127.0.0.1');
  await once(broker, 'listening');
  t.after(() => broker.close());
  const gateway = await Server.start(t, LWS_PROTON_GATEWAY,
    ['--broker', `amqp://127.0.0.1:${broker.address().port}`]);
  const connect = async (first) => {
    const socket = new WebSocket(gateway.url, ['amqp']);
    socket.ended = once(socket, 'close');
    await once(socket, 'open');
    socket.send(Buffer.from(first));
    return socket;
  };
  const echo = await connect('e');
  await once(echo, 'message');
  const echoes = () => timeOf(async () => {
    for (let i = 0; i < 500; i += 1) {
      echo.send(Buffer.alloc(100));
      await once(echo, 'message');
    }
  });
  await echoes();
  const before = await echoes(), resident = memoryOf(gateway);

  const stopped = [];
  for (let i = 0; i < connections; i += 1) {
    const socket = await connect('f');
    socket.pause();
    stopped.push(socket);
  }
  const waiting = () => floods.reduce((sum, socket) => sum + socket.writableLength, 0);
  for (let last = -1; floods.length < connections || last !== waiting(); await sleep(200))
    last = waiting();
  const during = await echoes();
  const grown = memoryOf(gateway) - resident;
  t.diagnostic(`${Math.round(grown / connections / KIB)} KiB a connection; others: ` +
    `${Math.round(before)} ms before, ${Math.round(during)} ms meanwhile`);
  assert.ok(waiting() > 0, 'none of them waits');
  assert.ok(grown < connections * each, `${grown / connections / KIB} KiB a connection`);
  assert.ok(during < 5 * before, `${during} ms, ${before} ms before`);

  await Promise.all(stopped.map(async (socket) => {
    let had = 0;
    const all = new Promise((resolve) => socket.on('message', (bytes) => {
      had += bytes.length;
      if (had === flood) resolve();
    }));
    socket.resume();
    await all;
  }));
  for (const socket of [echo, ...stopped]) {
    socket.close();
    await socket.ended;
  }
  await gateway.stopsCleanly();
});
