// Every minimal example of libwebsockets that is built for Proton runs on it, and answers what it
// should: the tables in examples/ say what that is. Those that lws's own self-tests run name these.
// docs/limits.md has the rest.
//
//   LWS_EXAMPLES_BUILD     a build with LWS_WITH_MINIMAL_EXAMPLES
//   LWS_EXAMPLES_SOURCE    its minimal-examples/
//   LWS_LIMITS             docs/limits.md
//   LOCAL_NET_LIBRARY      local_net.cpp
//   LOCAL_TRUST_LIBRARY    local_trust.cpp

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { httpClients } from './examples/http-clients.mjs';
import { httpServers } from './examples/http-servers.mjs';
import { mqtt } from './examples/mqtt.mjs';
import { offline } from './examples/offline.mjs';
import { raw } from './examples/raw.mjs';
import { secureStreams } from './examples/secure-streams.mjs';
import { wsClients } from './examples/ws-clients.mjs';
import { wsServers } from './examples/ws-servers.mjs';
import { Scene, makeCertificate } from './scene.mjs';

const build = process.env.LWS_EXAMPLES_BUILD;
const source = process.env.LWS_EXAMPLES_SOURCE;
const table = {
  ...httpServers, ...httpClients, ...wsServers, ...wsClients, ...raw, ...offline, ...secureStreams,
  ...mqtt,
};

// The directories of examples, relative to `source`.
async function findExamples(directory = '') {
  const entries = await readdir(path.join(source, directory), { withFileTypes: true });
  if (directory && entries.some(({ name }) => name === 'CMakeLists.txt')) return [directory];
  const inside = entries.filter((entry) => entry.isDirectory())
    .map(({ name }) => findExamples(path.join(directory, name)));
  return (await Promise.all(inside)).flat();
}

async function notRun() {
  const limits = await readFile(process.env.LWS_LIMITS, 'utf8');
  const [, section] = /^## lws's examples that are not run\n([^]*?)^## /m.exec(limits);
  return section.split('\n').filter((line) => line.startsWith('| `'))
    .flatMap((line) => line.split('|')[1].match(/(?<=`)[^`, ]+(?=`)/g));
}

test('each example is either run or listed among the limits', async () => {
  const run = Object.values(table).map(({ example }) => example);
  const limits = await notRun();
  const known = new Set([...run, ...limits]);
  const found = await findExamples();
  assert.deepEqual(found.filter((example) => !known.has(example)), [], 'neither');
  assert.deepEqual([...known].filter((example) => !found.includes(example)), [], 'not there');
  assert.deepEqual(limits.filter((example) => run.includes(example)), [], 'both');
});

test('the self-tests that stand for an example are there', async () => {
  const files = await readdir(path.join(build, 'minimal-examples'), { recursive: true });
  const registered = await Promise.all(files.filter((file) => file.endsWith('CTestTestfile.cmake'))
    .map((file) => readFile(path.join(build, 'minimal-examples', file), 'utf8')));
  for (const [program, { probe, selfTests }] of Object.entries(table)) {
    assert.ok(probe || selfTests, program);
    for (const name of selfTests ?? [])
      assert.ok(registered.some((file) => file.includes(`add_test(${name} `)), name);
  }
});

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
