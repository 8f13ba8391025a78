// The gateway: whom it lets in, which broker it goes to, and how it ends.
//
//   LWS_PROTON_AMQP_ECHO    the echo program, for a broker
//   LWS_PROTON_GATEWAY      the gateway
//   LWS_PROTON_TLS_DIR      its cert.pem and key.pem

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';

import { WebSocket } from 'ws';

import { close, connectTo, opened } from './rhea-connection.mjs';
import { Server } from './server.mjs';

const { LWS_PROTON_AMQP_ECHO, LWS_PROTON_GATEWAY, LWS_PROTON_TLS_DIR } = process.env;
const certificate = path.join(LWS_PROTON_TLS_DIR, 'cert.pem');
const TLS = ['--tls-cert', certificate, '--tls-key', path.join(LWS_PROTON_TLS_DIR, 'key.pem')];

const startBroker = (t) => Server.start(t, LWS_PROTON_AMQP_ECHO, []);
const startGateway = (t, ...args) =>
  Server.start(t, LWS_PROTON_GATEWAY, ['--status-port', '0', ...args]);
const status = (gateway, name) => fetch(gateway.status + name);

// A port on which nobody listens.
async function nobody() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return `amqp://127.0.0.1:${port}`;
}

const open = (gateway, headers = {}) => opened(connectTo(gateway.url, { headers }));

async function statusOf(gateway, headers = {}, subprotocols = ['amqp']) {
  const socket = new WebSocket(gateway.url, subprotocols, { headers });
  const [, response] = await once(socket, 'unexpected-response');
  response.resume();
  return response.statusCode;
}

async function metric(gateway, name) {
  const text = await (await status(gateway, 'metrics')).text();
  const line = text.split('\n').find((one) => one.startsWith(`lws_proton_gateway_${name} `));
  return Number(line.split(' ').pop());
}

test('a broker that is not reached is passed over', async (t) => {
  const broker = await startBroker(t);
  const gateway = await startGateway(t, '--broker', await nobody(), '--broker', broker.amqp);
  for (let i = 0; i < 4; i += 1) await close(await open(gateway));
  assert.equal(await metric(gateway, 'broker_failures_total'), 2);
  assert.equal(await metric(gateway, 'connections_total'), 4);
  await gateway.stopsCleanly();
  await broker.stopsCleanly();
});

test('without any broker the WebSocket is closed with a reason', async (t) => {
  const gateway = await startGateway(t, '--broker', await nobody(), '--broker', await nobody());
  const socket = new WebSocket(gateway.url, ['amqp']);
  const [code, reason] = await once(socket, 'close');
  assert.equal(code, 1013);
  assert.equal(String(reason), 'no broker is reached');
  assert.equal(await metric(gateway, 'unserved_total'), 1);
  await gateway.stopsCleanly();
});

test('a broker that ends closes its connections with a reason, and new ones go on', async (t) => {
  const first = await startBroker(t), second = await startBroker(t);
  const gateway = await startGateway(t, '--broker', first.amqp, '--broker', second.amqp);
  const sockets = [];
  for (let i = 0; i < 2; i += 1) {
    const socket = new WebSocket(gateway.url, ['amqp']);
    socket.closed = once(socket, 'close');
    await once(socket, 'open');
    socket.send(Buffer.from('AMQP\0\x01\0\0', 'latin1'));
    await once(socket, 'message');
    sockets.push(socket);
  }
  await first.stopsCleanly();
  const [code, reason] = await sockets[0].closed;
  assert.equal(code, 1001);
  assert.equal(String(reason), 'the broker closed the connection');
  assert.equal(sockets[1].readyState, WebSocket.OPEN);
  for (let i = 0; i < 2; i += 1) await close(await open(gateway));
  sockets[1].close();
  await sockets[1].closed;
  await gateway.stopsCleanly();
  await second.stopsCleanly();
});

test('only allowed origins, known subprotocols and so many are let in', async (t) => {
  const broker = await startBroker(t);
  const gateway = await startGateway(t, '--broker', broker.amqp, '--origin', 'http://good',
    '--max-connections', '1');
  assert.equal(await statusOf(gateway, { Origin: 'http://evil' }), 403);
  assert.equal(await statusOf(gateway, {}, []), 400);
  const connection = await open(gateway, { Origin: 'http://good' });
  assert.equal(await statusOf(gateway), 503);
  await close(connection);
  await gateway.stopsCleanly();
  await broker.stopsCleanly();
});

test('text is refused', async (t) => {
  const broker = await startBroker(t);
  const gateway = await startGateway(t, '--broker', broker.amqp);
  const socket = new WebSocket(gateway.url, ['amqp']);
  await once(socket, 'open');
  socket.send('hello');
  const [code] = await once(socket, 'close');
  assert.equal(code, 1003);
  await gateway.stopsCleanly();
  await broker.stopsCleanly();
});

