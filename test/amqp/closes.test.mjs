// Connections that are lost at every stage, five at a time, over WebSocket and TCP, while others
// exchange messages; and a broker that is told to stop in the midst of that.
//
//   LWS_PROTON_BROKER         for broker.mjs
//   LWS_PROTON_GATEWAY        set: the gateway, which WebSockets go through
//   LWS_PROTON_TEST_THREADS   threads, instead of 1
//   LWS_PROTON_TEST_SECONDS   for so long each, instead of 3

import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { startBroker, until, urlOf } from './broker.mjs';
import { receiving, sending } from './conversation.mjs';
import { close, connectTo, opened } from './rhea-connection.mjs';
import { Server } from './server.mjs';

const { LWS_PROTON_GATEWAY, LWS_PROTON_TEST_THREADS = '1',
  LWS_PROTON_TEST_SECONDS = '3' } = process.env;
const THREADS = ['--threads', LWS_PROTON_TEST_THREADS];
const AT_A_TIME = 5;
const ROUND = 100;

// A broker, and where it is reached over TCP and WebSocket.
async function startSite(t) {
  const broker = await startBroker(t, ...THREADS, '--message-kib', '2048', '--queue-kib', '8192');
  if (!LWS_PROTON_GATEWAY) return { broker, urls: { tcp: broker.amqp, ws: urlOf('ws', broker) } };
  const gateway =
    await Server.start(t, LWS_PROTON_GATEWAY, [...THREADS, '--broker', broker.amqp]);
  return { broker, gateway, urls: { tcp: broker.amqp, ws: gateway.url } };
}

// How far it gets before it is cut. Whatever is awaited may end with the connection.
const STAGES = [
  async function asked({ socket, reached }) {
    await reached(socket, socket.readyState === 0 ? 'open' : 'connect');
  },
  async function isOpen({ connection, reached }) {
    await reached(connection, 'connection_open');
  },
  async function attached({ connection, reached }) {
    await reached(connection.open_receiver('trash'), 'receiver_open');
  },
  async function loaded(client) {
    const receiver =
      client.connection.open_receiver({ source: 'loaded', credit_window: 1000, autoaccept: false });
    let count = 0;
    const some = new Promise((resolve) =>
      receiver.on('message', () => (count += 1) === 20 && resolve()));
    await Promise.race([some, client.gone]);
  },
  async function unread({ connection, socket, reached }) {
    const receiver =
      connection.open_receiver({ source: 'loaded', credit_window: 1000, autoaccept: false });
    await reached(receiver, 'receiver_open');
    socket.pause();
    await sleep(10); // it fills
  },
  async function amidst({ connection, reached }) {
    const sender = connection.open_sender('trash');
    await reached(sender, 'sendable');
    sender.send({ body: Buffer.alloc(1_000_000) });
  },
  async function settled({ connection, reached }) {
    const sender = connection.open_sender({ target: 'trash', snd_settle_mode: 1 });
    await reached(sender, 'sendable');
    for (let i = 0; i < 3; i += 1) sender.send({ body: Buffer.alloc(100_000) });
    await sleep(1); // a part is on its way
  },
  async function detached({ connection, reached }) {
    const receiver =
      connection.open_receiver({ source: 'loaded', credit_window: 100, autoaccept: false });
    await reached(receiver, 'message');
    receiver.close();
  },
  async function closing({ connection, reached }) {
    await reached(connection, 'connection_open');
    connection.close();
  },
];

// What is no request and no AMQP yet.
const BEGINNINGS = { tcp: ['', 'AMQ'], ws: ['', 'GET / HTTP/1.1\r\nUpgr'] };

async function begin(url, bytes) {
  const socket = connect(new URL(url).port, 'localhost');
  const ended = once(socket, 'close').catch(() => {});
  socket.on('connect', () => socket.write(bytes, () => socket.resetAndDestroy()));
  await ended;
}

