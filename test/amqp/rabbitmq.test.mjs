// The gateway before a broker that people run: messages from one gateway to another through it, and
// what becomes of the WebSockets when it dies.
//
//   LWS_PROTON_GATEWAY      the gateway

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';

import rhea from 'rhea';
import { WebSocket } from 'ws';

import { RabbitMq } from './rabbitmq.mjs';
import { failureOf } from './rhea-connection.mjs';
import { Server } from './server.mjs';

const { LWS_PROTON_GATEWAY, LWS_PROTON_SANITIZED } = process.env;
const MANY = LWS_PROTON_SANITIZED ? 100 : 1000;

const bodyOf = (number) => Buffer.alloc([0, 1, 100, 10_000, 200_000][number % 5], number & 255);

// A WebSocket, with how it ended, and AMQP on it.
class Client {
  static async open(gateway) {
    const client = new Client();
    class Noted extends WebSocket {
      constructor(...args) {
        super(...args);
        client.ended = once(this, 'close').then(([code, reason]) => [code, String(reason)]);
      }
    }
    const details = rhea.websocket_connect(Noted)(gateway.url, ['amqp'], {});
    client.connection = rhea.create_container().connect(
      { connection_details: details, username: 'guest', password: 'guest', reconnect: false });
    client.failed = failureOf(client.connection, 'rejected', 'released');
    await Promise.race([once(client.connection, 'connection_open'), client.failed]);
    return client;
  }

  // So many messages to a queue, each accepted by the broker.
  async send(queue, count) {
    const sender = this.connection.open_sender(queue);
    let sent = 0, accepted = 0;
    const all = new Promise((resolve) => {
      sender.on('accepted', () => (accepted += 1) === count && resolve());
    });
    sender.on('sendable', () => {
      for (; sent < count && sender.sendable(); sent += 1)
        sender.send({ message_id: String(sent), body: rhea.message.data_section(bodyOf(sent)) });
    });
    await Promise.race([all, this.failed]);
  }

  async expect(queue, count) {
    const receiver = this.connection.open_receiver({ source: queue, credit_window: 100 });
    let received = 0;
    const all = new Promise((resolve, reject) => {
      receiver.on('message', ({ message }) => {
        try {
          assert.equal(message.message_id, String(received));
          assert.ok(Buffer.compare(message.body.content, bodyOf(received)) === 0);
        } catch (error) {
          reject(error);
        }
        if ((received += 1) === count) resolve();
      });
    });
    await Promise.race([all, this.failed]);
  }

  async close() {
    this.connection.close();
    await Promise.race([once(this.connection, 'connection_close'), this.failed]);
  }
}

test('messages go through a broker from one gateway to another, also when it comes back',
  async (t) => {
    const broker = await RabbitMq.create(t);
    const gateways = [];
    for (let i = 0; i < 2; i += 1)
      gateways.push(await Server.start(t, LWS_PROTON_GATEWAY, ['--broker', broker.url]));

    const converse = async (round) => {
      const clients = await Promise.all(gateways.map((gateway) => Client.open(gateway)));
      const [one, other] = clients, queue = (name) => `/queue/${name}-${round}`;
      await Promise.all([
        one.send(queue('forth'), MANY), other.expect(queue('forth'), MANY),
        other.send(queue('back'), MANY), one.expect(queue('back'), MANY),
      ]);
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
    for (const client of await converse(2)) await client.close();
    for (const gateway of gateways) await gateway.stopsCleanly();
  });
