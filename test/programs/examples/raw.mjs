// minimal-examples/raw: what each does with the bytes of a TCP connection.

import assert from 'node:assert/strict';
import net from 'node:net';

import { overTls, servesItsPages } from './pages.mjs';

const echoServer = () => net.createServer((socket) => socket.pipe(socket));

async function echoes(scene, text) {
  const client = await scene.tcp(7681);
  client.send(text);
  assert.equal(await client.text(new RegExp(text)), text);
}

export const raw = {
  'lws-minimal-raw-fallback-http-server': {
    example: 'raw/minimal-raw-fallback-http-server',
    async probe(scene, { program, example }) {
      await scene.start(program, example, ['-s']);
      await servesItsPages(scene, example, overTls);
      await echoes(scene, 'this is no http');
    },
  },
  'lws-minimal-raw-proxy': {
    example: 'raw/minimal-raw-proxy',
    async probe(scene, { program, example }) {
      await scene.serve(22, echoServer());
      await scene.start(program, example);
      await echoes(scene, 'there and back '.repeat(10_000));
    },
  },
  'lws-minimal-raw-proxy-fallback': {
    example: 'raw/minimal-raw-proxy-fallback',
    async probe(scene, { program, example }) {
      await scene.serve(22, echoServer());
      await scene.start(program, example, ['-s']);
      await servesItsPages(scene, example, overTls);
      await echoes(scene, 'this is no http '.repeat(1000));
    },
  },
  'lws-minimal-raw-vhost': {
    example: 'raw/minimal-raw-vhost',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      const [speaker, listener] = [await scene.tcp(7681), await scene.tcp(7681)];
      // Its second connection is known to be there once it has answered.
      listener.send('one');
      await listener.text(/one/);
      speaker.send('two');
      for (const client of [speaker, listener]) await client.text(/two/);
    },
  },
};