async function lose(url, stage) {
  const client = connectTo(url);
  // A broker that stops closes it, which is no failure.
  const closed = new Promise((resolve) => client.connection.on('connection_close', resolve));
  client.gone = Promise.race([closed, client.failed.catch(() => {})]);
  client.reached = (emitter, event) =>
    Promise.race([once(emitter, event).catch(() => {}), client.gone]);
  await stage(client);
  client.cut();
  await client.gone;
}

// Until `over` is set.
function vandalise(urls) {
  const it = { over: false, lost: 0 };
  let turn = 0;
  const one = async () => {
    while (!it.over) {
      const number = turn;
      turn += 1;
      const way = number % 2 ? 'ws' : 'tcp', stages = STAGES.length + BEGINNINGS[way].length;
      const stage = (number >> 1) % stages;
      if (stage < STAGES.length) await lose(urls[way], STAGES[stage]);
      else await begin(urls[way], BEGINNINGS[way][stage - STAGES.length]);
      it.lost += 1;
    }
  };
  it.done = Promise.all(Array.from({ length: AT_A_TIME }, one));
  return it;
}

// Messages from one to the other over and over.
function exchange(urls, from, to, queue) {
  const it = { over: false, rounds: 0, clients: [from, to].map((way) => connectTo(urls[way])) };
  it.done = (async () => {
    const [sender, receiver] = await Promise.all(it.clients.map(opened));
    for (; !it.over; it.rounds += 1) {
      const name = `${queue}${it.rounds % 20}`;
      const into = receiving(receiver, name, ROUND), out = sending(sender, name, ROUND);
      await Promise.all([into.done, out.done]);
      into.receiver.close();
      out.sender.close();
    }
    await close(sender);
    await close(receiver);
  })();
  it.done.catch(() => {});
  return it;
}

// All of it at once; what is to be `over` in the end, and is when test `t` ends.
async function bustle(t, urls) {
  const filler = await opened(connectTo(urls.tcp)), drain = await opened(connectTo(urls.ws));
  const full = sending(filler, 'loaded', Infinity, { size: 10_000 });
  await Promise.race([once(full.sender, 'accepted'), filler.failed]);
  drain.connection.open_receiver({ source: 'trash', credit_window: 10 });
  const vandals = vandalise(urls);
  const exchanges = [exchange(urls, 'ws', 'tcp', 'a'), exchange(urls, 'tcp', 'ws', 'b')];
  const cutAll = () => {
    for (const client of [...exchanges.flatMap(({ clients }) => clients), filler, drain]) client.cut();
  };
  t.after(() => {
    for (const one of [vandals, ...exchanges]) one.over = true;
    cutAll();
  });
  return { vandals, exchanges, others: [filler, drain], cutAll };
}

test('connections that are lost disturb nobody', async (t) => {
  const { broker, gateway, urls } = await startSite(t);
  const { vandals, exchanges, others } = await bustle(t, urls);
  const failed = Promise.all(exchanges.map(({ done }) => done));
  await Promise.race([sleep(1000 * Number(LWS_PROTON_TEST_SECONDS)), failed]);
  await until(() => vandals.lost >= 2 * STAGES.length && exchanges.every(({ rounds }) => rounds > 0),
    failed);
  vandals.over = true;
  for (const one of exchanges) one.over = true;
  await Promise.all([vandals.done, failed]);
  for (const client of others) await close(client);
  t.diagnostic(`${vandals.lost} lost; rounds: ${exchanges.map(({ rounds }) => rounds)}`);
  await gateway?.stopsCleanly();
  await broker.stopsCleanly();
});

test('it stops whatever its connections are about', async (t) => {
  const begun = performance.now();
  let stops = 0;
  do {
    const { broker, gateway, urls } = await startSite(t);
    const { vandals, exchanges, cutAll } = await bustle(t, urls);
    // Each time at another moment.
    await until(() => vandals.lost >= 20 + stops, ...exchanges.map(({ done }) => done));
    await broker.stopsCleanly();
    vandals.over = true;
    await vandals.done;
    cutAll();
    await gateway?.stopsCleanly();
    stops += 1;
  } while (performance.now() - begun < 1000 * Number(LWS_PROTON_TEST_SECONDS));
  t.diagnostic(`${stops} stops`);
});
