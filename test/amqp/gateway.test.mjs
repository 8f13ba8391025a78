// The gateway: whom it lets in, which broker it goes to, and how it ends.
//
//   LWS_PROTON_AMQP_ECHO    the echo program, for a broker
//   LWS_PROTON_GATEWAY      the gateway

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';

import rhea from 'rhea';
import { WebSocket } from 'ws';

import { Server } from './server.mjs';

const { LWS_PROTON_AMQP_ECHO, LWS_PROTON_GATEWAY } = process.env;

const startBroker = (t) => Server.start(t, LWS_PROTON_AMQP_ECHO, []);
const startGateway = (t, ...args) => Server.start(t, LWS_PROTON_GATEWAY, args);
const http = (gateway, path) => fetch(gateway.url.replace(/^ws/, 'http').replace(/\/$/, path));

// A port on which nobody listens.
async function nobody() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return `amqp://127.0.0.1:${port}`;
}

// An AMQP connection that is open.
async function open(gateway, headers = {}) {
  const connect = rhea.websocket_connect(WebSocket);
  const connection = rhea.create_container().connect(
    { connection_details: connect(gateway.url, ['amqp'], { headers }), reconnect: false });
  await once(connection, 'connection_open');
  return connection;
}

async function close(connection) {
  connection.close();
  await once(connection, 'connection_close');
}

async function statusOf(gateway, headers = {}, subprotocols = ['amqp']) {
  const socket = new WebSocket(gateway.url, subprotocols, { headers });
  const [, response] = await once(socket, 'unexpected-response');
  response.resume();
  return response.statusCode;
}

async function metric(gateway, name) {
  const text = await (await http(gateway, '/metrics')).text();
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
  assert.equal((await http(gateway, '/elsewhere')).status, 404);
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
  assert.equal((await http(gateway, '/health')).status, 200);
  const connection = await open(gateway);
  const ended = gateway.stopsCleanly();
  while ((await http(gateway, '/health')).status !== 503);
  assert.equal(await statusOf(gateway), 503);
  await close(connection);
  await ended;
  await broker.stopsCleanly();
});
