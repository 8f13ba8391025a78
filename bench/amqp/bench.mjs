// SPDX-License-Identifier: MIT
//
// Measures AMQP over WebSocket against AMQP over TCP at the broker: scripts/bench-amqp. Each round has
// all variants of a case, and begins with another one: what changes on the machine meanwhile hits all.
// Compared are ratios within a round; reported is their median, with the lowest and the highest.

import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';

import { CASES } from './cases.mjs';
import { Broker } from './programs.mjs';

const FULL = { rounds: 9, part: 1 }, QUICK = { rounds: 3, part: 0.25 };

const { values: options } = parseArgs({ options: {
  programs: { type: 'string' }, quick: { type: 'boolean' }, json: { type: 'string' } } });
const { rounds, part } = options.quick ? QUICK : FULL;

const median = (numbers) => {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

async function measure({ variants, warmUp = variants, messages, times = 1, measure: one }) {
  const count = Math.round(messages * part);
  const broker = await Broker.start(options.programs);
  const figures = [];
  // The first of all finds caches cold, and compiles the JavaScript.
  for (const variant of warmUp) await one(options.programs, broker, variant, count);
  for (let round = 0; round < times * rounds; round += 1) {
    const figure = {};
    for (let i = 0; i < variants.length; i += 1) {
      const variant = variants[(round + i) % variants.length];
      figure[variant] = await one(options.programs, broker, variant, count);
    }
    figures.push(figure);
  }
  await broker.stop();
  return figures;
}

function compare({ name, variants, against, atLeast, atMost }, figures) {
  return variants.filter((variant) => variant !== against).map((variant) => {
    const ratios = figures.map((round) => round[variant].figure / round[against].figure);
    const ratio = median(ratios);
    const medianOf = (what, of) => median(figures.map((round) => round[of][what]));
    return {
      name, variant: String(variant), against: String(against), ratio,
      lowest: Math.min(...ratios), highest: Math.max(...ratios),
      figure: medianOf('figure', variant), other: medianOf('figure', against),
      busy: medianOf('busy', variant), otherBusy: medianOf('busy', against),
      goal: atLeast ? `at least ${atLeast}` : `at most ${atMost}`,
      reached: atLeast ? ratio >= atLeast : ratio <= atMost,
    };
  });
}

const number = (value) => (value >= 100 ? Math.round(value).toString() : value.toPrecision(3));
const results = [];
const rows = [['what', 'of', 'to', 'figures', 'ratio (lowest, highest)', 'goal', '',
  'load busy']];
for (const one of CASES) {
  const figures = await measure(one);
  const compared = compare(one, figures);
  results.push({ name: one.name, figures, compared });
  for (const { name, variant, against, ratio, lowest, highest, figure, other, goal, reached, busy,
    otherBusy } of compared)
    rows.push([name, variant, against, `${number(figure)} / ${number(other)}`,
      `${ratio.toFixed(2)} (${lowest.toFixed(2)}, ${highest.toFixed(2)})`, goal,
      reached ? 'reached' : 'missed', busy ? `${busy.toFixed(2)} / ${otherBusy.toFixed(2)}` : '']);
}

const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
for (const row of rows)
  console.log(`| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`);
if (options.json) {
  const machine = { cpu: os.cpus()[0].model, cpus: os.cpus().length, kernel: os.release(),
    node: process.version, load: os.loadavg() };
  writeFileSync(options.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
}
