// What a probe of an example works with: programs on Proton, clients and servers that are not lws's,
// all in one network of their own. One scene an example.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { promisify } from 'node:util';
import WebSocket, { WebSocketServer } from 'ws';

import { LocalNet, Program } from './program.mjs';

const run = promisify(execFile);

const PATIENCE_MS = 120_000;

// A key and a certificate for every host that an example names, trusted by itself.
export async function makeCertificate(directory) {
  const hosts = ['localhost', 'warmcat.com', 'libwebsockets.org', 'httpbin.org',
    'fstream.binance.com', 'sstest2020.s3.amazonaws.com', 'alexa.na.gateway.devices.a2z.com',
    'api.amazon.com'];
  const names = [...hosts.map((host) => `DNS:${host}`), 'IP:127.0.0.1'].join(',');
  const key = path.join(directory, 'key.pem');
  const cert = path.join(directory, 'cert.pem');
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', `subjectAltName=${names}`, '-keyout', key, '-out', cert]);
  return { keyFile: key, certFile: cert, key: await readFile(key), cert: await readFile(cert) };
}

export class Scene {
  #programs = [];
  #cleanups = [];
  #directories = new Map();
  #timer;
  #abort = new AbortController();

  static async create(name, { build, source, certificate }) {
    const scene = new Scene();
    scene.name = name;
    scene.build = build;
    scene.source = source;
    scene.certificate = certificate;
    scene.scratch = await mkdtemp(path.join(os.tmpdir(), 'lws-example-'));
    const network = path.join(scene.scratch, 'net');
    await mkdir(network);
    scene.net = new LocalNet(network);
    scene.signal = scene.#abort.signal;
    setMaxListeners(0, scene.signal);
    scene.#timer = setTimeout(() => scene.#abort.abort(new Error('too slow')), PATIENCE_MS);
    return scene;
  }

  // A copy of an example's directory, so that what it writes does not stay.
  async directory(example) {
    if (!this.#directories.has(example)) {
      const copy = path.join(this.scratch, path.basename(example));
      await cp(path.join(this.source, example), copy, { recursive: true, verbatimSymlinks: true });
      this.#directories.set(example, copy);
    }
    return this.#directories.get(example);
  }

  async start(program, example, args = [], environment = {}, input = '') {
    const started = new Program(path.join(this.build, 'bin', program), args, {
      cwd: await this.directory(example),
      net: this.net,
      environment,
      input,
      signal: this.signal,
    });
    this.#programs.push(started);
    return started;
  }

  // What a program that ends by itself says; it has to end well.
  async run(program, example, args, input) {
    const started = await this.start(program, example, args, {}, input);
    const ended = once(this.signal, 'abort').then(() => 'not at all');
    assert.equal(await Promise.race([started.exit, ended]), 0, `${program} ended`);
    return started;
  }

