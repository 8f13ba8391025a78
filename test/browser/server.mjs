// A program under test as a child process.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const PATIENCE_MS = 30_000;

async function within(what, promise) {
  let timer;
  const tooLate = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} in ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

export class Server {
  #child;
  #ended;
  #out = '';
  #log = '';

  // It does not outlive test `t`, however that ends. `env` is added to the environment.
  static async start(t, program, args, { ports = ['--port', '0'], env = {} } = {}) {
    const server = new Server(program, [...ports, ...args], env);
    t.after(() => {
      if (server.#child.kill('SIGKILL')) console.error(`the server's log:\n${server.#log}`);
    });
    await server.#readReadyLine();
    return server;
  }

  constructor(program, args, env) {
    this.#child = spawn(program, args.map(String),
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.#child.stdout.setEncoding('utf8').on('data', (text) => (this.#out += text));
    this.#child.stderr.setEncoding('utf8').on('data', (text) => (this.#log += text));
    this.#ended = once(this.#child, 'close');
    this.#ended.catch(() => {}); // whoever awaits it hears of it
  }

  get pid() {
    return this.#child.pid;
  }

  async #readReadyLine() {
    const died = this.#ended.then(([status]) => {
      throw new Error(`the server ended with status ${status} before it was ready:\n${this.#log}`);
    });
    const line = (async () => {
      while (!this.#out.includes('\n')) await once(this.#child.stdout, 'data');
    })();
    await within('ready line', Promise.race([line, died]));
    const url = '://localhost:\\d+';
    const match = new RegExp(`^ready: (\\w+${url}/)(?: (amqp${url})/?)?(?: (http${url}/))?\n$`)
      .exec(this.#out);
    assert.ok(match, `not a ready line: ${this.#out}`);
    [, this.url, this.amqp, this.status] = match;
  }

  async stopsCleanly() {
    this.#child.kill('SIGTERM');
    const [status, signal] = await within('end of the server', this.#ended);
    assert.deepEqual({ status, signal }, { status: 0, signal: null }, this.#log);
    assert.doesNotMatch(this.#log, / E: /);
    assert.equal(this.#out.split('\n').length, 2, `more than the ready line: ${this.#out}`);
  }
}
