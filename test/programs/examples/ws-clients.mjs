// minimal-examples/ws-client: what each says to a WebSocket server, and takes from it.

import assert from 'node:assert/strict';
import { once } from 'node:events';

export const wsClients = {
  'lws-minimal-ws-client': {
    example: 'ws-client/minimal-ws-client',
    async probe(scene, { program, example }) {
      const server = await scene.websocketServer(443);
      const client = await scene.start(program, example, [], scene.trust);
      (await server.connection).send('news for you');
      await client.logged(/news for you/);
    },
  },
  'lws-minimal-ws-client-binance': {
    example: 'ws-client/minimal-ws-client-binance',
    async probe(scene, { program, example }) {
      const server = await scene.websocketServer(443);
      const client = await scene.start(program, example, [], scene.trust);
      const exchange = await server.connection;
      const asks = [['123.45', '1']];
      exchange.send(JSON.stringify({ data: { e: 'depthUpdate', E: Date.now(), a: asks } }));
      await client.logged(/sul_hz_cb: price: min: 12345¢, max: 12345¢, avg: 12345¢/);
    },
  },
  'lws-minimal-ws-client-echo': {
    example: 'ws-client/minimal-ws-client-echo',
    async probe(scene, { program, example }) {
      const server = await scene.websocketServer(7681, { overTls: false });
      await scene.start(program, example);
      const client = await server.connection;
      for (const message of ['hello', 'x'.repeat(1000)]) {
        client.send(message);
        assert.equal(await client.next(), message);
      }
    },
  },
  'lws-minimal-ws-client-ping': {
    example: 'ws-client/minimal-ws-client-ping',
    async probe(scene, { program, example }) {
      const server = await scene.websocketServer(443);
      await scene.start(program, example, [], scene.trust);
      const { socket } = await server.connection;
      await once(socket, 'ping', { signal: scene.signal });
    },
  },
  'lws-minimal-ws-client-pmd-bulk': {
    example: 'ws-client/minimal-ws-client-pmd-bulk',
    async probe(scene, { program, example }) {
      const server = await scene.start(
        'lws-minimal-ws-server-pmd-bulk', 'ws-server/minimal-ws-server-pmd-bulk', ['-c']);
      await scene.port(7681);
      const client = await scene.start(program, example, ['-c']);
      await client.logged(/Completed OK/);
      assert.doesNotMatch(client.log + server.log, /doesn't match/);
    },
  },
  'lws-minimal-ws-client-rx': {
    example: 'ws-client/minimal-ws-client-rx',
    async probe(scene, { program, example }) {
      const server = await scene.websocketServer(443);
      const client = await scene.start(program, example, ['-t'], scene.trust);
      const connection = await server.connection;
      for (let number = 0; number < 10; number++) connection.send(String(number));
      await client.logged(/RX: 9/);
      await client.logged(/Completed/);
    },
  },
  'lws-minimal-ws-client-spam': {
    example: 'ws-client/minimal-ws-client-spam',
    async probe(scene, { program, example }) {
      await scene.websocketServer(443);
      const client = await scene.start(program, example, ['-l', '32', '-c', '3'], scene.trust);
      await client.logged(/leaving CLOSED \(try 32, est 32, sent \d+, closed 32, err 0\)[^]*Completed/);
    },
  },
  'lws-minimal-ws-client-spam-tx-rx': {
    example: 'ws-client/minimal-ws-client-spam-tx-rx',
    async probe(scene, { program, example }) {
      // It masks its message where it keeps it: the second is no text any more.
      const server = await scene.websocketServer(7681, { overTls: false, skipUTF8Validation: true });
      await scene.start(program, example);
      const { socket } = await server.connection;
      for (let messages = 0; messages < 3; messages++) {
        const [data] = await once(socket, 'message', { signal: scene.signal });
        assert.equal(data.length, 128);
      }
    },
  },
  'lws-minimal-ws-client-tx': {
    example: 'ws-client/minimal-ws-client-tx',
    async probe(scene, { program, example }) {
      await scene.start('lws-minimal-ws-broker', 'ws-server/minimal-ws-broker');
      const subscriber = await scene.websocket('lws-minimal-broker');
      await scene.start(program, example);
      await subscriber.text(/tid: \d+, msg: \d+/);
    },
  },
};
