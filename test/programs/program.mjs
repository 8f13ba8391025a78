// One program of libwebsockets, run on Proton in a network of its own (local_net.cpp).
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlink, symlink } from 'node:fs/promises';
import { watch } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const onProton = /libwebsockets-evlib_proton\.so$/m;

export class LocalNet {
  constructor(directory) {
    this.directory = directory;
  }

  // The environment that puts a program into this network.
  get environment() {
    return { LOCAL_NET: this.directory, LD_PRELOAD: process.env.LOCAL_NET_LIBRARY };
  }

  async publish(port, real) {
    await symlink(String(real), path.join(this.directory, String(port)));
  }

  // The port that a program has which listens on `port`; waits until it does.
  async port(port, signal) {
    const link = path.join(this.directory, String(port));
    const watcher = watch(this.directory, { signal });
    try {
      for (;;) {
        const changed = once(watcher, 'change', { signal });
        changed.catch(() => {});
        try {
          return Number(await readlink(link));
        } catch {
          await changed;
        }
      }
    } finally {
      watcher.close();
    }
  }
}

export class Program {
  #child;
  #listeners = new Set();
  log = '';
  output = '';
  ended = false;

  constructor(file, args, { cwd, net, environment = {}, input = '', signal }) {
    this.file = file;
    this.name = path.basename(file);
    this.signal = signal;
    this.#child = spawn(file, ['--proton', ...args], {
      cwd,
      env: { ...process.env, ...net.environment, ...environment },
      stdio: 'pipe',
    });
    this.#child.stdin.on('error', () => {});
    this.#child.stdin.end(input);
    this.#child.stdout.on('data', (text) => (this.output += text));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        this.log += text;
        this.#changed();
      });
    }
    this.exit = once(this.#child, 'close').then(([code, killedBy]) => {
      this.ended = true;
      this.#changed();
      return killedBy ?? code;
    });
  }

  #changed() {
    for (const listener of this.#listeners) listener();
  }

  // Waits until the program has logged it, `times` times; throws if it ends before.
  async logged(pattern, times = 1) {
    const all = new RegExp(pattern, pattern.flags.replace('g', '') + 'g');
    let listener;
    try {
      await new Promise((resolve, reject) => {
        listener = () => {
          if ((this.log.match(all) ?? []).length >= times) resolve();
          else if (this.ended) reject(new Error(`${this.name} ended without logging ${pattern}`));
        };
        this.signal.addEventListener('abort', () =>
          reject(new Error(`${this.name} did not log ${pattern} in time`)),
        );
        this.#listeners.add(listener);
        listener();
      });
    } finally {
      this.#listeners.delete(listener);
    }
  }

  kill(how) {
    if (!this.ended) this.#child.kill(how);
  }

  // Nothing can be on Proton in a program without a context.
  async wasOnProton() {
    if (onProton.test(this.log)) return true;
    const { stdout } = await run('nm', ['--dynamic', '--undefined-only', this.file]);
    return !stdout.includes('lws_create_context');
  }
}
