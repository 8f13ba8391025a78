// minimal-examples/http-server: what each serves.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import https from 'node:https';
import path from 'node:path';

import { overTls, serves, servesItsPages } from './pages.mjs';

const pages = (args, options) => ({
  async probe(scene, { program, example }) {
    await scene.start(program, example, args);
    await servesItsPages(scene, example, options);
  },
});

async function takesForm(scene, form, options) {
  const answer = await scene.curl('/form1', { ...options, args: form });
  assert.equal(answer.status, 301);
  assert.match(answer.location, /\/after-form1\.html$/);
}

const posts = ['--data', 'text1=from curl&send=Send'];

const smp = (args = []) => ({
  async probe(scene, { program, example }) {
    await scene.start(program, example, ['-t', '4', ...args]);
    const visits = Array.from({ length: 8 }, () => servesItsPages(scene, example));
    await Promise.all(visits);
  },
});

const sse = (url, events) => ({
  async probe(scene, { program, example }) {
    await scene.start(program, example);
    await serves(scene, example, 'mount-origin/index.html', '/');
    const client = await scene.tcp(7681);
    client.send(`GET ${url} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const text = await client.text(events);
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n[^]*content-type: text\/event-stream/);
  },
});

export const httpServers = {
  'lws-minimal-http-server': {
    example: 'http-server/minimal-http-server',
    ...pages([]),
  },
  'lws-minimal-http-server-basicauth': {
    example: 'http-server/minimal-http-server-basicauth',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      await servesItsPages(scene, example);
      const refused = await scene.curl('/secret/index.html');
      assert.equal(refused.status, 401);
      await serves(scene, example, 'mount-secret-origin/index.html', '/secret/index.html', {
        args: ['--user', 'user:password'],
      });
    },
  },
  'lws-minimal-http-server-custom-headers': {
    example: 'http-server/minimal-http-server-custom-headers',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      for (const options of [{}, { port: 7682, ...overTls, args: ['--http1.1'] }]) {
        const args = [...(options.args ?? []), '--header', 'DNT: 1'];
        const { body } = await scene.curl('/dyn', { ...options, args });
        assert.match(body.toString(), /DNT length 1<br>.*DNT value '1'/);
      }
    },
  },
  'lws-minimal-http-server-deaddrop': {
    example: 'http-server/minimal-http-server-deaddrop',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      assert.equal((await scene.curl('/', overTls)).status, 401);
      const user = ['--user', 'user1:password'];
      await serves(scene, example, 'mount-origin/index.html', '/', { ...overTls, args: user });
      const file = path.join(await scene.directory(example), 'mount-origin/drop.svg');
      const upload = [...user, '--form', `file=@${file};filename=drop.zip`, '--http1.1'];
      assert.equal((await scene.curl('/upload/x', { ...overTls, args: upload })).status, 200);
      const { body } = await scene.curl('/get/user1/drop.zip', { ...overTls, args: user });
      assert.ok(body.equals(await readFile(file)));
    },
  },
  'lws-minimal-http-server-dynamic': {
    example: 'http-server/minimal-http-server-dynamic',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      await servesItsPages(scene, example);
      for (const options of [{}, { port: 7682, ...overTls }, { port: 7682, ...overTls,
        args: ['--http1.1'] }]) {
        const { body } = await scene.curl('/dyn/500', options);
        const text = body.toString();
        assert.match(text, /Dynamic content for '\/500'/);
        assert.match(text, /500\.\d+: this is some content\.\.\. <br><br>$/);
        assert.ok(text.length > 500 * 1024, `${text.length} bytes`);
      }
    },
  },
  'lws-minimal-http-server-eventlib': {
    example: 'http-server/minimal-http-server-eventlib',
    ...pages(['-s'], overTls),
  },
  'lws-minimal-http-server-eventlib-demos': {
    example: 'http-server/minimal-http-server-eventlib-demos',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      await serves(scene, example, 'mount-origin/test.html', '/');
      await serves(scene, example, 'mount-origin/http2.png', '/http2.png');
      const counter = await scene.websocket('dumb-increment-protocol');
      assert.equal(await counter.next(), '0');
      assert.equal(await counter.next(), '1');
      const [drawing, watching] = [
        await scene.websocket('lws-mirror-protocol'), await scene.websocket('lws-mirror-protocol')];
      drawing.send('d #ff0000 1 2 3 4;');
      assert.equal(await watching.next(), 'd #ff0000 1 2 3 4;');
    },
  },
  'lws-minimal-http-server-eventlib-smp': {
    example: 'http-server/minimal-http-server-eventlib-smp',
    ...smp(),
  },
  'lws-minimal-http-server-form-get': {
    example: 'http-server/minimal-http-server-form-get',
    async probe(scene, { program, example }) {
      const server = await scene.start(program, example);
      await servesItsPages(scene, example);
      await takesForm(scene, ['--get', '--data-urlencode', 'text1=from curl']);
      await server.logged(/text1: \(len 9\) 'from curl'/);
    },
  },
  'lws-minimal-http-server-form-post': {
    example: 'http-server/minimal-http-server-form-post',
    async probe(scene, { program, example }) {
      const server = await scene.start(program, example, ['-s']);
      await servesItsPages(scene, example, overTls);
      await takesForm(scene, posts, overTls);
      await server.logged(/text1: \(len 9\) 'from curl'/);
    },
  },
  'lws-minimal-http-server-form-post-file': {
    example: 'http-server/minimal-http-server-form-post-file',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      const directory = await scene.directory(example);
      const file = path.join(directory, 'mount-origin/libwebsockets.org-logo.svg');
      await takesForm(scene, ['--form', `file=@${file};filename=up.svg`, '--form', 'text1=x']);
      const uploaded = await readFile(path.join(directory, 'up.svg'));
      assert.ok(uploaded.equals(await readFile(file)));
    },
  },
  'lws-minimal-http-server-form-post-lwsac': {
    example: 'http-server/minimal-http-server-form-post-lwsac',
    async probe(scene, { program, example }) {
      const server = await scene.start(program, example, ['-s']);
      await takesForm(scene, posts, overTls);
      await server.logged(/text1: \(len 9\) 'from curl'/);
    },
  },
  'lws-minimal-http-server-fulltext-search': {
    example: 'http-server/minimal-http-server-fulltext-search',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      await servesItsPages(scene, example);
      const { body } = await scene.curl('/fts/a/pictur');
      assert.ok(JSON.parse(body).ac.some(({ ac }) => ac === 'picture'), body.toString());
    },
  },
  'lws-minimal-http-server-h2-long-poll': {
    example: 'http-server/minimal-http-server-h2-long-poll',
    async probe(scene, { program, example }) {
      const server = await scene.start(program, example);
      await scene.port(7681);
      const client = await scene.start(
        'lws-minimal-http-client', 'http-client/minimal-http-client', ['-l', '--long-poll', '-j']);
      await client.logged(/RECEIVE_CLIENT_HTTP_READ: read \d+/);
      await server.logged(/connect/);
    },
  },
  'lws-minimal-http-server-mimetypes': {
    example: 'http-server/minimal-http-server-mimetypes',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      await servesItsPages(scene, example);
      const name = 'test.tar.bz2';
      const { type } = await serves(scene, example, `mount-origin/${name}`, `/${name}`);
      assert.equal(type, 'application/x-bzip2');
    },
  },
  'lws-minimal-http-server-multivhost': {
    example: 'http-server/minimal-http-server-multivhost',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      const hosts = [['localhost1', 7681], ['localhost2', 7682], ['localhost3', 7682]];
      for (const [host, port] of hosts)
        await serves(scene, example, `mount-origin-${host}/index.html`, '/', {
          port,
          args: ['--header', `Host: ${host}:${port}`],
        });
    },
  },
  'lws-minimal-http-server-proxy': {
    example: 'http-server/minimal-http-server-proxy',
    async probe(scene, { program, example }) {
      const large = 'from upstream '.repeat(100_000);
      await scene.serve(443, https.createServer(scene.certificate, (request, response) =>
        response.end(request.url === '/large' ? large : `upstream ${request.url}`)));
      await scene.start(program, example, [], scene.trust);
      for (const args of [[], ['--http1.1']]) {
        const page = await scene.curl('/page', { ...overTls, args });
        assert.equal(page.body.toString(), 'upstream /page');
        assert.equal((await scene.curl('/large', { ...overTls, args })).body.toString(), large);
      }
    },
  },
  'lws-minimal-http-server-smp': {
    example: 'http-server/minimal-http-server-smp',
    ...smp(),
  },
  'lws-minimal-http-server-sse': {
    example: 'http-server/minimal-http-server-sse',
    ...sse('/sse', /data: 0\r\n\r\n[^]*data: 3\r\n\r\n/),
  },
  'lws-minimal-http-server-sse-ring': {
    example: 'http-server/minimal-http-server-sse-ring',
    ...sse('/sse', /data: [^\n]*\n[^]*data: [^\n]*\n/),
  },
  'lws-minimal-http-server-tls': {
    example: 'http-server/minimal-http-server-tls',
    ...pages([], overTls),
  },
  'lws-minimal-http-server-tls-80': {
    example: 'http-server/minimal-http-server-tls-80',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      await servesItsPages(scene, example, { port: 443, ...overTls });
      const { status, location } = await scene.curl('/', { port: 80 });
      assert.equal(status, 301);
      assert.match(location, /^https:/);
    },
  },
  'lws-minimal-http-server-tls-mem': {
    example: 'http-server/minimal-http-server-tls-mem',
    async probe(scene, { program, example }) {
      await scene.start(program, example);
      await servesItsPages(scene, example, overTls);
      await servesItsPages(scene, example, { port: 7682, ...overTls });
    },
  },
};
