// minimal-examples/secure-streams, and those of api-tests that ask the same services.

import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';

import { page, policy, startCloud } from './cloud.mjs';

// Asks what `requests` match, in this order, and says that all went well.
const asks = (requests, { args = [], says = /Completed: OK/, answers } = {}) => ({
  async probe(scene, { program, example }) {
    const cloud = await startCloud(scene, answers);
    const client = await scene.start(program, example, args, scene.trust);
    await client.logged(says);
    assert.equal(cloud.requests.length, requests.length, cloud.requests.join('\n'));
    requests.forEach((request, index) => assert.match(cloud.requests[index], request));
  },
});

const fetchesPolicy = /^GET warmcat\.com \/policy\//;
const fetchesPage = /^GET warmcat\.com \/index\.html/;

export const secureStreams = {
  'lws-minimal-secure-streams': {
    example: 'secure-streams/minimal-secure-streams',
    ...asks([fetchesPolicy, fetchesPage]),
  },
  'lws-minimal-secure-streams-binance': {
    example: 'secure-streams/minimal-secure-streams-binance',
    async probe(scene, { program, example }) {
      const server = await scene.websocketServer(443);
      const client = await scene.start(program, example, [], scene.trust);
      const exchange = await server.connection;
      const asks = [['123.45', '1']];
      exchange.send(JSON.stringify({ data: { e: 'depthUpdate', E: Date.now(), a: asks } }));
      await client.logged(/price: min: 12345¢, max: 12345¢, avg: 12345¢/);
    },
  },
  'lws-minimal-secure-streams-blob': {
    example: 'secure-streams/minimal-secure-streams-blob',
    ...asks([fetchesPolicy, fetchesPage]),
  },
  'lws-minimal-secure-streams-cpp': {
    example: 'secure-streams/minimal-secure-streams-cpp',
    async probe(scene, { program, example }) {
      const download = '/tmp/test-a.bin'; // compiled in
      try {
        await asks([/^GET warmcat\.com \/test-a\.bin/]).probe(scene, { program, example });
        assert.equal(await readFile(download, 'utf8'), page);
      } finally {
        await rm(download, { force: true });
      }
    },
  },
  'lws-minimal-secure-streams-hugeurl': {
    example: 'secure-streams/minimal-secure-streams-hugeurl',
    async probe(scene, { program, example }) {
      const { requests } = await startCloud(scene);
      for (const args of [[], ['--h1']]) {
        const client = await scene.start(program, example, args, scene.trust);
        await client.logged(/return hugeurl len \d+ matches OK[^]*Completed: OK/);
        assert.match(requests.pop(), /^GET httpbin\.org \/anything\?x=[0-9a-f]{3000}/);
      }
    },
  },
  'lws-minimal-secure-streams-metadata': {
    example: 'secure-streams/minimal-secure-streams-metadata',
    ...asks([/^GET warmcat\.com \/$/]),
  },
  'lws-minimal-secure-streams-perf': {
    example: 'secure-streams/minimal-secure-streams-perf',
    ...asks([fetchesPolicy, fetchesPage]),
  },
  'lws-minimal-secure-streams-policy2c': {
    example: 'secure-streams/minimal-secure-streams-policy2c',
    async probe(scene, { program, example }) {
      const { output } = await scene.run(program, example, [], policy);
      assert.match(output, /static const lws_ss_policy_t [^]*\.streamtype = "mintest"/);
    },
  },
  'lws-minimal-secure-streams-post': {
    example: 'secure-streams/minimal-secure-streams-post',
    ...asks([fetchesPolicy, /^POST warmcat\.com \/testserver\/formtest/]),
  },
  'lws-minimal-secure-streams-seq': {
    example: 'secure-streams/minimal-secure-streams-seq',
    ...asks([fetchesPage]),
  },
  'lws-minimal-secure-streams-server': {
    example: 'secure-streams/minimal-secure-streams-server',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      const { status, body } = await scene.curl('/', { scheme: 'https' });
      assert.equal(status, 200);
      assert.match(body.toString(), /<html>/i);
    },
  },
  'lws-minimal-secure-streams-server-raw': {
    example: 'secure-streams/minimal-secure-streams-server-raw',
    async probe(scene, { program, example }) {
      // It would send, too, but lws 4.3.5 does not tell the stream of a raw server of a connection.
      const server = await scene.start(program, example);
      const client = await scene.tcp(7681);
      client.send('hello');
      await server.logged(/myss_raw_rx: len 5/);
    },
  },
  'lws-minimal-secure-streams-sigv4': {
    example: 'secure-streams/minimal-secure-streams-sigv4',
    async probe(scene, { program, example }) {
      const uploads = [];
      const { requests } = await startCloud(scene, {
        async 'sstest2020.s3.amazonaws.com'(request, response) {
          const body = await request.toArray();
          uploads.push({ bytes: Buffer.concat(body).length, ...request.headers });
          response.end();
        },
      });
      const home = await scene.directory(example);
      await mkdir(path.join(home, '.aws'));
      await writeFile(path.join(home, '.aws/credentials'),
        '[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n' +
        'aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n');
      const client = await scene.start(program, example, [], { ...scene.trust, HOME: home });
      await client.logged(/Completed: OK/);
      assert.match(requests[0], /^PUT sstest2020\.s3\.amazonaws\.com \/SSs3upload2?/);
      assert.match(uploads[0].authorization, /^AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/);
      assert.equal(String(uploads[0].bytes), uploads[0]['content-length']);
    },
  },
  'lws-minimal-secure-streams-smd': {
    example: 'secure-streams/minimal-secure-streams-smd',
    ...asks([], { args: ['--count', '2', '--interval', '1000'] }),
  },
  'lws-minimal-secure-streams-stress': {
    example: 'secure-streams/minimal-secure-streams-stress',
    ...asks([fetchesPolicy, ...Array(3).fill(fetchesPage)], {
      args: ['-c', '1', '--budget', '3'],
      says: /good: 3 \/ 3 budget[^]*Completed: OK/,
    }),
  },
  'lws-minimal-secure-streams-testsfail': {
    example: 'secure-streams/minimal-secure-streams-testsfail',
    async probe(scene, { program, example }) {
      await startCloud(scene);
      const client = await scene.start(program, example, [], scene.trust);
      await client.logged(/Completed: OK \(pass 18, fail 0\)/); // most of a minute of time-outs
    },
  },
  'lws-minimal-secure-streams-threads': {
    example: 'secure-streams/minimal-secure-streams-threads',
    ...asks([]),
  },
  'lws-api-test-secure-streams': {
    example: 'api-tests/api-test-secure-streams',
    ...asks([/^GET httpbin\.org \/get/, /^GET httpbin\.org \/status\/404/,
      /^POST httpbin\.org \/post/]),
  },
  'lws-api-test-lws_sequencer': {
    example: 'api-tests/api-test-lws_sequencer',
    async probe(scene, { program, example }) {
      // Its fourth step is to time out.
      await scene.serve(22, net.createServer());
      await asks([/GET \S+ \/index\.html/, /GET \S+ \/lws\.css/, /GET \S+ \/404\.html/], {
        says: /Completed: PASS/,
        answers: {
          'libwebsockets.org': (request, response) =>
            response.writeHead(request.url === '/404.html' ? 404 : 200).end(page),
        },
      }).probe(scene, { program, example });
    },
  },
};
