// minimal-examples/ws-server and client-server: what each says over WebSocket.

import assert from 'node:assert/strict';
import net from 'node:net';

import { servesItsPages } from './pages.mjs';

// What one client says, all others and itself are told.
const chat = (messages) => ({
  async probe(scene, { program, example }) {
    await scene.start(program, example);
    await servesItsPages(scene, example);
    const [speaker, listener] = [
      await scene.websocket('lws-minimal'), await scene.websocket('lws-minimal')];
    for (const message of messages) {
      speaker.send(message);
      for (const client of [speaker, listener]) assert.equal(await client.next(), message);
    }
  },
});

// Threads of the program speak to each client.
const threads = (patterns) => ({
  async probe(scene, { program, example }) {
    await scene.start(program, example);
    await servesItsPages(scene, example);
    const clients = [await scene.websocket('lws-minimal'), await scene.websocket('lws-minimal')];
    for (const client of clients) for (const pattern of patterns) await client.text(pattern);
  },
});

export const wsServers = {
  'lws-minimal-ws-broker': {
    example: 'ws-server/minimal-ws-broker',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      await servesItsPages(scene, example);
      const protocol = 'lws-minimal-broker';
      const [first, second, publisher] = [
        await scene.websocket(protocol), await scene.websocket(protocol),
        await scene.websocket(protocol, { url: '/publisher' })];
      for (const news of ['one', 'two', 'three']) {
        publisher.send(news);
        for (const subscriber of [first, second]) assert.equal(await subscriber.next(), news);
      }
    },
  },
  'lws-minimal-ws-raw-proxy': {
    example: 'ws-server/minimal-ws-raw-proxy',
    async probe(scene, { program, example }) {
      await scene.serve(1234, net.createServer((socket) =>
        socket.on('data', (data) => socket.write(`raw: ${data}`))));
      await scene.start(program, example);
      const client = await scene.websocket('lws-ws-raw-ws');
      client.send('hello');
      assert.equal(await client.next(), 'raw: hello');
    },
  },
  'lws-minimal-ws-server': {
    example: 'ws-server/minimal-ws-server',
    ...chat(['hello', 'x'.repeat(100)]),
  },
  'lws-minimal-ws-server-echo': {
    example: 'ws-server/minimal-ws-server-echo',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      const client = await scene.websocket('lws-minimal-server-echo');
      for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
        const message = 'echo '.repeat(size / 5 + 1).slice(0, size);
        client.send(message);
        assert.equal(await client.next(), message, `${size} bytes`);
      }
    },
  },
  'lws-minimal-ws-server-pmd': {
    example: 'ws-server/minimal-ws-server-pmd',
    ...chat(['hello', 'x'.repeat(100)]),
  },
  'lws-minimal-ws-server-pmd-bulk': {
    example: 'ws-server/minimal-ws-server-pmd-bulk',
    async probe(scene, { program, example }) {
      const server = await scene.start(program, example);
      await servesItsPages(scene, example);
      const client = await scene.websocket('lws-minimal-pmd-bulk');
      const bulk = await client.next();
      assert.equal(bulk.length, 133_700);
      client.send(bulk);
      await server.logged(/LWS_CALLBACK_RECEIVE: +\d+ \(pss->pos=\d+, rpp +0, last 1\)/);
      assert.doesNotMatch(server.log, /doesn't match/);
    },
  },
  'lws-minimal-ws-server-pmd-corner': {
    example: 'ws-server/minimal-ws-server-pmd-corner',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      await servesItsPages(scene, example);
      const corners = [];
      for (const url of ['/1', '/2', '/3', '/4', '/5'])
        corners.push(await (await scene.websocket('lws-minimal', { url })).next());
      assert.deepEqual(corners.map(({ length }) => length), [1012, 1013, 1014, 1019, 1024]);
      for (const corner of corners) assert.ok(corners[4].subarray(0, corner.length).equals(corner));
    },
  },
  'lws-minimal-ws-server-ring': {
    example: 'ws-server/minimal-ws-server-ring',
    ...chat(['one', 'two', 'three']),
  },
  'lws-minimal-ws-server-threadpool': {
    example: 'ws-server/minimal-ws-server-threadpool',
    ...threads([/pos \d+/]),
  },
  'lws-minimal-ws-server-threads': {
    example: 'ws-server/minimal-ws-server-threads',
    ...threads([/myconfig: tid: \d+, msg: \d+/]),
  },
  'lws-minimal-ws-server-threads-smp': {
    example: 'ws-server/minimal-ws-server-threads-smp',
    ...threads([/svc, myconfig: spam tid: \d+, msg: \d+/]),
  },
  'lws-minimal-ws-server-timer': {
    example: 'ws-server/minimal-ws-server-timer',
    async probe(scene, { program, example }) {
      const server = await scene.start(program, example);
      await servesItsPages(scene, example);
      await scene.websocket('timer');
      await server.logged(/LWS_CALLBACK_TIMER/); // after 20 s
    },
  },
  'lws-minimal-ws-proxy': {
    example: 'client-server/minimal-ws-proxy',
    async probe(scene, { program, example }) {
      const upstream = await scene.websocketServer(443);
      await scene.start(program, example, [], scene.trust);
      const onward = await upstream.connection;
      const clients = [
        await scene.websocket('lws-minimal-proxy'), await scene.websocket('lws-minimal-proxy')];
      for (const news of ['1', '2', '3']) {
        onward.send(news);
        for (const client of clients) assert.equal(await client.next(), news);
      }
    },
  },
};
