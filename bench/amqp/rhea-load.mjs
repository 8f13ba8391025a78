// SPDX-License-Identifier: MIT
//
// The load of one JavaScript client: it sends to a queue and receives from it, on one connection.

import { once } from 'node:events';

import rhea from 'rhea';

import { close, connectTo, opened } from './rhea-connection.mjs';

const CREDIT = 1000;
const UNSETTLED = 500;

// Messages a second, and the part of a processor that this process used for them.
export async function rheaLoad(broker, way, { messages, size }) {
  const client = await opened(connectTo(broker.urls[way]));
  const { connection, failed } = client;
  const receiver = connection.open_receiver({ source: 'rhea', credit_window: CREDIT });
  const sender = connection.open_sender('rhea');
  await Promise.race([once(sender, 'sendable'), failed]);

  const body = rhea.message.data_section(Buffer.alloc(size, 1));
  let sent = 0, accepted = 0, received = 0;
  const begun = performance.now(), used = process.cpuUsage();
  await Promise.race([failed, new Promise((resolve, reject) => {
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
    for (const event of ['released', 'rejected']) sender.on(event, () => reject(new Error(event)));
    receiver.on('message', () => {
      received += 1;
      end();
    });
    send();
  })]);
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(used);
  await close(client);
  return { figure: messages / seconds, busy: (user + system) / 1e6 / seconds };
}
