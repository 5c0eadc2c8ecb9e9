// DuckDB, timed on the work Covey does. Prints one line of JSON; times are in seconds.
//
//   node duckdb.mjs traits EVENTS.csv TRAITS.csv AS_OF_SECONDS THREADS REPEAT
//   node duckdb.mjs import EVENTS.ndjson DATABASE THREADS REPEAT
//   node duckdb.mjs experiment EVENTS.ndjson DATABASE ARMS.csv THREADS REPEAT
//
// `traits` computes docs/traits.md from a table that is already in memory and compares every learner
// with what Covey wrote to TRAITS.csv. `import` reads the file into a table, in memory and into a
// database file that is then synced; it tells no duplicates apart, which Covey does. `experiment`
// computes the moments of examples/ab-revenue.yaml by arm and segment from a database file.
import { rmSync } from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';

const value = async (connection, sql) =>
  Number((await connection.runAndReadAll(sql)).getRows()[0][0]);

async function timed(work) {
  const start = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - start) / 1e9;
}

// Grouping by capability and by domain apart was a tenth faster than the second on top of the first,
// though it reads the events once more.
const traits = (asOf) => `
CREATE OR REPLACE TABLE traits AS
WITH
t AS (SELECT ${asOf} AS second, ${asOf} // 86400 AS day, (${asOf} // 86400 + 3) // 7 AS week),
seen AS (
  SELECT learner, min(second) // 86400 AS first_day,
    bit_count(bit_or(CASE WHEN t.day - second // 86400 < 28
                          THEN 1::BIGINT << (t.day - second // 86400) ELSE 0 END)) AS active,
    count(*) FILTER (type = 1) AS received, count(*) FILTER (type = 1 AND acted_on = 1) AS acted_on
  FROM events, (SELECT day FROM t) t WHERE type <> 3 AND second <= ${asOf} GROUP BY learner),
uses AS (
  SELECT learner, capability, min(second) AS first
  FROM events WHERE type = 0 AND second <= ${asOf} GROUP BY learner, capability),
firsts AS (
  SELECT learner, sum(exp(0.05 * ((first - ${asOf}) / 86400))) AS first_weight
  FROM uses GROUP BY learner),
domains AS (
  SELECT learner, domain, max(second) AS last,
    sum(exp(0.01 * ((second - ${asOf}) / 86400))) AS weight,
    sum(exp(0.05 * ((second - ${asOf}) / 86400))) AS use_weight
  FROM events WHERE type = 0 AND second <= ${asOf} GROUP BY learner, domain),
spread AS (
  SELECT learner, max(weight) / sum(weight) AS top, count(*) AS k, max(last) AS last,
    log2(sum(weight)) - sum(weight * log2(weight)) / sum(weight) AS entropy,
    sum(use_weight) AS use_weight
  FROM domains GROUP BY learner),
weekly AS (
  SELECT learner, t.week - (first // 86400 + 3) // 7 AS age, count(*) AS adopted
  FROM uses, (SELECT week FROM t) t GROUP BY ALL),
oldest AS (SELECT learner, least(max(age), 25) AS oldest FROM weekly GROUP BY learner),
velocity AS (
  SELECT learner, coalesce(sum(
    CASE WHEN age = oldest THEN 1 ELSE 0.3 END * (1 - exp(-adopted / 5))
      * pow(0.7, age - least(oldest, 1)))
    FILTER (age BETWEEN least(oldest, 1) AND oldest), 0) AS velocity
  FROM weekly JOIN oldest USING (learner) GROUP BY learner)
SELECT learner, velocity AS learning_velocity,
  top * (1 - CASE WHEN k > 1 THEN 0.3 * entropy / log2(k) ELSE 0 END) AS domain_affinity,
  active / least(28, t.day - first_day + 1) AS interaction_frequency,
  (acted_on + 1) / (received + 2) AS feedback_responsiveness,
  greatest(1 - first_weight / use_weight, 0) AS retention_strength
FROM spread JOIN firsts USING (learner) JOIN velocity USING (learner) JOIN seen USING (learner), t
WHERE t.week - (last // 86400 + 3) // 7 <= 25`;

