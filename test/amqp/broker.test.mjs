// The broker: messages between clients of others, rhea over WebSocket and TCP and Proton for Python,
// what it does when its queues are full or receivers are lost, and what it tells of itself.
//
//   LWS_PROTON_BROKER         the broker
//   LWS_PROTON_PEER           for peers.mjs
//   LWS_PROTON_TLS_DIR        cert.pem and key.pem
//   LWS_PROTON_TEST_THREADS   threads, instead of 1
//   LWS_PROTON_SANITIZED      set: fewer messages

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { WebSocket } from 'ws';

import { numbersOf, startBroker as start, until, urlOf } from './broker.mjs';
import { receiving, sending } from './conversation.mjs';
import { protonPeer } from './peers.mjs';
import { close, connectTo, opened } from './rhea-connection.mjs';

const { LWS_PROTON_BROKER, LWS_PROTON_TLS_DIR, LWS_PROTON_TEST_THREADS = '1', LWS_PROTON_SANITIZED } =
  process.env;
const MANY = LWS_PROTON_SANITIZED ? 200 : 2000;
const KIB = 1024;
const TOO_LONG = 'amqp:link:message-size-exceeded';

const startBroker = (t, ...args) => start(t, '--threads', LWS_PROTON_TEST_THREADS, ...args);
const connect = (way, broker, options = {}) => connectTo(urlOf(way, broker), options);

for (const [from, to] of [['ws', 'tcp'], ['tcp', 'ws'], ['ws', 'ws']])
  for (const [credit, settled] of [[1, false], [1000, false], [1000, true]])
    test(`messages sent over ${from} arrive over ${to}, credit ${credit}, ` +
      `${settled ? '' : 'un'}settled`, async (t) => {
      const broker = await startBroker(t);
      const sender = connect(from, broker), receiver = connect(to, broker);
      const count = credit === 1 ? MANY / 10 : MANY;
      await Promise.all([
        receiving(receiver, 'q', count, { credit, settled }).done,
        sending(sender, 'q', count, { settled }).done,
      ]);
      await close(sender);
      await close(receiver);
      await broker.stopsCleanly();
    });

for (const settled of [false, true]) {
  const how = `${settled ? '' : 'un'}settled`;
  test(`Proton for Python over TCP sends to rhea over WebSocket, ${how}`, async (t) => {
    const broker = await startBroker(t);
    const receiver = connect('ws', broker);
    await Promise.all([
      receiving(receiver, 'q', MANY / 2, { settled }).done,
      protonPeer('send', broker.amqp, 'q', MANY / 2, { credit: 10, settled }).done,
    ]);
    await close(receiver);
    await broker.stopsCleanly();
  });

  test(`rhea over WebSocket sends to Proton for Python over TCP, ${how}`, async (t) => {
    const broker = await startBroker(t);
    const sender = connect('ws', broker);
    await Promise.all([
      sending(sender, 'q', MANY / 2, { settled }).done,
      protonPeer('receive', broker.amqp, 'q', MANY / 2, { credit: 10, settled }).done,
    ]);
    await close(sender);
    await broker.stopsCleanly();
  });
}

// The large ones fill the queue before they have used the credit: the rest waits in the session.
for (const way of ['ws', 'tcp'])
  for (const size of [1000, 10_000])
    test(`a queue full of ${size} bytes over ${way} stops its sender until it is read`, async (t) => {
      const most = 256 * KIB, largest = 64 * KIB, count = 1000, first = 10;
      const broker = await startBroker(t, '--queue-kib', '256', '--message-kib', '64');
      const sender = connect(way, broker), receiver = connect(way, broker);
      const out = sending(sender, 'q', count, { size });
      const into = receiving(receiver, 'q', count, { credit: first, size });
      into.stop();
      await until(async () => {
        const { bytes, messages, unsettled } = await numbersOf(broker, 'q') ?? {};
        // What Proton keeps for those that are unsettled comes on top.
        assert.ok(!(bytes > most + (unsettled ? most / 2 : 0)), `${bytes} bytes`);
        return bytes + largest + KIB > most && out.accepted === first + messages &&
          (size > 1000 || out.sender.credit === 0);
      });
      // A queue of others is none the worse.
      const other = connect(way, broker);
      await Promise.all([receiving(other, 'other', 10).done, sending(other, 'other', 10).done]);
      await close(other);
      assert.equal(out.accepted, first + (await numbersOf(broker, 'q')).messages);
      into.receiver.add_credit(count);
      await Promise.all([into.done, out.done]);
      await close(sender);
      await close(receiver);
      await broker.stopsCleanly();
    });

