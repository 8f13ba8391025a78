// rhea, an AMQP client of others, against the AMQP echo: over WebSocket, with TLS, and over TCP.
//
//   LWS_PROTON_AMQP_ECHO      the echo program
//   LWS_PROTON_TLS_DIR        its cert.pem and key.pem
//   LWS_PROTON_GATEWAY        set: the gateway, which WebSockets go through
//   LWS_PROTON_TEST_THREADS   threads, instead of 1
//   LWS_PROTON_SANITIZED      set: fewer messages

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import rhea from 'rhea';
import { WebSocket } from 'ws';

import { failureOf } from './conversation.mjs';
import { close } from './rhea-connection.mjs';
import { Server } from './server.mjs';

const { LWS_PROTON_AMQP_ECHO, LWS_PROTON_GATEWAY, LWS_PROTON_TLS_DIR, LWS_PROTON_TEST_THREADS = '1',
  LWS_PROTON_SANITIZED } = process.env;
const certificate = path.join(LWS_PROTON_TLS_DIR, 'cert.pem');
const TLS = ['--tls-cert', certificate, '--tls-key', path.join(LWS_PROTON_TLS_DIR, 'key.pem')];
const MANY = LWS_PROTON_SANITIZED ? 200 : 2000;

async function startEcho(t, ...args) {
  const threads = ['--threads', LWS_PROTON_TEST_THREADS];
  if (!LWS_PROTON_GATEWAY) return Server.start(t, LWS_PROTON_AMQP_ECHO, [...threads, ...args]);
  const tls = args.filter((arg) => TLS.includes(arg)), others = args.filter((arg) => !TLS.includes(arg));
  const echo = await Server.start(t, LWS_PROTON_AMQP_ECHO, others);
  const gateway =
    await Server.start(t, LWS_PROTON_GATEWAY, ['--broker', echo.amqp, ...threads, ...tls]);
  return {
    url: gateway.url,
    amqp: echo.amqp,
    async stopsCleanly() {
      await gateway.stopsCleanly();
      await echo.stopsCleanly();
    },
  };
}

// How to connect to a server, by the name of what carries AMQP.
const WAYS = {
  ws: { args: [], details: (server, subprotocols) => overWebSocket(server, subprotocols) },
  wss: { args: TLS, details: (server, subprotocols) => overWebSocket(server, subprotocols) },
  tcp: { args: [], details: (server) => ({ host: 'localhost', port: new URL(server.amqp).port }) },
};

function overWebSocket(server, subprotocols = ['amqp']) {
  const connect = rhea.websocket_connect(WebSocket);
  return { connection_details: connect(server.url, subprotocols, { ca: readFileSync(certificate) }) };
}

function connect(way, server, options = {}, subprotocols = undefined) {
  const container = rhea.create_container();
  const connection = container.connect(
    { ...WAYS[way].details(server, subprotocols), reconnect: false, ...options });
  return { connection, failed: failureOf(connection) };
}

// Sizes from none to some frames, a few large ones among them.
function sizeOf(number) {
  if (number % 500 === 499) return 1_000_000;
  return [0, 1, 10, 100, 1000, 10_000][number % 6];
}

function bodyOf(number) {
  return Buffer.alloc(sizeOf(number), number & 255);
}

// Sends so many messages and checks that they come back as they were, in order.
async function converse({ connection, failed }, count, { credit, settled, body = bodyOf }) {
  const receiver = connection.open_receiver({ source: 'node', credit_window: credit });
  const sender = connection.open_sender(
    { target: 'node', snd_settle_mode: settled ? 1 : 0 });
  let sent = 0, received = 0, accepted = 0;
  const progress = new Promise((resolve, reject) => {
    const look = () => {
      if (received === count && (settled || accepted === count)) resolve();
    };
    sender.on('sendable', () => {
      for (; sent < count && sender.sendable(); sent += 1)
        sender.send({ message_id: sent, body: body(sent) });
    });
    sender.on('accepted', () => {
      accepted += 1;
      look();
    });
    for (const event of ['released', 'rejected', 'modified'])
      sender.on(event, () => reject(new Error(event)));
    receiver.on('message', ({ message }) => {
      try {
        assert.equal(message.message_id, received);
        assert.ok(Buffer.compare(message.body.content ?? message.body, body(received)) === 0);
      } catch (error) {
        reject(error);
      }
      received += 1;
      look();
    });
  });
  await Promise.race([progress, failed]);
}

for (const way of Object.keys(WAYS)) {
  for (const credit of [1, 1000])
    for (const settled of [false, true])
      test(`messages come back over ${way}, credit ${credit}, ${settled ? '' : 'un'}settled`,
        async (t) => {
          const server = await startEcho(t, ...WAYS[way].args);
          const client = connect(way, server);
          await converse(client, credit === 1 ? MANY / 10 : MANY, { credit, settled });
          await close(client);
          await server.stopsCleanly();
        });

  test(`a message of 5 MB comes back over ${way}`, async (t) => {
    const server = await startEcho(t, ...WAYS[way].args);
    const client = connect(way, server);
    await converse(client, 5, { credit: 10, body: (n) => Buffer.alloc(5_000_000, n + 1) });
    await close(client);
    await server.stopsCleanly();
  });

  test(`small frames carry large messages over ${way}`, async (t) => {
    const server = await startEcho(t, '--max-frame', '512', ...WAYS[way].args);
    const client = connect(way, server, { max_frame_size: 600 });
    await converse(client, 20, { credit: 10, body: (n) => Buffer.alloc(50_000, n + 1) });
    await close(client);
    await server.stopsCleanly();
  });

  test(`heartbeats keep an idle connection over ${way}, and their lack ends it`, async (t) => {
    const server = await startEcho(t, '--idle-ms', '1000', ...WAYS[way].args);
    // It tells rhea half of its own.
    const kept = connect(way, server, { idle_time_out: 1000 });
    await Promise.race([once(kept.connection, 'connection_open'), kept.failed]);
    await Promise.race([sleep(4000), kept.failed]);
    await close(kept);

    const silent = connect(way, server);
    await once(silent.connection, 'connection_open');
    silent.connection.remote.open.idle_time_out = 0; // or it would send them
    silent.connection.heartbeat_out && clearTimeout(silent.connection.heartbeat_out);
    const [{ connection }] = await once(silent.connection, 'connection_error');
    assert.equal(connection.error.condition, 'amqp:resource-limit-exceeded');
    await server.stopsCleanly();
  });
}

test('other names of the subprotocol are known, and none else', async (t) => {
  const server = await startEcho(t);
  for (const name of ['AMQPWSB10', 'binary']) {
    const client = connect('ws', server, {}, [name]);
    await converse(client, 10, { credit: 10 });
    await close(client);
  }
  const socket = new WebSocket(server.url, ['mqtt']);
  await once(socket, 'error');
  await server.stopsCleanly();
});

