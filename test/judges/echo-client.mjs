// A client of the echo: random messages of random sizes, and each has to come back as it was.
//
// Runs in Node.js and, as text, in a page: it uses nothing from outside of it but what a WebSocket
// of either has.

// `send(socket, message, random)`, if given, sends a message. Returns the bytes that were echoed.
export async function echo(socket, { seed, volume }, send = (to, message) => to.send(message)) {
  const LARGEST = 1 << 20; // of a message, in bytes or UTF-16 units
  const MOST_UNDERWAY = 8 * LARGEST;
  const WORDS = ['lorem', 'ipsum', 'dolor', 'sit', 'amet', '£', 'žluťoučký', '日本語', '🜁', '\n'];

  // mulberry32
  let state = seed;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let n = Math.imul(state ^ (state >>> 15), 1 | state);
    n = (n + Math.imul(n ^ (n >>> 7), 61 | n)) ^ n;
    return ((n ^ (n >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (end) => Math.floor(random() * end);

  const binary = new Uint8Array(2 * LARGEST).map(() => below(256)); // does not compress
  let text = ''; // does
  while (text.length < 2 * LARGEST) text += `${WORDS[below(WORDS.length)]} `;
  const beforeCharacter = (at) => (/[\udc00-\udfff]/.test(text[at]) ? at - 1 : at);

  // Small ones as well as large ones, and none.
  const size = () => (random() < 0.5 ? below(LARGEST) : Math.floor(LARGEST ** random()) - 1);
  const message = () => {
    const length = size(), start = below(LARGEST);
    return random() < 0.5
      ? binary.subarray(start, start + length)
      : text.slice(beforeCharacter(start), beforeCharacter(start + length));
  };
  const same = (expected, data) => {
    if (typeof expected === 'string' || typeof data === 'string') return expected === data;
    const bytes = new Uint8Array(data);
    let at = 0;
    while (at < expected.length && bytes[at] === expected[at]) at += 1;
    return bytes.length === expected.length && at === expected.length;
  };

  const ended = new Promise((resolve) => {
    socket.onclose = resolve;
  });
  const failed = ended.then(({ code, reason }) => {
    throw new Error(`closed with ${code} '${reason}'`);
  });
  failed.catch(() => {}); // an end that is wanted

  const underway = [];
  let sent = 0, echoed = 0, number = 0;
  let progress;
  const fault = new Promise((_, reject) => {
    socket.onmessage = ({ data }) => {
      const expected = underway.shift();
      if (expected === undefined || !same(expected, data))
        reject(new Error(`message ${number} came back changed`));
      number += 1;
      echoed += expected?.length ?? 0;
      progress?.();
    };
  });
  const until = async (condition) => {
    while (!condition()) {
      const moved = new Promise((resolve) => {
        progress = resolve;
      });
      await Promise.race([moved, failed, fault]);
    }
  };

  socket.binaryType = 'arraybuffer';
  const opened = new Promise((resolve) => {
    socket.onopen = resolve;
  });
  if (socket.readyState === 0) await Promise.race([opened, failed]);

  while (sent < volume) {
    const next = message();
    sent += next.length;
    underway.push(next);
    send(socket, next, random);
    await until(() => sent - echoed <= MOST_UNDERWAY);
  }
  await until(() => underway.length === 0);
  await Promise.race([fault, Promise.resolve()]);

  socket.close(1000);
  const { code, wasClean } = await ended;
  if (code !== 1000 || !wasClean) throw new Error(`ended with ${code}, clean: ${wasClean}`);
  return echoed;
}
