// minimal-examples/api-tests and crypto: programs without a network, most of them self-tests.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';

const selfTested = (example, ...selfTests) => ({ example, selfTests });

const signer = 'lws-crypto-jwk';

export const offline = {
  'lws-api-test-cose': selfTested('api-tests/api-test-cose', 'api-test-cose'),
  'lws-api-test-fts': {
    example: 'api-tests/api-test-fts',
    async probe(scene, { program, example }) {
      const book = 'the-picture-of-dorian-gray.txt';
      await scene.run(program, example, ['-i', './index', '-c', book]);
      const found = await scene.run(program, example, ['-i', './index', 'b']);
      assert.match(found.log, /AC beauty: \d+ agg hits/);
    },
  },
  'lws-api-test-gencrypto': selfTested('api-tests/api-test-gencrypto', 'api-test-gencrypto'),
  'lws-api-test-jose': selfTested('api-tests/api-test-jose', 'api-test-jose'),
  'lws-api-test-lecp': selfTested('api-tests/api-test-lecp', 'api-test-lecp'),
  'lws-api-test-lejp': selfTested('api-tests/api-test-lejp', 'api-test-lejp'),
  'lws-api-test-lws_cache': selfTested('api-tests/api-test-lws_cache', 'api-test-lws_cache'),
  'lws-api-test-lws_dsh': selfTested('api-tests/api-test-lws_dsh', 'api-test-lws_dsh'),
  'lws-api-test-lws_map': selfTested('api-tests/api-test-lws_map', 'api-test-lws_map'),
  'lws-api-test-lws_smd': selfTested('api-tests/api-test-lws_smd', 'api-test-lws_smd'),
  'lws-api-test-lws_struct-json': selfTested(
    'api-tests/api-test-lws_struct-json', 'api-test-lws_struct-json'),
  'lws-api-test-lws_struct-sqlite': selfTested(
    'api-tests/api-test-lws_struct_sqlite', 'api-test-lws_struct_sqlite'),
  'lws-api-test-lws_tokenize': selfTested(
    'api-tests/api-test-lws_tokenize', 'api-test-lws_tokenize'),
  'lws-api-test-lwsac': selfTested('api-tests/api-test-lwsac', 'api-test-lwsac'),
  'lws-crypto-cose-key': selfTested('crypto/minimal-crypto-cose-key', 'crypto-cose-key-1'),
  'lws-crypto-cose-sign': selfTested(
    'crypto/minimal-crypto-cose-sign', 'crypto-cose-sign-1', 'crypto-cose-sign-4'),
  'lws-crypto-jwe': {
    example: 'crypto/minimal-crypto-jwe',
    async probe(scene, { program, example }) {
      const secret = 'plaintext0123456';
      const to = ['-e', 'RSA1_5 A128CBC-HS256', '-k', 'key-rsa-4096.pub'];
      const encrypted = await scene.run(program, example, to, secret);
      const key = ['-k', 'key-rsa-4096.private'];
      const decrypted = await scene.run(program, example, key, encrypted.output);
      assert.equal(decrypted.output.trim(), secret);
    },
  },
  'lws-crypto-jwk': {
    example: 'crypto/minimal-crypto-jwk',
    async probe(scene, { program, example }) {
      const { output } = await scene.run(program, example, ['-t', 'EC', '-v', 'P-256']);
      const key = JSON.parse(output);
      assert.deepEqual([key.kty, key.crv], ['EC', 'P-256']);
      assert.ok(key.d && key.x && key.y);
    },
  },
  'lws-crypto-jws': {
    example: 'crypto/minimal-crypto-jws',
    async probe(scene, { program, example }) {
      const use = ['-t', 'EC', '-v', 'P-256', '--key-ops', 'sign verify'];
      const jwk = await scene.run(signer, example, use);
      await writeFile(path.join(await scene.directory(example), 'key'), jwk.output);
      const text = 'plaintext0123456';
      const signed = await scene.run(program, example, ['-s', 'ES256', '-k', 'key'], text);
      assert.match(signed.output, /^[\w-]+\.[\w-]+\.[\w-]+$/m);
      const verified = await scene.run(program, example, ['-k', 'key'], signed.output);
      assert.match(verified.log, /VALID/);
      const [head, , signature] = signed.output.split('.');
      const forged = await scene.start(
        program, example, ['-k', 'key'], {}, [head, 'Zm9yZ2Vk', signature].join('.'));
      await forged.logged(/verify fail/);
      await forged.exit;
    },
  },
  'lws-crypto-x509': {
    example: 'crypto/minimal-crypto-x509',
    async probe(scene, { program, example }) {
      const server = await scene.directory('http-server/minimal-http-server-tls');
      const cert = path.join(server, 'localhost-100y.cert');
      const checked = await scene.run(program, example, ['-c', cert, '-t', cert]);
      assert.match(checked.log, /verified OK/);
      assert.equal(JSON.parse(checked.output).kty, 'RSA');
    },
  },
};
