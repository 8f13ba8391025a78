// What rhea sends from a page in Chromium arrives: ../amqp/messages.mjs.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before } from 'node:test';

import { launch } from './chromium.mjs';
import { testMessages } from './messages.mjs';

// What the page has, by its path.
const FILES = {
  '/': ['text/html', '<!doctype html><script src="rhea.js"></script>'],
  '/conversation.mjs': ['text/javascript', await readFile('conversation.mjs')],
  '/rhea.js': ['text/javascript', await readFile('node_modules/rhea/dist/rhea-umd.js')],
};

let browser, origin;

const server = createServer(({ url }, response) => {
  const [type, text] = FILES[url] ?? [];
  response.writeHead(text ? 200 : 404, { 'content-type': type ?? 'text/plain' }).end(text);
});

before(async () => {
  await once(server.listen(0, 'localhost'), 'listening');
  origin = `http://localhost:${server.address().port}`;
  browser = await launch();
});

after(async () => {
  await browser?.close();
  server.close();
});

async function openPage() {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  return page;
}

// In the page.
async function converse({ what, url, queue, count, how }) {
  const { failureOf, receiving, sending } = await import('/conversation.mjs');
  const { protocol, host, username, password } = new URL(url);
  const connect = window.rheaUmd.websocket_connect(WebSocket);
  const connection = window.rheaUmd.create_container().connect({
    connection_details: connect(`${protocol}//${host}/`, ['amqp']),
    ...(username ? { username, password } : {}),
    reconnect: false,
  });
  const failed = failureOf(connection);
  window.it = { send: sending, receive: receiving }[what]({ connection, failed }, queue, count, how);
  await window.it.done;
  const closed = new Promise((resolve) => connection.on('connection_close', resolve));
  connection.close();
  await Promise.race([closed, failed]);
}

// As those of peers.mjs; it stops by giving no credit.
function chromiumPeer(what, url, queue, count, { credit = 100, settled = false } = {}) {
  const opened = openPage();
  const how = { credit, settled, most: 100 };
  const done = opened.then(async (page) => {
    await page.evaluate(converse, { what, url, queue, count, how });
    await page.context().close();
  });
  done.catch(() => {});
  // What it sends or receives with may not be there yet, and be gone: then it matters how it ended.
  const tell = async (what) => {
    const page = await opened;
    try {
      await page.waitForFunction(() => window.it, null, { timeout: 0 });
      await page.evaluate((how) => window.it[how](), what);
    } catch (error) {
      if (!page.isClosed()) throw error;
      await done;
    }
  };
  return { done, stop: () => tell('stop'), goOn: () => tell('goOn') };
}

testMessages({ 'rhea in Chromium': chromiumPeer });
