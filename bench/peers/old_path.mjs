// The old system's whole path, plainly: events in memory -> traits -> groups, in JavaScript on one thread.
// Prints one line of JSON; times are in seconds.
//
//   node old_path.mjs EVENTS.csv TRAITS.csv AS_OF_SECONDS REPEAT
//
// The files are those of `cold_batch --events-csv --traits-csv`. Events are objects in an array, as the old
// system held them; loading them is not timed. Its own traits are not on record, so it computes those of
// docs/traits.md, and every learner is compared with what Covey wrote. Then it groups both ways it had:
// five traits with ten iterations, and the "ultra-fast" one, three traits with two; five groups, the first
// learners as seeds, as in old_kmeans.mjs.
import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [eventsFile, traitsFile, asOfText, repeatText] = process.argv.slice(2);
const asOf = Number(asOfText);
const DAY = 86400;
const weekOf = (second) => Math.floor((Math.floor(second / DAY) + 3) / 7); // weeks start on Monday
const TYPES = ['practice', 'feedback', 'session', 'profile'];

async function load() {
  const events = [];
  let head = true;
  for await (const line of createInterface({ input: createReadStream(eventsFile) })) {
    if (!head) {
      const [learner, type, second, capability, domain, acted] = line.split(',').map(Number);
      events.push({ learner, type: TYPES[type] ?? 'other', second, capability, domain, actedOn: acted === 1 });
    }
    head = false;
  }
  return events;
}

function traitsOf(events) {
  const week = weekOf(asOf);
  const today = Math.floor(asOf / DAY);
  const days = new Set();
  let firstDay = Infinity;
  let received = 0;
  let actedOn = 0;
  const firstUse = new Map();
  const domains = new Map();
  let useWeight = 0;
  let newest = -Infinity;
  for (const event of events) {
    if (event.second > asOf || event.type === 'profile') continue;
    const day = Math.floor(event.second / DAY);
    firstDay = Math.min(firstDay, day);
    if (today - day < 28) days.add(day);
    if (event.type === 'feedback') {
      ++received;
      if (event.actedOn) ++actedOn;
    }
    if (event.type !== 'practice') continue;
    newest = Math.max(newest, event.second);
    const age = (event.second - asOf) / DAY;
    useWeight += Math.exp(0.05 * age);
    domains.set(event.domain, (domains.get(event.domain) ?? 0) + Math.exp(0.01 * age));
    const before = firstUse.get(event.capability);
    if (before === undefined || event.second < before) firstUse.set(event.capability, event.second);
  }
  if (week - weekOf(newest) > 25) return null; // dormant

  const adopted = new Map();
  let firstWeight = 0;
  let firstWeek = Infinity;
  for (const second of firstUse.values()) {
    const then = weekOf(second);
    adopted.set(then, (adopted.get(then) ?? 0) + 1);
    firstWeek = Math.min(firstWeek, then);
    firstWeight += Math.exp(0.05 * ((second - asOf) / DAY));
  }
  const rate = (w) => 1 - Math.exp(-(adopted.get(w) ?? 0) / 5);
  const begin = Math.max(firstWeek, week - 25);
  let velocity = rate(begin);
  for (let w = begin + 1; w < week; ++w) velocity = 0.3 * rate(w) + 0.7 * velocity;

  const weights = [...domains.values()];
  const total = weights.reduce((sum, w) => sum + w, 0);
  const entropy = -weights.reduce((sum, w) => sum + (w / total) * Math.log2(w / total), 0);
  const top = Math.max(...weights) / total;
  return [
    velocity,
    weights.length > 1 ? top * (1 - (0.3 * entropy) / Math.log2(weights.length)) : top,
    days.size / Math.min(28, today - firstDay + 1),
    (actedOn + 1) / (received + 2),
    1 - firstWeight / useWeight,
  ];
}

function allTraits(events) {
  const byLearner = new Map();
  for (const event of events) {
    const own = byLearner.get(event.learner);
    if (own === undefined) byLearner.set(event.learner, [event]);
    else own.push(event);
  }
  const traits = new Map();
  for (const [learner, own] of byLearner) {
    const found = traitsOf(own);
    if (found !== null) traits.set(learner, found);
  }
  return traits;
}

const distance = (a, b) => a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0);

function groups(points, k, iterations) {
  let centres = points.slice(0, k);
  let of = [];
  for (let i = 0; i < iterations; ++i) {
    of = points.map((point) => {
      let best = 0;
      for (let c = 1; c < k; ++c) if (distance(point, centres[c]) < distance(point, centres[best])) best = c;
      return best;
    });
    const sums = centres.map((centre) => centre.map(() => 0));
    const sizes = centres.map(() => 0);
    points.forEach((point, p) => {
      ++sizes[of[p]];
      point.forEach((x, d) => { sums[of[p]][d] += x; });
    });
    centres = centres.map((centre, c) => (sizes[c] > 0 ? sums[c].map((x) => x / sizes[c]) : centre));
  }
  return of;
}

const seconds = (work) => {
  const start = process.hrtime.bigint();
  const result = work();
  return [Number(process.hrtime.bigint() - start) / 1e9, result];
};

const events = await load();
const runs = { traits_s: [], five_s: [], three_s: [] };
let traits = new Map();
for (let i = 0; i < Number(repeatText); ++i) {
  let took;
  [took, traits] = seconds(() => allTraits(events));
  runs.traits_s.push(took);
  const points = [...traits.values()];
  runs.five_s.push(seconds(() => groups(points, 5, 10))[0]);
  runs.three_s.push(seconds(() => groups(points.map((p) => [p[0], p[1], p[2]]), 5, 2))[0]);
}

let difference = 0;
let missing = 0;
const [, ...rows] = readFileSync(traitsFile, 'utf8').trim().split('\n');
for (const row of rows) {
  const [learner, ...theirs] = row.split(',').map(Number);
  const own = traits.get(learner);
  if (own === undefined) ++missing;
  else theirs.forEach((x, t) => { difference = Math.max(difference, Math.abs(x - own[t])); });
}
missing += traits.size - (rows.length - missing);
console.log(JSON.stringify({ events: events.length, learners: traits.size, difference, missing, ...runs }));
