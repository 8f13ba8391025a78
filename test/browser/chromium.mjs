// Chromium without a window.
//
//   CHROMIUM  its path (default /usr/bin/chromium)

import { chromium } from 'playwright-core';

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
}

// A WebSocket handshake is answered so: over HTTP/1.1 as an upgrade (RFC 6455), over HTTP/2 as the
// CONNECT of a stream (RFC 8441).
export const OVER_HTTP1 = 101, OVER_HTTP2 = 200;

// The status that answers each WebSocket handshake of a page from now on, as it comes.
export async function webSocketHandshakes(page) {
  const statuses = [];
  const devtools = await page.context().newCDPSession(page);
  devtools.on('Network.webSocketHandshakeResponseReceived',
    ({ response }) => statuses.push(response.status));
  await devtools.send('Network.enable');
  return statuses;
}