test('it ends when its connections have', async (t) => {
  const broker = await startBroker(t);
  const gateway = await startGateway(t, '--broker', broker.amqp);
  assert.equal((await status(gateway, 'health')).status, 200);
  const connection = await open(gateway);
  const ended = gateway.stopsCleanly();
  while ((await status(gateway, 'health')).status !== 503);
  assert.equal(await statusOf(gateway), 503);
  await close(connection);
  await ended;
  await broker.stopsCleanly();
});

test('its status is on a port of its own, and on no other', async (t) => {
  for (const args of [[], ['--status-port', '0']]) {
    const gateway = await Server.start(t, LWS_PROTON_GATEWAY,
      ['--broker', await nobody(), ...args]);
    const url = gateway.url.replace(/^ws/, 'http');
    for (const name of ['', 'health', 'metrics'])
      assert.equal((await fetch(url + name)).status, 404, name);
    assert.equal(Boolean(gateway.status), args.length > 0);
    if (gateway.status) {
      assert.equal((await status(gateway, 'elsewhere')).status, 404);
      const socket = new WebSocket(gateway.status.replace(/^http/, 'ws'), ['amqp']);
      await once(socket, 'error');
    }
    await gateway.stopsCleanly();
  }
});

test('brokers are not reached through a proxy of the environment', async (t) => {
  const broker = await startBroker(t);
  let asked = 0;
  const proxy = createServer((socket) => {
    asked += 1;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => proxy.close());
  const gateway = await Server.start(t, LWS_PROTON_GATEWAY, ['--broker', broker.amqp],
    { env: { http_proxy: `127.0.0.1:${proxy.address().port}`, no_proxy: '' } });
  await close(await open(gateway));
  assert.equal(asked, 0);
  await gateway.stopsCleanly();
  await broker.stopsCleanly();
});

// A broker that accepts nobody until it is told to: the kernel leaves those who connect waiting.
async function startSlowBroker(t) {
  const child = spawn('/usr/bin/python3', ['-c', `
import socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen(0)
print(listener.getsockname()[1], flush=True)
sys.stdin.readline()
while True:
    listener.accept()[0].close()
`], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [line] = await once(child.stdout, 'data');
  const port = Number(line);
  // It has room for one who is not accepted yet.
  const first = connect(port, '127.0.0.1').on('error', () => {});
  await once(first, 'connect');
  return {
    url: `amqp://127.0.0.1:${port}`,
    accept() {
      first.destroy();
      child.stdin.write('\n');
    },
  };
}

test('a client may go while a broker is being reached', async (t) => {
  for (const reached of [false, true]) {
    const broker = await startSlowBroker(t);
    const gateway = await startGateway(t, '--broker', broker.url, '--handshake-seconds', '2',
      '--drain-seconds', '20');
    const socket = new WebSocket(gateway.url, ['amqp']);
    await once(socket, 'open');
    socket.send(Buffer.from('AMQP\0\x01\0\0', 'latin1'));
    // The gateway does not read meanwhile, and would not see an end.
    socket._socket.resetAndDestroy();
    await once(socket, 'close');
    if (reached) broker.accept();
    while (await metric(gateway, 'connections') !== 0);
    assert.equal(await metric(gateway, 'unserved_total'), 0);
    await gateway.stopsCleanly();
  }
});

// The status, or 0: no answer.
async function extendedConnect(session, headers) {
  const stream = session.request({
    ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':path': '/',
    ':authority': 'localhost', 'sec-websocket-version': '13', ...headers,
  });
  stream.on('error', () => {});
  let status = 0;
  stream.on('response', (answer) => (status = answer[':status']));
  await Promise.race([once(stream, 'response'), once(stream, 'close')]);
  return { stream, status };
}

test('an HTTP/2 upgrade that fails after all leaves nothing behind', async (t) => {
  const broker = await startBroker(t);
  const gateway = await startGateway(t, '--broker', broker.amqp, '--max-connections', '1', ...TLS);
  const connectTo = async () => {
    const session = http2.connect(gateway.url.replace(/^wss/, 'https'),
      { ca: readFileSync(certificate) });
    session.on('error', () => {});
    await once(session, 'remoteSettings');
    return session;
  };
  // lws finds that the list is too long for it when the gateway has taken the request.
  const long = ['amqp', ...Array.from({ length: 10 }, (_, i) => `protocol-${i}`)].join(', ');
  for (let i = 0; i < 3; i += 1) {
    const session = await connectTo();
    const { status } = await extendedConnect(session, { 'sec-websocket-protocol': long });
    assert.notEqual(status, 200);
    session.destroy();
    while (await metric(gateway, 'connections') !== 0);
  }
  assert.equal(await metric(gateway, 'refused_total{reason="full"}'), 0);
  const session = await connectTo();
  const { stream, status } = await extendedConnect(session, { 'sec-websocket-protocol': 'amqp' });
  assert.equal(status, 200);
  stream.close();
  session.close();
  await gateway.stopsCleanly();
  await broker.stopsCleanly();
});
