// minimal-examples/http-client: what each asks of a server, and what it makes of the answer.

import assert from 'node:assert/strict';
import http from 'node:http';

const page = 'all of the page '.repeat(1000);

// How many bytes of a page the client says it has read.
const bytesRead = (log) =>
  [...log.matchAll(/RECEIVE_CLIENT_HTTP_READ: read (\d+)/g)]
    .reduce((sum, [, bytes]) => sum + Number(bytes), 0);

const servesPage = (scene, headers = {}) =>
  scene.pageServer(443, (request, response) => response.writeHead(200, headers).end(page));

// Reads one page of warmcat.com, by each of the protocols.
const reads = (done, { variants = [[], ['--h1']], headers, logs = [] } = {}) => ({
  async probe(scene, { program, example }) {
    await servesPage(scene, headers);
    for (const args of variants) {
      const client = await scene.start(program, example, args, scene.trust);
      await client.logged(done);
      assert.equal(bytesRead(client.log), page.length);
      for (const pattern of logs) assert.match(client.log, pattern);
    }
  },
});

export const httpClients = {
  'lws-minimal-http-client': {
    example: 'http-client/minimal-http-client',
    ...reads(/Completed: OK/, { logs: [/http response: 200/] }),
  },
  'lws-minimal-http-client-attach': {
    example: 'http-client/minimal-http-client-attach',
    ...reads(/main: finished/, { variants: [[]], logs: [/http response: 200/] }),
  },
  'lws-minimal-http-client-captive-portal': {
    example: 'http-client/minimal-http-client-captive-portal',
    async probe(scene, { program, example }) {
      await servesPage(scene);
      await scene.serve(80, http.createServer((request, response) =>
        response.writeHead(request.url === '/generate_204' ? 204 : 200).end()));
      const client = await scene.start(program, example, [], scene.trust);
      await client.logged(/finished OK/);
      assert.match(client.log, /established with resp 204/);
      assert.equal(bytesRead(client.log), page.length);
    },
  },
  'lws-minimal-http-client-certinfo': {
    example: 'http-client/minimal-http-client-certinfo',
    ...reads(/Completed: OK/, { logs: [/Peer Cert CN +: localhost/] }),
  },
  'lws-minimal-http-client-custom-headers': {
    example: 'http-client/minimal-http-client-custom-headers',
    ...reads(/Completed: OK/, {
      variants: [[]],
      headers: { 'test-custom-header': 'hello' },
      logs: [/custom header: 'hello'/],
    }),
  },
  'lws-minimal-http-client-h2-rxflow': {
    example: 'http-client/minimal-http-client-h2-rxflow',
    ...reads(/Completed: OK/, { variants: [['-f', '1024'], ['--h1']] }),
  },
  'lws-minimal-http-client-hugeurl': {
    example: 'http-client/minimal-http-client-hugeurl',
    async probe(scene, { program, example }) {
      const lengths = [];
      await scene.pageServer(443, (request, response) => {
        lengths.push(request.url.length);
        response.end(page);
      });
      for (const args of [[], ['--h1']]) {
        const client = await scene.start(program, example, args, scene.trust);
        await client.logged(/Completed: OK/);
        assert.equal(bytesRead(client.log), page.length);
        assert.ok(lengths.pop() > 2000);
      }
    },
  },
  'lws-minimal-http-client-jit-trust': {
    example: 'http-client/minimal-http-client-jit-trust',
    async probe(scene, { program, example }) {
      // Nobody of those in its trust store has signed this certificate.
      await servesPage(scene);
      const refusing = await scene.start(program, example, []);
      await refusing.logged(/CLIENT_CONNECTION_ERROR: server's cert didn't look good, tls=invalidca/);
      const accepting = await scene.start(program, example, ['-j']);
      await accepting.logged(/Completed: OK/);
      assert.equal(bytesRead(accepting.log), page.length);
    },
  },
  'lws-minimal-http-client-multi': {
    example: 'http-client/minimal-http-client-multi',
    async probe(scene, { program, example }) {
      await servesPage(scene);
      for (const args of [[], ['-p'], ['--h1', '-p']]) {
        const client = await scene.start(program, example, args, scene.trust);
        await client.logged(/Exiting with 0/);
        assert.equal(client.log.match(/LWS_CALLBACK_COMPLETED_CLIENT_HTTP/g).length, 8);
      }
    },
  },
  // Over HTTP/1.1 it does not say how long its body is: only lws's servers see it.
  'lws-minimal-http-client-post': {
    example: 'http-client/minimal-http-client-post',
    selfTests: ['http-client-post', 'http-client-post-h1', 'http-client-post-m'],
  },
};
