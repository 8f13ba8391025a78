// The echo program for a test, and what is sent to it: see npm-ws.test.mjs.

import path from 'node:path';

import { Server } from './server.mjs';

const { LWS_PROTON_ECHO, LWS_PROTON_TLS_DIR, LWS_PROTON_ECHO_MB, LWS_PROTON_ECHO_SEED } =
  process.env;

export const certificate = path.join(LWS_PROTON_TLS_DIR, 'cert.pem');
export const TLS =
  ['--tls-cert', certificate, '--tls-key', path.join(LWS_PROTON_TLS_DIR, 'key.pem')];

export const ECHO = {
  seed: Number(LWS_PROTON_ECHO_SEED ?? Math.floor(Math.random() * 2 ** 32)),
  volume: Number(LWS_PROTON_ECHO_MB ?? 100) * 1_000_000,
};
console.log(`seed ${ECHO.seed}`);

export function startEcho(t, args) {
  return Server.start(t, LWS_PROTON_ECHO, args);
}
