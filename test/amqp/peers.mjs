// Clients at one end of a queue, each a process of its own: messages 0 to count - 1 go to it or come
// from it as conversation.mjs has them.
//
//   LWS_PROTON_PEER        python3 and proton_peer.py
//   LWS_PROTON_AMQP_LOAD   the load client; needed by loadPeer()

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

// `what`: send or receive. `done` once it has ended well; `half` when it says something, as it does when
// it has half of them, or ends; between stop() and goOn() it does nothing.
function peer(command, args, env = {}) {
  const child = spawn(command, args.map(String),
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  const done = once(child, 'close').then(([status]) => assert.equal(status, 0, log));
  done.catch(() => {});
  return {
    done,
    half: Promise.race([once(child.stdout, 'data'), once(child, 'close')]),
    stop: () => child.kill('SIGSTOP'),
    goOn: () => child.kill('SIGCONT'),
  };
}

// Debian's Proton for Python, over TCP, which says when it has half.
export function protonPeer(what, url, queue, count, { credit = 100, settled = false } = {}) {
  const [python, script] = process.env.LWS_PROTON_PEER.split(' ');
  return peer(python, [script, what, url, queue, count, credit, settled]);
}

// `ca` is a file for wss.
export function rheaPeer(what, url, queue, count, { credit = 100, settled = false, ca = '' } = {}) {
  return peer(process.execPath, ['rhea-peer.mjs', what, url, queue, count, credit, settled],
    { NODE_EXTRA_CA_CERTS: ca });
}

// This project's own client, by amqp-load.
export function loadPeer(what, url, queue, count, { credit = 100, settled = false, ca = '' } = {}) {
  const { protocol, host, username, password } = new URL(url);
  const args = [`--${what}`, '--url', `${protocol}//${host}/`, '--queue', queue, '--messages', count,
    '--credit', credit, '--size', 'mixed', '--largest', 5_000_000];
  if (settled) args.push('--settled');
  if (ca) args.push('--ca', ca);
  if (username) args.push('--user', username, '--password', password);
  return peer(process.env.LWS_PROTON_AMQP_LOAD, args);
}
