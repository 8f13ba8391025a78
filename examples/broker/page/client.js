// An AMQP client of the broker that the page came from, over WebSocket, by rhea.

import rhea from 'rhea/dist/rhea-umd.js';

const encoder = new TextEncoder();

// Messages that have been sent and not settled. rhea counts those as sent for which there is no credit
// yet, and would take all there are.
const MOST_ON_THEIR_WAY = 100;

export class Client {
  #connection;
  #changed;
  #sender = null;
  #receiver = null;
  #toSend = []; // messages, and how many of each are left
  #onTheirWay = 0;
  numbers = { sent: 0, accepted: 0, refused: 0, received: 0 };
  state = 'connecting';
  trouble = ''; // of a link

  // changed() is called after anything has.
  constructor(url, changed) {
    this.#changed = changed;
    const container = rhea.create_container();
    const connect = rhea.websocket_connect(WebSocket);
    this.#connection = container.connect({ connection_details: connect(url, ['amqp']) });
    this.#connection.on('connection_open', () => this.#tell('connected over WebSocket'));
    this.#connection.on('disconnected', () => {
      this.#onTheirWay = 0; // nobody says any more what became of them
      this.#tell('not connected; trying again');
    });
    for (const event of ['connection_error', 'error'])
      this.#connection.on(event, () => {}); // 'disconnected' follows
    for (const end of ['sender', 'receiver'])
      this.#connection.on(`${end}_error`, (context) => {
        this.trouble = context[end].error.description || context[end].error.condition;
        this.#changed();
      });
  }

  #tell(state) {
    this.state = state;
    this.#changed();
  }

  // How many wait for others to be accepted, or for credit.
  get waiting() {
    return this.#toSend.reduce((sum, { left }) => sum + left, 0);
  }

  get receiving() {
    return this.#receiver !== null;
  }

  // From now on this queue is sent to, and none received from.
  use(queue) {
    this.stopSending();
    this.stopReceiving();
    this.trouble = '';
    this.#sender?.removeAllListeners();
    this.#sender?.close();
    this.#onTheirWay = 0;
    this.#sender = this.#connection.open_sender({ target: queue });
    this.#sender.on('sendable', () => this.#go());
    this.#sender.on('accepted', () => this.#settled('accepted'));
    for (const event of ['rejected', 'released', 'modified'])
      this.#sender.on(event, () => this.#settled('refused'));
  }

  #settled(how) {
    ++this.numbers[how];
    --this.#onTheirWay;
    this.#go();
  }

  // The text, with dots up to so many bytes, so many times.
  send(text, size, count) {
    const missing = size - encoder.encode(text).length;
    this.#toSend.push({ message: { body: text + '.'.repeat(Math.max(missing, 0)) }, left: count });
    this.#go();
  }

  #go() {
    while (this.#toSend.length && this.#onTheirWay < MOST_ON_THEIR_WAY && this.#sender.sendable()) {
      const [first] = this.#toSend;
      this.#sender.send(first.message);
      if (--first.left === 0) this.#toSend.shift();
      ++this.numbers.sent;
      ++this.#onTheirWay;
    }
    this.#changed();
  }

  stopSending() {
    this.#toSend = [];
    this.#changed();
  }

  // Each message is accepted `pace` ms after the one before it and then has its credit given again;
  // with Infinity none is. arrived(body) is told of each when it comes.
  receive(queue, credit, pace, arrived) {
    const receiver =
      this.#connection.open_receiver({ source: queue, credit_window: 0, autoaccept: false });
    this.#receiver = receiver;
    receiver.on('receiver_open', () => receiver.add_credit(credit));
    let due = 0;
    const accept = (delivery) => {
      if (receiver !== this.#receiver) return;
      delivery.accept();
      receiver.add_credit(1);
    };
    receiver.on('message', ({ delivery, message }) => {
      ++this.numbers.received;
      this.#changed();
      arrived(message.body);
      due = Math.max(due, Date.now()) + pace;
      if (pace === 0) accept(delivery);
      else if (pace !== Infinity) setTimeout(accept, due - Date.now(), delivery);
    });
    this.#changed();
  }

  // What is not accepted goes back to the queue.
  stopReceiving() {
    this.#receiver?.close();
    this.#receiver = null;
    this.#changed();
  }
}
