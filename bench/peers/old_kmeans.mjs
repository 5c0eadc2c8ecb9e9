// How well the old system's grouping finds archetypes that are known. Prints one line of JSON.
//
//   node old_kmeans.mjs TRAITS.csv TRUTH.csv MEMBERS.csv
//
// The files are those of `covey traits --csv`, `covey simulate --truth` and `covey discover --members`:
// the same learners, the same traits. The old grouping, plainly: the first k learners are the seeds,
// Euclidean distance on three of the five traits as they are, two iterations, no restarts. What is not
// known of it is given the best there is: k is tried from 3 to 8, the three traits are tried in all ten
// ways, and the best agreement that any of these reaches is told beside that of its usual three traits
// with as many groups as there are archetypes.
import { readFileSync } from 'node:fs';

function table(path) {
  const [head, ...lines] = readFileSync(path, 'utf8').trim().split('\n');
  const names = head.split(',');
  return lines.map((line) => {
    const cells = line.split(',');
    return Object.fromEntries(names.map((name, i) => [name, cells[i]]));
  });
}

const distance = (a, b) => a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0);

function nearest(point, centres) {
  let best = 0;
  for (let c = 1; c < centres.length; ++c) {
    if (distance(point, centres[c]) < distance(point, centres[best])) best = c;
  }
  return best;
}

function twoIterations(points, k) {
  let centres = points.slice(0, k);
  let groups = [];
  for (let iteration = 0; iteration < 2; ++iteration) {
    groups = points.map((point) => nearest(point, centres));
    centres = centres.map((centre, c) => {
      const own = points.filter((_, i) => groups[i] === c);
      if (own.length === 0) return centre;
      return centre.map((_, d) => own.reduce((sum, p) => sum + p[d], 0) / own.length);
    });
  }
  return groups;
}

// Hubert and Arabie 1985, as in src/cohorts/rand_index.cpp.
function adjustedRandIndex(a, b) {
  const pairs = (n) => (n * (n - 1)) / 2;
  const sizes = (keys) => {
    const count = new Map();
    for (const key of keys) count.set(key, (count.get(key) ?? 0) + 1);
    return [...count.values()].reduce((sum, n) => sum + pairs(n), 0);
  };
  const both = sizes(a.map((x, i) => `${x} ${b[i]}`));
  const expected = (sizes(a) * sizes(b)) / pairs(a.length);
  return (both - expected) / ((sizes(a) + sizes(b)) / 2 - expected);
}

const [traitsFile, truthFile, membersFile] = process.argv.slice(2);
const truth = new Map(table(truthFile).map((row) => [row.learner, row.archetype]));
const cohort = new Map(table(membersFile).map((row) => [row.learner, row.cohort]));
const learners = table(traitsFile).filter((row) => cohort.has(row.learner) && truth.has(row.learner));
const archetypes = learners.map((row) => truth.get(row.learner));
const kinds = new Set(archetypes).size;
const traits = ['learning_velocity', 'domain_affinity', 'interaction_frequency', 'feedback_responsiveness',
  'retention_strength'];

let best = { adjusted_rand_index: -1 };
let usual = 0;
for (let a = 0; a < 5; ++a) {
  for (let b = a + 1; b < 5; ++b) {
    for (let c = b + 1; c < 5; ++c) {
      const three = [traits[a], traits[b], traits[c]];
      const points = learners.map((row) => three.map((trait) => Number(row[trait])));
      for (let k = 3; k <= 8; ++k) {
        const index = adjustedRandIndex(twoIterations(points, k), archetypes);
        if (a + b + c === 3 && k === kinds) usual = index;
        if (index > best.adjusted_rand_index) best = { adjusted_rand_index: index, traits: three, k };
      }
    }
  }
}
console.log(JSON.stringify({
  learners: learners.length,
  archetypes: kinds,
  covey: adjustedRandIndex(learners.map((row) => cohort.get(row.learner)), archetypes),
  old: usual,
  old_at_its_best: best,
}));
