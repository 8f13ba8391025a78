// The queues' numbers, as the broker tells them, and what has changed a second.

const EVERY_MS = 500;
const NONE = { messages: 0, unsettled: 0, bytes: 0, in: 0, out: 0 };

// A queue that was made anew counts from 0 again.
function rate(now, before, seconds) {
  return (now < before ? now : now - before) / seconds;
}

// Calls show({ ms, most, queues }, of) again and again, where of(name) is the queue's numbers and its
// rates; show(null) when the broker does not answer.
export async function watch(show) {
  let last = null;
  for (;;) {
    try {
      const told = await (await fetch('queues')).json();
      const by = new Map(told.queues.map((queue) => [queue.name, queue]));
      const before = last?.by ?? by, seconds = last ? (told.ms - last.ms) / 1000 : 1;
      show(told, (name) => {
        const now = by.get(name) ?? NONE, then = before.get(name) ?? NONE;
        // Of one that has gone since, it is not known what it did last.
        const counts = by.has(name) && seconds > 0;
        return {
          ...now,
          inRate: counts ? rate(now.in, then.in, seconds) : 0,
          outRate: counts ? rate(now.out, then.out, seconds) : 0,
        };
      });
      last = { ms: told.ms, by };
    } catch {
      last = null;
      show(null);
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}
