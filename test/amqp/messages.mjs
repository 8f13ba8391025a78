// Every message once, in order and whole, from a client over WebSocket to one over TCP, and back: of no
// byte to 5 MB, settled or not, with little credit and much, and to receivers that stop.
//
//   LWS_PROTON_BROKER, LWS_PROTON_GATEWAY, LWS_PROTON_TLS_DIR
//                             the broker, the gateway, and their cert.pem and key.pem
//   LWS_PROTON_PEER           for peers.mjs
//   LWS_PROTON_TEST_MESSAGES  so many each, instead of 400
//   LWS_PROTON_TEST_PAUSE_MS  for so long receivers stop, instead of 200

import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { startBroker, urlOf } from './broker.mjs';
import { protonPeer } from './peers.mjs';
import { RabbitMq } from './rabbitmq.mjs';
import { Server } from './server.mjs';

const { LWS_PROTON_GATEWAY, LWS_PROTON_TLS_DIR, LWS_PROTON_TEST_MESSAGES = '400',
  LWS_PROTON_TEST_PAUSE_MS = '200' } = process.env;
const ca = path.join(LWS_PROTON_TLS_DIR, 'cert.pem');
const TLS = ['--tls-cert', ca, '--tls-key', path.join(LWS_PROTON_TLS_DIR, 'key.pem')];
const MANY = Number(LWS_PROTON_TEST_MESSAGES);

const tlsOf = (scheme) => scheme === 'wss' ? TLS : [];

// Half of them each way, and a few in the ways in which they are slow, or in which what is lost is
// lost. `client` is one of peers.mjs, or as they are.
async function converse(client, websocket, tcp, prefix = '') {
  const ends = {
    client: (what, queue, count, how) => client(what, websocket, queue, count, { ca, ...how }),
    other: (what, ...how) => protonPeer(what, tcp, ...how),
  };
  let queues = 0;
  const conversation = async (from, to, count, how, stops = false) => {
    const queue = `${prefix}${client.name}-${queues += 1}`;
    const receiver = ends[to]('receive', queue, count, how);
    const sender = ends[from]('send', queue, count, how);
    const all = Promise.all([sender.done, receiver.done]);
    if (stops) {
      await Promise.race([from === 'other' ? sender.half : receiver.half, all]);
      await receiver.stop();
      await sleep(Number(LWS_PROTON_TEST_PAUSE_MS));
      await receiver.goOn();
    }
    await all;
  };
  const few = Math.ceil(MANY / 20);
  for (const [from, to] of [['client', 'other'], ['other', 'client']]) {
    await conversation(from, to, MANY / 2 - 2 * few, { credit: 1000 }, true);
    await conversation(from, to, few, { credit: 1000, settled: true });
    await conversation(from, to, few, { credit: 1 });
  }
}

// The page of a browser's client is served by the test.
const FROM_ANYWHERE = ['--origin', '*'];

// Tests of clients by name.
export function testMessages(clients) {
  for (const scheme of ['ws', 'wss'])
    for (const [name, client] of Object.entries(clients))
      test(`${name} over ${scheme}, with the broker`, async (t) => {
        const broker = await startBroker(t, ...FROM_ANYWHERE, ...tlsOf(scheme));
        await converse(client, urlOf('ws', broker), broker.amqp);
        await broker.stopsCleanly();
      });

  test('through the gateway, with RabbitMQ', async (t) => {
    const broker = await RabbitMq.create(t);
    const withUser = (url) => url.replace('://', '://guest:guest@');
    for (const scheme of ['ws', 'wss']) {
      const gateway = await Server.start(t, LWS_PROTON_GATEWAY,
        ['--broker', broker.url, ...FROM_ANYWHERE, ...tlsOf(scheme)]);
      for (const [name, client] of Object.entries(clients))
        await t.test(`${name} over ${scheme}`, () =>
          converse(client, withUser(gateway.url), withUser(broker.url), `/queue/${scheme}-`));
      await gateway.stopsCleanly();
    }
  });
}