const names = ['learning_velocity', 'domain_affinity', 'interaction_frequency',
  'feedback_responsiveness', 'retention_strength'];

async function runTraits([events, theirs, asOf, threads, repeat]) {
  const instance = await DuckDBInstance.create(':memory:', { threads });
  const db = await instance.connect();
  await db.run('SET preserve_insertion_order = false');
  const load = await timed(() => db.run(`CREATE TABLE events AS SELECT * FROM read_csv('${events}',
    header = true, columns = {learner: 'UINTEGER', type: 'UTINYINT', second: 'BIGINT',
    capability: 'USMALLINT', domain: 'USMALLINT', acted_on: 'UTINYINT'})`));
  const seconds = [];
  for (let i = 0; i < Number(repeat); ++i) seconds.push(await timed(() => db.run(traits(asOf))));
  const learners = await value(db, 'SELECT count(*) FROM traits');
  let difference = null;
  let missing = null;
  if (theirs !== '-') {
    await db.run(`CREATE TABLE theirs AS SELECT * FROM read_csv('${theirs}', header = true)`);
    const worst = names.map((n) => `max(abs(traits.${n} - theirs.${n}))`).join(', ');
    difference = await value(db,
      `SELECT greatest(${worst}) FROM traits JOIN theirs USING (learner)`);
    missing = await value(db, `SELECT count(*) FROM traits FULL JOIN theirs USING (learner)
      WHERE traits.learning_velocity IS NULL OR theirs.learning_velocity IS NULL`);
  }
  return { threads: Number(threads), load_s: load, traits_s: seconds, learners, difference, missing };
}

async function runImport([file, database, threads, repeat]) {
  const columns = `{id: 'VARCHAR', learner: 'VARCHAR', time: 'TIMESTAMP', type: 'VARCHAR',
    capability: 'VARCHAR', domain: 'VARCHAR', acted_on: 'BOOLEAN', score: 'DOUBLE',
    duration_s: 'DOUBLE', amount: 'DOUBLE', currency: 'VARCHAR',
    attributes: 'MAP(VARCHAR, VARCHAR)'}`;
  const result = { threads: Number(threads), memory_s: [], file_s: [] };
  for (const kind of ['memory', 'file']) {
    for (let i = 0; i < Number(repeat); ++i) {
      rmSync(database, { force: true });
      rmSync(`${database}.wal`, { force: true });
      const instance =
        await DuckDBInstance.create(kind === 'memory' ? ':memory:' : database, { threads });
      const db = await instance.connect();
      await db.run('SET preserve_insertion_order = false');
      result[`${kind}_s`].push(await timed(async () => {
        await db.run(`CREATE TABLE events AS SELECT * FROM read_json('${file}',
          format = 'newline_delimited', columns = ${columns})`);
        if (kind === 'file') await db.run('CHECKPOINT');
      }));
      result.events = await value(db, 'SELECT count(*) FROM events');
      db.closeSync();
      instance.closeSync();
    }
  }
  rmSync(database, { force: true });
  return result;
}

