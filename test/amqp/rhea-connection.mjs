// What tests with rhea's connections share.

import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';

import rhea from 'rhea';
import { WebSocket } from 'ws';

import { failureOf } from './conversation.mjs';

// To a URL of ws:, wss: or amqp:, in which may be a user and a password. What is awaited on it ends with its failure, too. `ended` is how the
// WebSocket was closed; `socket` what the connection is on, `cut()` destroys it.
export function connectTo(url, { headers = {}, ca = undefined, ...options } = {}) {
  const { protocol, hostname: host, port, username, password } = new URL(url);
  const client = {};
  if (username) Object.assign(options, { username, password });
  if (protocol === 'amqp:') {
    options.connection_details = () => ({
      host, port, connect: (...how) => (client.socket = connectSocket(...how)),
    });
    client.cut = () => {
      const { socket } = client;
      if (socket.destroyed) return;
      // A reset of one that has been shut down leaves its handle open, and Node.js running.
      if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
      // rhea is not told by a socket that this end destroys, and would write to it for ever.
      socket.emit('end');
    };
  } else {
    const connect = rhea.websocket_connect(function KeepIt(...how) {
      const socket = new WebSocket(...how);
      client.ended = new Promise((resolve) =>
        socket.on('close', (code, reason) => resolve([code, String(reason)])));
      return (client.socket = socket);
    });
    options.connection_details = connect(`${protocol}//${host}:${port}/`, ['amqp'], { headers, ca });
    client.cut = () => client.socket.terminate();
  }
  client.connection = rhea.create_container().connect({ reconnect: false, ...options });
  client.failed = failureOf(client.connection);
  return client;
}

export async function opened(client) {
  await Promise.race([once(client.connection, 'connection_open'), client.failed]);
  return client;
}

export async function close({ connection, failed }) {
  connection.close();
  await Promise.race([once(connection, 'connection_close'), failed]);
}
