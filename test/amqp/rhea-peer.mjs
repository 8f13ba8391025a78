// rhea at one end of a queue, as proton_peer.py is:
//
//   node rhea-peer.mjs send|receive URL QUEUE COUNT CREDIT SETTLED

import { receiving, sending } from './conversation.mjs';
import { close, connectTo, opened } from './rhea-connection.mjs';

const [, , what, url, queue, count, credit, settled] = process.argv;
const client = await opened(connectTo(url));
const options = { settled: settled === 'true', credit: Number(credit), most: 100 };
await { send: sending, receive: receiving }[what](client, queue, Number(count), options).done;
await close(client);