  // The real port of what listens on `port` in this network.
  async port(port) {
    const running = this.#programs.map((program) =>
      program.exit.then(() => {
        throw new Error(`${program.name} ended, waiting for port ${port}`);
      }),
    );
    running.forEach((exit) => exit.catch(() => {}));
    return Promise.race([this.net.port(port, this.signal), ...running]);
  }

  // Makes a server of Node's the one on `port`.
  async serve(port, server) {
    const sockets = new Set();
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    await this.net.publish(port, server.address().port);
    this.#cleanups.push(() => {
      sockets.forEach((socket) => socket.destroy());
      server.close();
    });
    return server;
  }

  // What a program needs to trust the servers here.
  get trust() {
    const { LOCAL_NET_LIBRARY, LOCAL_TRUST_LIBRARY } = process.env;
    return {
      SSL_CERT_FILE: this.certificate.certFile,
      LD_PRELOAD: `${LOCAL_NET_LIBRARY}:${LOCAL_TRUST_LIBRARY}`,
    };
  }

  // An HTTP/2 and HTTP/1.1 server on `port`.
  async pageServer(port, answer) {
    const options = { ...this.certificate, allowHTTP1: true };
    return this.serve(port, http2.createSecureServer(options, answer));
  }

  // A WebSocket server on `port`; its `connection` is who connects first.
  async websocketServer(port, { overTls = true, ...options } = {}) {
    const http1 = http.createServer();
    // Without ALPN: one example offers what is no protocol.
    const server = overTls ? tls.createServer(this.certificate) : http1;
    if (overTls) server.on('secureConnection', (socket) => http1.emit('connection', socket));
    const websockets = new WebSocketServer({ server: http1, ...options });
    const first = once(websockets, 'connection', { signal: this.signal });
    const connection = first.then(([socket]) => this.#received(socket));
    connection.catch(() => {});
    await this.serve(port, server);
    return { connection };
  }

  #received(socket) {
    this.#cleanups.push(() => socket.terminate());
    return new Received(
      socket, 'message', (data, binary) => (binary ? data : data.toString()), this.signal);
  }

  // curl's answer: { status, type, version, location, body }.
  async curl(url, { port = 7681, scheme = 'http', args = [] } = {}) {
    const real = await this.port(port);
    const format = '%{stderr}%{http_code} %{http_version} %{content_type}\n%{redirect_url}';
    const { stdout, stderr } = await run(
      'curl',
      ['--silent', '--insecure', '--noproxy', '*', '--write-out', format, '--max-time', '30',
        ...args, `${scheme}://localhost:${real}${url}`],
      { encoding: 'buffer', maxBuffer: 64 << 20, signal: this.signal },
    );
    const [, status, version, type, location] =
      /^(\d+) ([\d.]+) (.*)\n(.*)$/.exec(stderr.toString());
    return { status: Number(status), version, type, location, body: stdout };
  }

  // A client's TCP connection, with what it received so far.
  async tcp(port) {
    const socket = net.connect(await this.port(port), '127.0.0.1');
    this.#cleanups.push(() => socket.destroy());
    return new Received(socket, 'data', (chunk) => chunk.toString(), this.signal);
  }

  async websocket(protocol, { port = 7681, scheme = 'ws', url = '/', options = {} } = {}) {
    const real = await this.port(port);
    const socket = new WebSocket(`${scheme}://localhost:${real}${url}`, protocol, {
      rejectUnauthorized: false,
      ...options,
    });
    const received = this.#received(socket);
    await once(socket, 'open', { signal: this.signal });
    return received;
  }

  async file(example, name) {
    return readFile(path.join(await this.directory(example), name));
  }

  // Ends what still runs, as a user would. `passed`: everything the probe wanted was there.
  async end(passed) {
    try {
      for (const cleanup of this.#cleanups) cleanup();
      for (const program of this.#programs) program.kill(passed ? 'SIGINT' : 'SIGKILL');
      const late = once(this.signal, 'abort').then(() => 'no end after SIGINT');
      for (const program of this.#programs) {
        program.status = await Promise.race([program.exit, late]);
        program.kill('SIGKILL');
      }
      if (!passed) return;
      assert.ok(this.#programs.length > 0, 'no program was started');
      for (const program of this.#programs) {
        assert.ok(await program.wasOnProton(), `${program.name} did not run on Proton`);
        assert.equal(typeof program.status, 'number', `${program.name}: ${program.status}`);
      }
    } finally {
      clearTimeout(this.#timer);
      await rm(this.scratch, { recursive: true, force: true });
    }
  }

  get logs() {
    const logs = this.#programs.map(({ name, log }) => `--- ${name}\n${log}`).join('\n');
    return `=== ${this.name}\n${logs}\n=== end of ${this.name}`;
  }
}

// What a socket received, in order, to be awaited.
class Received {
  #items = [];
  #waiting;

  constructor(socket, event, convert, signal) {
    this.socket = socket;
    this.signal = signal;
    socket.on(event, (...args) => {
      this.#items.push(convert(...args));
      this.#waiting?.();
    });
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => socket.on('close', resolve));
    this.closed.then(() => {
      this.ended = true;
      this.#waiting?.();
    });
  }

  async #until(ready) {
    while (!ready()) {
      if (this.ended) throw new Error(`closed after ${JSON.stringify(this.#items)}`);
      this.signal.throwIfAborted();
      await new Promise((resolve) => {
        this.#waiting = resolve;
        this.signal.addEventListener('abort', resolve, { once: true });
      });
    }
  }

  async next() {
    await this.#until(() => this.#items.length > 0);
    return this.#items.shift();
  }

  // All the text so far, once it matches.
  async text(pattern) {
    await this.#until(() => pattern.test(this.#items.join('')));
    return this.#items.join('');
  }

  send(data) {
    if (this.socket instanceof net.Socket) this.socket.write(data);
    else this.socket.send(data);
  }
}
