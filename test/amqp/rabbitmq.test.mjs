// The gateway before a broker that people run: messages from one gateway to another through it, and
// what becomes of the WebSockets when it dies.
//
//   LWS_PROTON_GATEWAY      the gateway

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';

import { WebSocket } from 'ws';

import { receiving, sending } from './conversation.mjs';
import { RabbitMq } from './rabbitmq.mjs';
import { close, connectTo, opened } from './rhea-connection.mjs';
import { Server } from './server.mjs';

const { LWS_PROTON_GATEWAY, LWS_PROTON_SANITIZED } = process.env;
const MANY = LWS_PROTON_SANITIZED ? 100 : 500;

const CREDENTIALS = { username: 'guest', password: 'guest' };
// RabbitMQ gives credit for more.
const most = 100;

test('messages go through a broker from one gateway to another, also when it comes back',
  async (t) => {
    const broker = await RabbitMq.create(t);
    const gateways = [];
    for (let i = 0; i < 2; i += 1)
      gateways.push(await Server.start(t, LWS_PROTON_GATEWAY, ['--broker', broker.url]));

    const converse = async (round) => {
      const clients =
        await Promise.all(gateways.map(({ url }) => opened(connectTo(url, CREDENTIALS))));
      const [one, other] = clients, queue = (name) => `/queue/${name}-${round}`;
      await Promise.all([
        sending(one, queue('forth'), MANY, { most }), receiving(other, queue('forth'), MANY),
        sending(other, queue('back'), MANY, { most }), receiving(one, queue('back'), MANY),
      ].map(({ done }) => done));
      return clients;
    };

    const clients = await converse(1);
    await broker.kill();
    for (const { ended } of clients)
      assert.deepEqual(await ended, [1001, 'the broker closed the connection']);
    for (const { url } of gateways) {
      const [code, reason] = await once(new WebSocket(url, ['amqp']), 'close');
      assert.deepEqual([code, String(reason)], [1013, 'no broker is reached']);
    }

    await broker.start();
    for (const client of await converse(2)) await close(client);
    for (const gateway of gateways) await gateway.stopsCleanly();
  });
