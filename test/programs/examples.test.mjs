// Every minimal example of libwebsockets that is built for Proton runs on it, and answers what it
// should: the table says what that is.
//
//   LWS_EXAMPLES_BUILD     a build with LWS_WITH_MINIMAL_EXAMPLES
//   LWS_EXAMPLES_SOURCE    its minimal-examples/
//   LOCAL_NET_LIBRARY      local_net.cpp

import { rm, mkdtemp } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { httpClients } from './examples/http-clients.mjs';
import { httpServers } from './examples/http-servers.mjs';
import { raw } from './examples/raw.mjs';
import { wsClients } from './examples/ws-clients.mjs';
import { wsServers } from './examples/ws-servers.mjs';
import { Scene, makeCertificate } from './scene.mjs';

const build = process.env.LWS_EXAMPLES_BUILD;
const source = process.env.LWS_EXAMPLES_SOURCE;
const table = { ...httpServers, ...httpClients, ...wsServers, ...wsClients, ...raw };

// Examples wait for each other's timers more than for a processor.
describe('examples', { concurrency: 4 }, () => {
  let scratch;
  let certificate;

  before(async () => {
    scratch = await mkdtemp(path.join(os.tmpdir(), 'lws-examples-'));
    certificate = await makeCertificate(scratch);
  });
  after(() => rm(scratch, { recursive: true, force: true }));

  for (const [program, { example, probe }] of Object.entries(table)) {
    if (!probe) continue;
    test(program, async () => {
      const scene = await Scene.create(program, { build, source, certificate });
      let passed = false;
      try {
        await probe(scene, { program, example });
        passed = true;
      } finally {
        await scene.end(passed).catch((error) => {
          passed = false;
          throw error;
        }).finally(() => passed || console.error(scene.logs));
      }
    });
  }
});
