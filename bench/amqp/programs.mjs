// SPDX-License-Identifier: MIT
//
// The broker and the C client of it, each on a processor of its own: what one takes the other does not
// have to wait for.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

// scripts/bench-amqp has this process on the load's.
const BROKER_CPU = 0, LOAD_CPU = 1;

// None outlives a measurement that fails, or that is told to end.
const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

function start(cpu, ...command) {
  const child = spawn('taskset', ['-c', cpu, ...command].map(String),
    { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  child.on('exit', () => children.delete(child));
  return child;
}

// A program that says one line once it is ready, and ends when it is told to.
class Program {
  static async start(cpu, ...command) {
    const child = start(cpu, ...command), ended = once(child, 'exit');
    const lines = createInterface({ input: child.stdout });
    const [line] = await Promise.race([
      once(lines, 'line'),
      ended.then(([status]) => {
        throw new Error(`${command[0]} ended with ${status} before it was ready`);
      }),
    ]);
    const program = new this();
    Object.assign(program, { child, ended, line });
    return program;
  }

  async stop() {
    this.child.kill('SIGTERM');
    const [status] = await this.ended;
    if (status !== 0) throw new Error(`${this.child.spawnargs[3]} ended with ${status}`);
  }
}

export class Broker extends Program {
  static async start(programs) {
    const broker = await super.start(BROKER_CPU, `${programs}/broker`,
      '--amqp-port', 0, '--http-port', 0, '--threads', 1);
    const [, http, amqp] = /:(\d+)\/ amqp:\/\/localhost:(\d+)\//.exec(broker.line);
    broker.urls = { ws: `ws://localhost:${http}`, tcp: `amqp://localhost:${amqp}` };
    return broker;
  }
}

// Of a process each: lws keeps timers in a list, in which each new one looks for its place, and who has
// thousands takes seconds to open them.
const IDLE_OF_ONE = 500;

export class IdleConnections {
  static async start(programs, broker, count) {
    const it = new this();
    it.holders = [];
    for (let left = count; left > 0; left -= IDLE_OF_ONE)
      it.holders.push(await Program.start(LOAD_CPU, `${programs}/amqp-load`,
        '--url', broker.urls.ws, '--idle', Math.min(left, IDLE_OF_ONE)));
    return it;
  }

  // In turn: thousands that all close at once wait longer for the broker's answer than they may.
  async stop() {
    for (const holder of this.holders) await holder.stop();
  }
}

// What amqp-load tells of a run of so many messages.
export async function amqpLoad(programs, broker, way, { messages, size }) {
  const child = start(LOAD_CPU, `${programs}/amqp-load`, '--url', broker.urls[way],
    '--messages', messages, '--size', size, '--server-pid', broker.child.pid);
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  const [status] = await once(child, 'close');
  if (status !== 0) throw new Error(`amqp-load over ${way} ended with ${status}`);
  return JSON.parse(out);
}
