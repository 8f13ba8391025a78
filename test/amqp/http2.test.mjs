// AMQP over WebSocket on a stream of HTTP/2 (RFC 8441), as browsers have it over TLS: rhea, on a
// WebSocket of ws's frames and Node.js's streams.
//
//   LWS_PROTON_AMQP_ECHO    the echo program
//   LWS_PROTON_TLS_DIR      its cert.pem and key.pem

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import path from 'node:path';
import { test } from 'node:test';

import rhea from 'rhea';
import { Receiver, Sender } from 'ws';

import { failureOf } from './conversation.mjs';
import { Server } from './server.mjs';

const { LWS_PROTON_AMQP_ECHO, LWS_PROTON_TLS_DIR, LWS_PROTON_TEST_THREADS = '1' } = process.env;
const certificate = path.join(LWS_PROTON_TLS_DIR, 'cert.pem');
const TLS = ['--tls-cert', certificate, '--tls-key', path.join(LWS_PROTON_TLS_DIR, 'key.pem')];

// What rhea needs of the interface that browsers have.
function webSocketOn(session) {
  return class {
    #sender;

    constructor(url, protocols) {
      const { pathname, host } = new URL(url);
      const stream = session.request({
        ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', ':path': pathname,
        ':authority': host, 'sec-websocket-version': '13',
        'sec-websocket-protocol': protocols.join(', '),
      });
      this.#sender = new Sender(stream, {});
      const receiver = new Receiver({ isServer: false });
      stream.on('response', (answer) => {
        assert.equal(answer[':status'], 200);
        assert.equal(answer['sec-websocket-protocol'], protocols[0]);
        this.onopen();
      });
      stream.on('error', (error) => this.onerror(error));
      stream.on('close', () => this.onclose());
      receiver.on('message', (data) => this.onmessage({ data }));
      receiver.on('conclude', (code) =>
        this.#sender.close(code, '', true, () => stream.end()));
      stream.pipe(receiver);
    }

    send(data) {
      const options = { binary: true, compress: false, fin: true, mask: true };
      this.#sender.send(Buffer.from(data), options);
    }

    close() {
      this.#sender.close(1000, '', true, () => {});
    }
  };
}

async function converse(session, server, count) {
  const details = rhea.websocket_connect(webSocketOn(session))(server.url, ['amqp'], {});
  const connection =
    rhea.create_container().connect({ connection_details: details, reconnect: false });
  const failed = failureOf(connection);
  await Promise.race([once(connection, 'connection_open'), failed]);
  const receiver = connection.open_receiver({ source: 'node', credit_window: 10 });
  const sender = connection.open_sender({ target: 'node' });
  let sent = 0, received = 0;
  const all = new Promise((resolve, reject) => {
    sender.on('sendable', () => {
      for (; sent < count && sender.sendable(); sent += 1)
        sender.send({ message_id: sent, body: rhea.message.data_section(bodyOf(sent)) });
    });
    receiver.on('message', ({ message }) => {
      try {
        assert.equal(message.message_id, received);
        assert.ok(Buffer.compare(message.body.content, bodyOf(received)) === 0);
      } catch (error) {
        reject(error);
      }
      if ((received += 1) === count) resolve();
    });
  });
  await Promise.race([all, failed]);
  connection.close();
  await Promise.race([once(connection, 'connection_close'), failed]);
}

const bodyOf = (number) => Buffer.alloc([0, 10, 1000, 100_000][number % 4], number & 255);

test('AMQP goes over streams of one HTTP/2 connection', async (t) => {
  const server = await Server.start(t, LWS_PROTON_AMQP_ECHO,
    ['--threads', LWS_PROTON_TEST_THREADS, ...TLS]);
  const session = http2.connect(server.url.replace(/^wss/, 'https'),
    { ca: readFileSync(certificate) });
  t.after(() => session.destroy());
  const [settings] = await once(session, 'remoteSettings');
  assert.ok(settings.enableConnectProtocol);
  // One after the other, and then several at once.
  await converse(session, server, 20);
  await Promise.all([1, 2, 3, 4].map(() => converse(session, server, 100)));
  session.close();
  await once(session, 'close');
  await server.stopsCleanly();
});
