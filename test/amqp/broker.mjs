// The broker under test, and what it tells of itself.
//
//   LWS_PROTON_BROKER   the broker

import { setTimeout as sleep } from 'node:timers/promises';

import { Server } from './server.mjs';

const PORTS = { ports: ['--amqp-port', '0', '--http-port', '0'] };

export const startBroker = (t, ...args) =>
  Server.start(t, process.env.LWS_PROTON_BROKER, args, PORTS);

// A WebSocket's port is the page's.
export const urlOf = (way, broker) =>
  way === 'ws' ? broker.url.replace(/^http/, 'ws') : broker.amqp;

// Of a queue; undefined: there is none of this name.
export async function numbersOf(broker, name) {
  const { queues } = await (await fetch(new URL('queues', broker.url))).json();
  return queues.find((queue) => queue.name === name);
}

// For what nothing announces. `failures`, such as `failed` of a client, end it too.
export async function until(condition, ...failures) {
  let over = false;
  const holds = (async () => {
    while (!over && !await condition()) await sleep(20);
  })();
  try {
    await Promise.race([holds, ...failures]);
  } finally {
    over = true;
  }
}
