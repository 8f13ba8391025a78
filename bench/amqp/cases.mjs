// SPDX-License-Identifier: MIT
//
// What is compared, and the figures to reach. A case has variants; `measure` gives a figure of each,
// and each but `against` is told as a ratio to that one; also, where it matters, how much of its
// processor the load used: at 1 it is the load that sets the pace. One with `times` has so many times as
// many rounds, and shorter ones: its figures vary within seconds.

import { amqpLoad, IdleConnections } from './programs.mjs';
import { rheaLoad } from './rhea-load.mjs';

const WS_AGAINST_TCP = { variants: ['tcp', 'ws'], against: 'tcp' };
const KIB = 1024;

const loaded = (name, size, messages) => ({
  ...WS_AGAINST_TCP,
  name: `amqp-load, ${name}: messages a second`,
  atLeast: 0.7,
  messages,
  measure: async (programs, broker, way, count) => {
    const load = await amqpLoad(programs, broker, way, { messages: count, size });
    return { figure: load.messages_per_second, busy: load.cpu_seconds / load.seconds };
  },
});

export const CASES = [
  {
    ...WS_AGAINST_TCP,
    name: 'rhea, 1 KiB: messages a second',
    atLeast: 0.9,
    messages: 5000,
    times: 4,
    measure: (programs, broker, way, messages) =>
      rheaLoad(broker, way, { messages, size: KIB }),
  },
  loaded('64 B', 64, 100_000),
  loaded('1 KiB', KIB, 50_000),
  loaded('16 KiB', 16 * KIB, 8000),
  {
    name: 'idle WebSockets: broker\'s µs a message',
    variants: [1, 500, 5000],
    against: 1,
    warmUp: [1],
    atMost: 1.1,
    messages: 40_000,
    measure: async (programs, broker, idle, messages) => {
      const connections = await IdleConnections.start(programs, broker, idle);
      const load = { messages, size: KIB };
      const { server_cpu_seconds: seconds } = await amqpLoad(programs, broker, 'ws', load);
      await connections.stop();
      return { figure: seconds * 1e6 / messages };
    },
  },
];