for (const way of ['ws', 'tcp'])
  for (const end of ['cut', 'close', 'detach'])
    test(`what a receiver over ${way} has not settled comes again: ${end}`, async (t) => {
      const count = 120, taken = 50;
      const broker = await startBroker(t);
      const sender = connect(way, broker), lost = connect(way, broker);
      await sending(sender, 'q', count).done;
      const receiver = lost.connection.open_receiver(
        { source: 'q', credit_window: 0, autoaccept: false });
      receiver.add_credit(taken);
      let had = 0;
      await new Promise((resolve) => {
        receiver.on('message', () => ++had === taken && resolve());
      });
      assert.equal((await numbersOf(broker, 'q')).unsettled, taken);
      if (end === 'cut') lost.cut();
      else if (end === 'close') await close(lost);
      else receiver.close();
      const other = connect(way, broker);
      await until(async () => (await numbersOf(broker, 'q')).messages === count);
      await receiving(other, 'q', count).done;
      await close(sender);
      await close(other);
      if (end === 'detach') await close(lost);
      await broker.stopsCleanly();
    });

for (const way of ['ws', 'tcp']) {
  test(`a message over ${way} that is too long is rejected, and others pass`, async (t) => {
    const broker = await startBroker(t, '--message-kib', '64');
    const client = connect(way, broker);
    const sender = client.connection.open_sender('q');
    await once(sender, 'sendable');
    for (const size of [65 * KIB, 1000 * KIB]) {
      sender.send({ body: 'x'.repeat(size) });
      const [{ delivery }] = await once(sender, 'rejected');
      assert.equal(delivery.remote_state.error.condition, TOO_LONG);
    }
    sender.send({ body: 'short' });
    await once(sender, 'accepted');
    assert.equal((await numbersOf(broker, 'q')).messages, 1);
    await close(client);
    await broker.stopsCleanly();
  });

  test(`a settled message over ${way} that is too long ends its link`, async (t) => {
    const broker = await startBroker(t, '--message-kib', '64');
    const client = connect(way, broker);
    const sender = client.connection.open_sender({ target: 'q', snd_settle_mode: 1 });
    await once(sender, 'sendable');
    sender.send({ body: 'x'.repeat(1000 * KIB) });
    await once(sender, 'sender_error');
    assert.equal(sender.error.condition, TOO_LONG);
    client.connection.close();
    await once(client.connection, 'connection_close');
    await broker.stopsCleanly();
  });
}

test('a settled receiver that does not read is not buffered for without end', async (t) => {
  // More than the kernel's buffers take.
  const most = 1024 * KIB, size = 50_000, count = 600;
  const broker = await startBroker(t, '--queue-kib', '1024', '--message-kib', '64');
  const stopped = connect('tcp', broker), sender = connect('ws', broker);
  const into = receiving(stopped, 'q', count, { credit: count, settled: true, size });
  into.stop();
  await once(into.receiver, 'receiver_open');
  stopped.socket.pause();
  const out = sending(sender, 'q', count, { size });
  await until(async () => (await numbersOf(broker, 'q'))?.bytes + size + KIB > most);
  stopped.socket.resume();
  await Promise.all([out.done, into.done]);
  await close(stopped);
  await close(sender);
  await broker.stopsCleanly();
});

for (const scheme of ['http', 'https'])
  test(`only its own pages may connect, by ${scheme}`, async (t) => {
    const file = path.join(LWS_PROTON_TLS_DIR, 'cert.pem'), ca = readFileSync(file);
    const broker = await startBroker(t, ...(scheme === 'https' ?
      ['--tls-cert', file, '--tls-key', path.join(LWS_PROTON_TLS_DIR, 'key.pem')] : []));
    const { port, protocol } = new URL(broker.url);
    assert.equal(protocol, `${scheme}:`);
    for (const host of ['evil.example', 'localhost.evil.example', 'localhost', null]) {
      const origin = host ? `${scheme}://${host}` : 'null';
      const socket = new WebSocket(urlOf('ws', broker), ['amqp'], { origin, ca });
      const [, response] = await once(socket, 'unexpected-response');
      response.resume();
      assert.equal(response.statusCode, 403, origin);
    }
    const headers = { Origin: `${scheme}://localhost:${port}` };
    await close(await opened(connect('ws', broker, { headers, ca })));
    await broker.stopsCleanly();
  });

