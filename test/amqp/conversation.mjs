// One message after the other from one end of a queue to the other, by rhea, in Node.js or, with what
// it exports as the global rheaUmd, in a browser. Message N has the id N, in digits, and a body of
// sizeOf(N) bytes, each N modulo 256.

const rhea = globalThis.rheaUmd ?? (await import('rhea')).default;

// Of AMQP, of a WebSocket's end, or thrown.
function wordsOf(error) {
  const { condition, description, code, reason } = error ?? {};
  return condition ? `${condition}: ${description}` : reason || code || String(error ?? '');
}

// Rejects once the connection, or anything on it, has failed, for what awaits something of it to end
// with that. `others`: events that are failures too.
export function failureOf(connection, ...others) {
  const failed = new Promise((_, reject) => {
    for (const event of ['connection_error', 'session_error', 'sender_error', 'receiver_error',
      'disconnected', 'protocol_error', 'error', ...others])
      connection.on(event, (context) =>
        reject(new Error(`${event}: ${wordsOf(context?.error ?? connection.error)}`)));
  });
  failed.catch(() => {});
  return failed;
}

// As proton_peer.py has it.
export function sizeOf(number) {
  if (number % 1000 === 999) return 5_000_000;
  if (number % 100 === 99) return 1_000_000;
  return [0, 1, 10, 100, 1000, 10_000][number % 6];
}

// `size` is of each, or a function of the number.
const sizeFor = (size, number) => typeof size === 'function' ? size(number) : size;

function bodyOf(number, size) {
  return rhea.message.data_section(new Uint8Array(size).fill(number & 255));
}

function faultOf({ message_id: id, body }, number, size) {
  // An empty one has been seen as null.
  const bytes = body?.content ?? body ?? [];
  if (id !== String(number)) return `message ${number} is ${id}`;
  if (bytes.length !== size) return `message ${number} has ${bytes.length} bytes, not ${size}`;
  for (let i = 0; i < size; i += 1)
    if (bytes[i] !== (number & 255)) return `byte ${i} of message ${number} is ${bytes[i]}`;
  return null;
}

// Once rhea has written a settled delivery, or the connection has failed. It takes more than it has
// credit for, has no event for this, and its close overtakes what it has not written.
async function written(delivery, failed) {
  let over = false;
  failed.catch(() => (over = true));
  while (!delivery.remote_settled && !over) await new Promise((resolve) => setTimeout(resolve, 10));
}

// Sends messages 0 to count - 1 as it has credit, with at most so many that are not accepted: `done`
// once all are accepted, or sent if settled.
export function sending({ connection, failed }, queue, count,
  { settled = false, most = Infinity, size = sizeOf } = {}) {
  const sender = connection.open_sender({ target: queue, snd_settle_mode: settled ? 1 : 0 });
  const it = { sender, sent: 0, accepted: 0 };
  let last;
  it.done = Promise.race([failed, new Promise((resolve, reject) => {
    const go = () => {
      for (; it.sent < count && sender.sendable() && it.sent - it.accepted < most; it.sent += 1) {
        last = sender.send({ message_id: String(it.sent), body: bodyOf(it.sent, sizeFor(size, it.sent)) });
        if (settled) it.accepted += 1;
      }
      if (settled && it.sent === count) resolve(written(last, failed));
    };
    sender.on('sendable', go);
    sender.on('accepted', () => {
      it.accepted += 1;
      if (it.accepted === count) resolve();
      go();
    });
    for (const event of ['released', 'rejected', 'modified'])
      sender.on(event, () => reject(new Error(event)));
  })]);
  it.done.catch(() => {});
  return it;
}

// Checks that messages `from` to count - 1 come in order as they were sent: `done` once all have. It
// gives credit for so many at first, and another for each unless it is stopped.
export function receiving({ connection, failed }, queue, count,
  { credit = 100, from = 0, settled = false, size = sizeOf } = {}) {
  const receiver = connection.open_receiver(
    { source: queue, credit_window: 0, snd_settle_mode: settled ? 1 : 0 });
  let stopped = false, owed = 0;
  const it = {
    receiver,
    at: from,
    stop: () => (stopped = true),
    goOn() {
      stopped = false;
      if (owed) receiver.add_credit(owed);
      owed = 0;
    },
  };
  receiver.on('receiver_open', () => receiver.add_credit(credit));
  it.done = Promise.race([failed, new Promise((resolve, reject) => {
    receiver.on('message', ({ message }) => {
      const fault = faultOf(message, it.at, sizeFor(size, it.at));
      if (fault) return reject(new Error(fault));
      it.at += 1;
      if (stopped) owed += 1;
      else receiver.add_credit(1);
      if (it.at === count) resolve();
    });
  })]);
  it.done.catch(() => {});
  return it;
}
