// SPDX-License-Identifier: MIT
//
// The load of one JavaScript client: it sends to a queue and receives from it, on one connection.

import { once } from 'node:events';

import rhea from 'rhea';
import { WebSocket } from 'ws';

const CREDIT = 1000;
const UNSETTLED = 500;

function connect(broker, way) {
  const { port } = new URL(broker.urls.tcp);
  const how = way === 'tcp' ? { host: 'localhost', port } :
    { connection_details: rhea.websocket_connect(WebSocket)(broker.urls.ws, ['amqp']) };
  return rhea.create_container().connect({ ...how, reconnect: false });
}

// Messages a second.
export async function rheaLoad(broker, way, { messages, size }) {
  const connection = connect(broker, way);
  const failed = new Promise((_, reject) => {
    for (const event of ['connection_error', 'disconnected', 'sender_error', 'receiver_error',
      'rejected', 'released'])
      connection.on(event, () => reject(new Error(`rhea over ${way}: ${event}`)));
  });
  failed.catch(() => {});
  const receiver = connection.open_receiver({ source: 'rhea', credit_window: CREDIT });
  const sender = connection.open_sender('rhea');
  await Promise.race([once(sender, 'sendable'), failed]);

  const body = rhea.message.data_section(Buffer.alloc(size, 1));
  let sent = 0, accepted = 0, received = 0;
  const begun = performance.now();
  await Promise.race([failed, new Promise((resolve) => {
    const end = () => accepted === messages && received === messages && resolve();
    const send = () => {
      for (; sent < messages && sent - accepted < UNSETTLED && sender.sendable(); sent += 1)
        sender.send({ body });
    };
    sender.on('sendable', send);
    sender.on('accepted', () => {
      accepted += 1;
      send();
      end();
    });
    receiver.on('message', () => {
      received += 1;
      end();
    });
    send();
  })]);
  const seconds = (performance.now() - begun) / 1000;
  connection.close();
  await Promise.race([once(connection, 'connection_close'), failed]);
  return messages / seconds;
}