test('queues are told of by name, and no more are made than may be', async (t) => {
  const broker = await startBroker(t, '--queues', '2');
  const client = connect('ws', broker);
  const name = 'žluťoučký "kůň"\\\n';
  await sending(client, name, 3).done;
  await sending(client, 'x'.repeat(255), 1).done;
  const numbers = await numbersOf(broker, name);
  assert.deepEqual({ ...numbers, bytes: 0 },
    { name, messages: 3, unsettled: 0, bytes: 0, in: 3, out: 0 });
  assert.equal((await numbersOf(broker, 'x'.repeat(255))).messages, 1);

  const refused = async (target, condition) => {
    const sender = client.connection.open_sender(target);
    await once(sender, 'sender_error');
    assert.equal(sender.error.condition, condition);
  };
  await refused('third', 'amqp:resource-limit-exceeded');
  await refused('x'.repeat(256), 'amqp:invalid-field');
  client.connection.close();
  await once(client.connection, 'connection_close');
  await broker.stopsCleanly();
});

test('its numbers are only to be had by GET', async (t) => {
  const broker = await startBroker(t);
  const queues = new URL('queues', broker.url);
  for (const body of ['', 'x', 'x'.repeat(100_000)]) {
    const response = await fetch(queues, { method: 'POST', body });
    await response.text();
    assert.equal(response.status, 405);
  }
  assert.deepEqual((await (await fetch(queues)).json()).queues, []);
  const socket = new WebSocket(urlOf('ws', broker), ['numbers']);
  await Promise.race([once(socket, 'error'), once(socket, 'close')]);
  assert.notEqual(socket.readyState, WebSocket.OPEN);
  await broker.stopsCleanly();
});

test('it stops with connections in every state', async (t) => {
  const broker = await startBroker(t);
  const clients = ['ws', 'tcp', 'ws', 'tcp'].map((way) => connect(way, broker));
  await sending(clients[0], 'q', 100).done;
  const ends = clients.map(({ connection }) => Promise.race(
    ['connection_close', 'disconnected'].map((event) => once(connection, event))));
  for (const { connection } of clients.slice(2))
    connection.open_receiver({ source: 'q', credit_window: 0, autoaccept: false }).add_credit(10);
  await until(async () => (await numbersOf(broker, 'q')).unsettled === 20);
  await broker.stopsCleanly();
  await Promise.all(ends);
});

// The words of a run that ends at once, without its hint about the page.
function run(...args) {
  const { status, stdout, stderr } = spawnSync(LWS_PROTON_BROKER, args, { encoding: 'utf8' });
  assert.equal(stdout, '');
  const lines = stderr.trimEnd().split('\n').filter((line) => !line.includes('without its page'));
  return { status, lines };
}

test('what cannot work is one clear line', async (t) => {
  for (const [args, words] of [
    [['--amqp-port', '70000'], '--amqp-port wants a number from 0 to 65535'],
    [['--http-port', 'x'], '--http-port wants a number'],
    [['--threads', '0'], '--threads wants a number'],
    [['--queue-kib', '64', '--message-kib', '64'], '--queue-kib wants more than --message-kib'],
    [['--tls-cert', '/nowhere', '--tls-key', '/nowhere'], '/nowhere'],
    [['--tls-cert', path.join(LWS_PROTON_TLS_DIR, 'cert.pem')], '--tls-key'],
    [['--no-such-option'], 'no-such-option'],
    [['more'], "unexpected argument 'more'"],
  ]) {
    const { status, lines } = run(...args);
    assert.equal(status, 2);
    assert.equal(lines.length, 1);
    assert.ok(lines[0].includes(words), lines[0]);
  }
  const broker = await startBroker(t);
  const [amqp, http] = [broker.amqp, broker.url].map((url) => new URL(url).port);
  for (const ports of [[amqp, '0'], ['0', http]]) {
    const { status, lines } = run('--amqp-port', ports[0], '--http-port', ports[1]);
    assert.equal(status, 1);
    assert.equal(lines.length, 1);
    assert.match(lines[0], /cannot listen/);
  }
  await broker.stopsCleanly();
});
