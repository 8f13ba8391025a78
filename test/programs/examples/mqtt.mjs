// minimal-examples/mqtt-client: subscribe to a broker, and publish.

import assert from 'node:assert/strict';
import net from 'node:net';

const CONNECT = 1, PUBLISH = 3, SUBSCRIBE = 8, UNSUBSCRIBE = 10, PINGREQ = 12;

// The packets of MQTT 3.1.1 in `stream`: { type, flags, body }.
async function* packets(stream) {
  let bytes = Buffer.alloc(0);
  for await (const chunk of stream) {
    bytes = Buffer.concat([bytes, chunk]);
    for (;;) {
      let length = 0;
      let header = 1;
      do {
        length |= (bytes[header] & 0x7f) << (7 * (header - 1));
      } while (bytes[header++] & 0x80);
      if (bytes.length < 2 || bytes.length < header + length) break;
      const body = bytes.subarray(header, header + length);
      yield { type: bytes[0] >> 4, flags: bytes[0] & 0xf, body };
      bytes = bytes.subarray(header + length);
    }
  }
}

function packet(type, body, flags = 0) {
  const length = body.length < 128 ? [body.length] : [body.length & 0x7f | 0x80, body.length >> 7];
  return Buffer.concat([Buffer.from([(type << 4) | flags, ...length]), body]);
}

// A broker for topics without wildcards. `published`: 'topic: bytes'.
function createBroker(published) {
  const subscribers = new Map();
  return net.createServer(async (socket) => {
    const topics = new Set();
    subscribers.set(socket, topics);
    socket.on('close', () => subscribers.delete(socket));
    const answer = (...args) => socket.write(packet(...args));
    try {
      for await (const { type, flags, body } of packets(socket)) {
        const id = body.subarray(0, 2);
        if (type === CONNECT) answer(2, Buffer.from([0, 0]));
        else if (type === PINGREQ) answer(13, Buffer.alloc(0));
        else if (type === UNSUBSCRIBE) answer(11, id);
        else if (type === SUBSCRIBE) {
          const granted = [];
          for (let at = 2; at < body.length; at += 3 + body.readUInt16BE(at)) {
            topics.add(body.toString('utf8', at + 2, at + 2 + body.readUInt16BE(at)));
            granted.push(0);
          }
          answer(9, Buffer.concat([id, Buffer.from(granted)]));
        } else if (type === PUBLISH) {
          const end = 2 + body.readUInt16BE(0);
          const topic = body.toString('utf8', 2, end);
          const acknowledged = flags & 6;
          const payload = body.subarray(acknowledged ? end + 2 : end);
          published.push(`${topic}: ${payload.length}`);
          if (acknowledged) answer(4, body.subarray(end, end + 2));
          const news = packet(PUBLISH, Buffer.concat([body.subarray(0, end), payload]));
          for (const [subscriber, wanted] of subscribers) {
            if (wanted.has(topic)) subscriber.write(news);
          }
        }
      }
    } catch {
      // It has reset the connection.
    }
  });
}

const publishes = (done, messages) => ({
  async probe(scene, { program, example }) {
    const published = [];
    await scene.serve(1883, createBroker(published));
    const client = await scene.start(program, example);
    await client.logged(done);
    for (const message of messages) assert.ok(published.includes(message), published.join('\n'));
  },
});

export const mqtt = {
  'lws-minimal-mqtt-client': {
    example: 'mqtt-client/minimal-mqtt-client',
    ...publishes(/Completed: OK/, ['test/topic: 1337']),
  },
  'lws-minimal-mqtt-client-multi': {
    example: 'mqtt-client/minimal-mqtt-client-multi',
    ...publishes(/Completed: 8\/8 ok, OK/, ['test/topic0: 1337', 'test/topic1: 1337']),
  },
};
