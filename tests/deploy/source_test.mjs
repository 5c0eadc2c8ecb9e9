// Prometheus itself as the source of a rollout's telemetry: it scrapes both analyzers, the control plane counts by
// its answers, sees the candidate go bad, rolls back, and says so when Prometheus has gone.
//
//   node tests/deploy/source_test.mjs COVEY
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, get, pause, Rig, until } from '../../web/test/rig.mjs'

const rig = new Rig(process.env.COVEY_BINARY || process.argv[2])
let prometheus = null
let said = ''

const kLookUps = 'route="/v1/learners/{id}"'
const kSent = `sum by (arm) (covey_http_requests_total{${kLookUps}})`

async function startPrometheus() {
  const at = rig.path('prometheus')
  mkdirSync(at)
  const host = (url) => new URL(url).host
  writeFileSync(join(at, 'prometheus.yml'), `global: {scrape_interval: 1s}
scrape_configs:
  - job_name: covey-analyzer
    static_configs:
      - {targets: ["${host(rig.baseline)}"], labels: {arm: baseline}}
      - {targets: ["${host(rig.candidate)}"], labels: {arm: candidate}}
`)
  const address = `127.0.0.1:${await freePort()}`
  prometheus = spawn('prometheus', [`--config.file=${at}/prometheus.yml`, `--storage.tsdb.path=${at}/tsdb`,
    `--web.listen-address=${address}`, '--log.level=warn'], { stdio: ['ignore', 'ignore', 'pipe'] })
  prometheus.stderr.on('data', (text) => { said = (said + text).slice(-5_000) })
  await until('Prometheus scrapes both', async () => (await get(`http://${address}/api/v1/query?query=up==1`)).data.result.length === 2)
  return `http://${address}`
}

async function endPrometheus() {
  if (prometheus === null || prometheus.exitCode !== null || prometheus.signalCode !== null) return
  const gone = new Promise((done) => prometheus.once('exit', done))
  prometheus.kill('SIGTERM')
  await Promise.race([gone, pause(10_000).then(() => prometheus.kill('SIGKILL'))])
}

async function sourceOk() {
  const text = await (await fetch(rig.control + '/metrics')).text()
  return /^covey_prometheus_source_ok (\d)$/m.exec(text)?.[1]
}

async function main() {
  await rig.analyzers()
  const url = await startPrometheus()
  // One stage that lasts as long as the test. Slots of two scrapes; limits that are edges of the analyzers' histogram;
  // and no segments, which their metrics do not have.
  await rig.rollout((text) => text
    .replace('slot: 1s', 'slot: 2s').replace('window: 5s', 'window: 10s').replaceAll('750ms', '1s')
    .replace('share: 1%', 'share: 10%').replace('length: 40s', 'length: 600s').replace('checkpoints: [10s, 20s, 40s]', 'checkpoints: [300s, 600s]')
    .replace('2025-10-31T12:01:10Z', '2025-10-31T12:20:10Z').replace('2025-10-31T12:01:05Z', '2025-10-31T12:20:05Z')
    .replace('2025-10-31T12:02:00Z', '2025-10-31T12:30:00Z').replace('2025-10-31T12:01:55Z', '2025-10-31T12:29:55Z')
    .replace(/^roles:/m, `prometheus:
  url: ${url}
  sent: '${kSent}'
  unanswered: 'sum by (arm) (covey_http_requests_total{${kLookUps},code="503"})'
  wrong: 'sum by (arm) (covey_http_requests_total{${kLookUps},code="500"})'
  slower: 'sum by (arm) (covey_http_request_duration_seconds_count{${kLookUps}}) - sum by (arm) (covey_http_request_duration_seconds_bucket{${kLookUps},le="$limit"})'

roles:`))
  await rig.post('Vera', '/v1/rollout/approvals', { stage: 'canary' })
  await until('the canary runs', async () => (await rig.status()).situation === 'running', 120)
  const status = await until('learners are on the candidate', async () => {
    const now = await rig.status()
    return now.share.seen === 0.1 && now.figures?.missing_s === 0 && now.figures.candidate.requests > 100 && now
  })
  assert.equal(status.telemetry_trouble, null)
  assert.equal(await sourceOk(), '1')

  // What is shown is what Prometheus says grew, to the request.
  const { from, to, baseline, candidate } = status.figures
  for (const [arm, figures] of Object.entries({ baseline, candidate })) {
    const at = async (time) => Number((await get(`${url}/api/v1/query?time=${time}&query=${encodeURIComponent(kSent)}`))
      .data.result.find((series) => series.metric.arm === arm)?.value[1] ?? 0)
    assert.equal(figures.requests, await at(to) - await at(from), `${arm} from ${from} to ${to}`)
    assert.equal(figures.wrong, 0)
  }
  console.log(`${candidate.requests} requests of the candidate within the window, as Prometheus counts`)

  rig.drill('errors=60%')
  const back = await until('it is rolled back', async () => {
    const now = await rig.status()
    return now.situation === 'rolled back' && now
  }, 90)
  assert.match(back.roll_back.cause, /error_rate/)
  assert.equal(back.share.seen, 0)
  assert.notEqual(back.roll_back.verified, null, 'its counters stand still')
  console.log(`rolled back: ${back.roll_back.cause}`)

  await endPrometheus()
  const blind = await until('the trouble is told', async () => {
    const now = await rig.status()
    return now.telemetry_trouble !== null && now
  })
  assert.equal(await sourceOk(), '0')
  console.log(`told: ${blind.telemetry_trouble}`)
}

async function stop() {
  await endPrometheus()
  await rig.stop()
}
process.on('SIGTERM', () => void stop().then(() => process.exit(1)))
process.on('SIGINT', () => void stop().then(() => process.exit(1)))
let failed = null
try {
  await main()
} catch (error) {
  failed = error
  console.error(`-- prometheus:\n${said}\n-- control:\n${rig.log('control').slice(-3_000)}`)
  if (rig.control) console.error(JSON.stringify(await rig.status().catch(String), null, 1).slice(0, 6_000))
}
await stop()
if (failed) {
  console.error(failed)
  process.exit(1)
}
console.log('prometheus as the source: as it must be')
