// The services on the internet that examples ask: warmcat.com, httpbin.org and others, as far as
// the examples look at their answers.

import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export const page = 'all of the page '.repeat(100);

const warmcat = (name, rest) => ({
  [name]: {
    endpoint: 'warmcat.com',
    port: 443,
    protocol: 'h1',
    http_method: 'GET',
    http_url: 'index.html',
    tls: true,
    opportunistic: true,
    retry: 'default',
    metadata: [
      { uptag: 'X-Upload-Tag:' }, { ctype: 'Content-Type:' }, { srv: 'server:' }, { test: 'test:' },
    ],
    ...rest,
  },
});

// Where examples are told what their streams are.
export const policy = JSON.stringify({
  release: '01234567',
  product: 'myproduct',
  'schema-version': 1,
  retry: [{ default: { backoff: [100, 200], conceal: 2, jitterpc: 0 } }],
  certs: [],
  trust_stores: [],
  s: [
    warmcat('mintest'),
    warmcat('mintest-ots'),
    warmcat('minpost', { http_method: 'POST', http_url: 'testserver/formtest' }),
  ],
});

async function httpbin(request, response) {
  const { pathname } = new URL(request.url, 'https://httpbin.org');
  const [, what, argument] = pathname.split('/');
  const body = (await request.toArray()).join('');
  if (what === 'status') response.writeHead(Number(argument)).end();
  else if (what === 'range') response.end('r'.repeat(Number(argument)));
  else if (what === 'delay')
    await sleep(Number(argument) * 1000, null, { ref: false }).then(() => response.end());
  else response.end(JSON.stringify({
    url: `https://httpbin.org${request.url}`, data: body, padding: 'p'.repeat(300),
  }, null, 2));
}

// On ports 443 and 80. `requests`: what was asked, as 'METHOD host url'.
export async function startCloud(scene, answers = {}) {
  const requests = [];
  await scene.pageServer(443, async (request, response) => {
    const host = request.authority ?? request.headers.host;
    requests.push(`${request.method} ${host} ${request.url}`);
    const answer = answers[host];
    if (answer) await answer(request, response);
    else if (host === 'httpbin.org') await httpbin(request, response);
    else if (request.url.startsWith('/policy/')) response.end(policy);
    else response.end(page);
  });
  // Whoever asks this wants to know whether there is an internet.
  await scene.serve(80, http.createServer((request, response) =>
    request.headers.host === 'httpbin.org'
      ? httpbin(request, response) : response.writeHead(204).end()));
  return { requests };
}
