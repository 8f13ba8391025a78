// The page: a queue is chosen, sent to and received from; what the broker says of it is drawn.

import { Chart } from './chart.js';
import { Client } from './client.js';
import { watch } from './numbers.js';

const MOST_SHOWN = 20, MOST_CHARACTERS = 200;

const $ = (id) => document.getElementById(id);
const whole = (number) => Math.round(number).toLocaleString();

let queue = $('queue').value;
const client = new Client(`${location.origin.replace(/^http/, 'ws')}/`, show);
const depth = new Chart($('depth'), ['waiting', 'taken']);
const rates = new Chart($('rates'), ['in', 'out']);

function show() {
  const { sent, accepted, refused, received } = client.numbers;
  $('connection').textContent = client.state;
  $('sent').textContent = client.trouble || [
    `${whole(sent)} sent, ${whole(accepted)} accepted`,
    refused && `${whole(refused)} refused`,
    client.waiting && `${whole(client.waiting)} wait for credit`,
  ].filter(Boolean).join(', ');
  $('received').textContent = `${whole(received)} received`;
  $('receiving').setAttribute('aria-pressed', client.receiving);
  $('receiving').textContent = client.receiving ? 'Stop' : 'Receive';
}

function use(name) {
  queue = $('queue').value = name;
  depth.clear();
  rates.clear();
  client.use(name);
}

function textOf(body) {
  if (typeof body === 'string') return body;
  if (body?.content?.length !== undefined) return `${body.content.length} bytes`;
  return JSON.stringify(body) ?? '';
}

function arrived(body) {
  const item = document.createElement('li');
  item.value = client.numbers.received;
  const text = textOf(body);
  item.textContent = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
  $('messages').prepend(item);
  if ($('messages').children.length > MOST_SHOWN) $('messages').lastChild.remove();
}

function makeRow(name) {
  const button = document.createElement('button');
  button.textContent = name;
  button.onclick = () => use(name);
  const tr = document.createElement('tr');
  tr.insertCell().append(button);
  for (let i = 0; i < 3; ++i) tr.insertCell();
  return tr;
}

const rows = new Map(); // by name

// What may have the focus, or be open, stays as long as its queue does.
function list(queues) {
  const names = queues.map(({ name }) => name).sort((a, b) => a.localeCompare(b));
  if (names.length !== rows.size || !names.every((name) => rows.has(name))) {
    for (const name of rows.keys()) if (!names.includes(name)) rows.delete(name);
    for (const name of names) if (!rows.has(name)) rows.set(name, makeRow(name));
    $('table').replaceChildren(...names.map((name) => rows.get(name)));
    $('queues').replaceChildren(...names.map((name) => new Option(name)));
  }
  for (const { name, messages, unsettled, bytes } of queues)
    [messages, unsettled, bytes].forEach((number, i) => {
      rows.get(name).cells[i + 1].textContent = whole(number);
    });
}

$('choice').onsubmit = (event) => {
  event.preventDefault();
  use($('queue').value);
};

$('send').onsubmit = (event) => {
  event.preventDefault();
  client.send($('text').value, $('size').valueAsNumber, $('count').valueAsNumber);
};

$('stop').onclick = () => client.stopSending();

$('receive').onsubmit = (event) => {
  event.preventDefault();
  if (client.receiving) client.stopReceiving();
  else client.receive(queue, $('credit').valueAsNumber, Number($('pace').value), arrived);
};

use(queue);

watch((told, of) => {
  if (!told) return;
  const now = of(queue);
  depth.add(told.ms, [now.messages, now.unsettled]);
  rates.add(told.ms, [now.inRate, now.outRate]);
  $('waiting').value = whole(now.messages);
  $('unsettled').value = whole(now.unsettled);
  $('in').value = whole(now.inRate);
  $('out').value = whole(now.outRate);
  $('fill').value = now.bytes / told.most;
  $('bytes').value = `${whole(now.bytes)} of ${whole(told.most)}`;
  list(told.queues);
});
