// A RabbitMQ of the test's own: nothing of it is where another could be, or stays.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const PATIENCE_MS = 120_000;

// Debian's program in the path wants to be root or the user "rabbitmq"; this is what it starts.
const PROGRAM = '/usr/lib/rabbitmq/bin/rabbitmq-server';

// Below those that the kernel gives to clients: tests beside this one have thousands of them.
const LOWEST_PORT = 20_000;
const PORTS = 10_000;

async function freePort() {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * PORTS);
    const server = createServer();
    try {
      await once(server.listen(port, '127.0.0.1'), 'listening');
    } catch {
      continue;
    }
    await once(server.close(), 'close');
    return port;
  }
}

export class RabbitMq {
  #directory = mkdtempSync(path.join(tmpdir(), 'lws-proton-rabbitmq-'));
  #environment;
  #names;
  #node;

  // Serves AMQP 1.0 at `url`, to guest with the password guest. It does not outlive test `t`.
  static async create(t) {
    const broker = new RabbitMq();
    t.after(() => broker.#remove());
    const [port, distribution, names] = [await freePort(), await freePort(), await freePort()];
    const file = (name) => path.join(broker.#directory, name);
    writeFileSync(file('plugins'), '[rabbitmq_amqp1_0].\n');
    broker.url = `amqp://127.0.0.1:${port}`;
    broker.#environment = {
      PATH: process.env.PATH,
      HOME: broker.#directory, // of Erlang's cookie
      ERL_EPMD_ADDRESS: '127.0.0.1',
      ERL_EPMD_PORT: String(names),
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      RABBITMQ_CONFIG_FILE: file('none'),
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_ENABLED_PLUGINS_FILE: file('plugins'),
      RABBITMQ_LOG_BASE: file('log'),
      RABBITMQ_MNESIA_BASE: file('data'),
      RABBITMQ_NODENAME: `lws-proton-${process.pid}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_PID_FILE: file('pid'),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
      RUNNING_UNDER_SYSTEMD: 'true', // the script becomes Erlang, and has none as its child
    };
    // Erlang would start this daemon, and leave it.
    broker.#names = broker.#spawn('epmd');
    await broker.start();
    return broker;
  }

  async start() {
    this.#node = this.#spawn(PROGRAM);
    let said = '';
    const started = new Promise((resolve, reject) => {
      for (const stream of [this.#node.stdout, this.#node.stderr])
        stream.setEncoding('utf8').on('data', (text) => {
          said += text;
          if (/completed with \d+ plugins/.test(said)) resolve();
        });
      this.#node.on('exit', () => reject(new Error(`RabbitMQ does not start:\n${said}`)));
    });
    const timer = setTimeout(() => this.#node.kill('SIGKILL'), PATIENCE_MS);
    try {
      await started;
    } finally {
      clearTimeout(timer);
    }
  }

  // As when it crashes.
  async kill() {
    const ended = once(this.#node, 'exit');
    this.#node.kill('SIGKILL');
    await ended;
  }

  // Dies with this process, also when that is killed.
  #spawn(program) {
    return spawn('setpriv', ['--pdeathsig', 'KILL', program], {
      cwd: this.#directory,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  #remove() {
    for (const child of [this.#node, this.#names]) child?.kill('SIGKILL');
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}
