// What others send over WebSocket arrives: messages.mjs, by clients of Node.js and this project's own.

import { testMessages } from './messages.mjs';
import { loadPeer, rheaPeer } from './peers.mjs';

testMessages({ rhea: rheaPeer, 'amqp-load': loadPeer });
