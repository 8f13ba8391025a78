// What tests with rhea's connections share.

import { once } from 'node:events';

// Rejects once the connection, or anything on it, has failed, for what awaits something of it to end
// with that. `others`: events that are failures too.
export function failureOf(connection, ...others) {
  const failed = new Promise((_, reject) => {
    for (const event of ['connection_error', 'session_error', 'sender_error', 'receiver_error',
      'disconnected', 'protocol_error', 'error', ...others])
      connection.on(event, (context) =>
        reject(new Error(`${event}: ${context?.error ?? connection.error ?? ''}`)));
  });
  failed.catch(() => {});
  return failed;
}

export async function close({ connection, failed }) {
  connection.close();
  await Promise.race([once(connection, 'connection_close'), failed]);
}
