// The pages that most of the servers have.

import assert from 'node:assert/strict';

export const overTls = { scheme: 'https' };

// GET of `url` is the file `name` of the example, byte for byte.
export async function serves(scene, example, name, url, options) {
  const answer = await scene.curl(url, options);
  assert.equal(answer.status, 200, url);
  assert.ok(answer.body.equals(await scene.file(example, name)), `${url} is ${name}`);
  return answer;
}

export async function servesItsPages(scene, example, options) {
  await serves(scene, example, 'mount-origin/index.html', '/', options);
  await serves(
    scene, example, 'mount-origin/libwebsockets.org-logo.svg', '/libwebsockets.org-logo.svg',
    options);
  const { status, location } = await scene.curl('/no-such-page', options);
  // Some have a page of their own for this, and redirect to it.
  assert.ok(status === 404 || (status === 302 && location.endsWith('/404.html')), `${status}`);
}