// The five metrics of examples/ab-revenue.yaml: sums per learner, then moments by arm and segment.
const START = "TIMESTAMP '2025-11-02 16:00:00'";
const END = "TIMESTAMP '2025-12-14 16:00:00'";
const unitValues = `
CREATE OR REPLACE TEMP TABLE units AS
WITH
exposed AS (SELECT learner, min(time) AS e FROM events
  WHERE type = 'session' AND time >= ${START} AND time < ${END} GROUP BY learner),
sums AS (SELECT v.learner, x.e, any_value(a.arm) AS arm,
    coalesce(sum(amount) FILTER (type = 'purchase' AND after AND currency = 'EUR'), 0) AS revenue,
    coalesce(sum(amount) FILTER (type = 'purchase' AND before AND currency = 'EUR'), 0) AS revenue_x,
    count(*) FILTER (type = 'purchase' AND after) AS orders,
    max(CASE WHEN type = 'withdraw' AND after THEN 1 ELSE 0 END) AS churn,
    max(CASE WHEN type = 'withdraw' AND before THEN 1 ELSE 0 END) AS churn_x,
    max(CASE WHEN type = 'complete' AND after THEN 1 ELSE 0 END) AS completion,
    max(CASE WHEN type = 'complete' AND before THEN 1 ELSE 0 END) AS completion_x,
    max(CASE WHEN type = 'session' AND time >= x.e + INTERVAL 7 DAY
             AND time < x.e + INTERVAL 14 DAY THEN 1 ELSE 0 END) AS back,
    max(CASE WHEN type = 'session' AND before THEN 1 ELSE 0 END) AS back_x,
    arg_max(region, time) FILTER (type = 'profile' AND time <= x.e) AS region,
    arg_max(age_band, time) FILTER (type = 'profile' AND time <= x.e) AS age_band
  FROM (SELECT events.*, time >= e AND time < e + INTERVAL 14 DAY AND time < ${END} AS after,
               time < e AND time >= e - INTERVAL 28 DAY AS before
        FROM events JOIN exposed USING (learner)) v
  JOIN exposed x USING (learner) JOIN arms a USING (learner)
  WHERE a.arm <> 'none' GROUP BY v.learner, x.e)
SELECT * FROM sums`;
const clip = `SELECT quantile_cont(revenue, 0.99), quantile_cont(revenue_x, 0.99) FROM units`;
const moments = (by) => `
SELECT ${by}, count(*), ${['revenue', 'churn', 'completion', 'back'].map((m) => `
  avg(${m}), var_samp(${m}), avg(${m}_x), var_samp(${m}_x), covar_samp(${m}, ${m}_x)`)},
  sum(raw), sum(orders), var_samp(raw), var_samp(orders), covar_samp(raw, orders)
FROM clipped GROUP BY ALL ORDER BY ALL`;

async function runExperiment([file, database, arms, threads, repeat]) {
  rmSync(database, { force: true });
  const instance = await DuckDBInstance.create(database, { threads });
  const db = await instance.connect();
  await db.run('SET preserve_insertion_order = false');
  const load = await timed(async () => {
    await db.run(`CREATE TABLE events AS SELECT learner, time, type, amount, currency,
      attributes['region'] AS region, attributes['age_band'] AS age_band
      FROM read_json('${file}', format = 'newline_delimited', columns = {learner: 'VARCHAR',
      time: 'TIMESTAMP', type: 'VARCHAR', amount: 'DOUBLE', currency: 'VARCHAR',
      attributes: 'MAP(VARCHAR, VARCHAR)'})`);
    await db.run(`CREATE TABLE arms AS SELECT learner, arm FROM read_csv('${arms}', header = true)`);
    await db.run('CHECKPOINT');
  });
  const seconds = [];
  let rows;
  for (let i = 0; i < Number(repeat); ++i) {
    seconds.push(await timed(async () => {
      await db.run(unitValues);
      const [y, x] = (await db.runAndReadAll(clip)).getRows()[0];
      await db.run(`CREATE OR REPLACE TEMP VIEW clipped AS SELECT * REPLACE (
        least(revenue, ${y}) AS revenue, least(revenue_x, ${x}) AS revenue_x), revenue AS raw
        FROM units`);
      rows = (await db.runAndReadAll(moments('arm'))).getRows();
      for (const segment of ['region', 'age_band']) {
        await db.runAndReadAll(moments(`arm, ${segment}`));
      }
    }));
  }
  const events = await value(db, 'SELECT count(*) FROM events');
  db.closeSync();
  instance.closeSync();
  rmSync(database, { force: true });
  const means = Object.fromEntries(rows.map((r) => [r[0], { n: Number(r[1]), revenue: Number(r[2]),
    churn: Number(r[7]), completion: Number(r[12]), order_value: Number(r[22]) / Number(r[23]) }]));
  return { threads: Number(threads), load_s: load, analysis_s: seconds, events, means };
}

const [mode, ...rest] = process.argv.slice(2);
const modes = { traits: [runTraits, 5], import: [runImport, 4], experiment: [runExperiment, 5] };
if (!(mode in modes) || rest.length !== modes[mode][1]) {
  console.error('usage: see the head of duckdb.mjs');
  process.exit(2);
}
try {
  console.log(JSON.stringify(await modes[mode][0](rest)));
} catch (error) {
  console.error(`duckdb ${mode}: ${error.message}`);
  process.exit(1);
}
