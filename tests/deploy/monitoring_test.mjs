// Prometheus and Alertmanager, as deploy/ configures them, on a running rollout: they scrape, a rule fires
// when the candidate goes bad, the alert arrives, and it is resolved.
//
//   node tests/deploy/monitoring_test.mjs COVEY
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, get, pause, Rig, until } from '../../web/test/rig.mjs'

const deploy = join(dirname(fileURLToPath(import.meta.url)), '../../deploy')
const rig = new Rig(process.env.COVEY_BINARY || process.argv[2])
const servers = []
const received = []

/** Where Alertmanager's messages arrive. */
const sink = createServer((request, response) => {
  let body = ''
  request.on('data', (piece) => { body += piece })
  request.on('end', () => {
    for (const alert of JSON.parse(body).alerts) received.push({ path: request.url, name: alert.labels.alertname, status: alert.status, ...alert })
    response.end()
  })
})

/** What a busy day brings and a demo does not: events, good, known and bad; a stranger at the collector. */
async function exercise() {
  const event = (id, more = '') => `{"id":"${id}","learner":"monitored","time":"2014-01-31T10:00:00Z","type":"practice","capability":"c","domain":"d"${more}}\n`
  for (let i = 0; i < 3; ++i) {
    // The same to both services, whose answers are compared. The first id is new once.
    for (const service of [rig.baseline, rig.candidate]) {
      const answer = await fetch(`${service}/v1/events`, { method: 'POST', headers: { 'Content-Type': 'application/x-ndjson' },
        body: event('again') + event(`new-${i}`) + '{"id":"bad"}\n' })
      assert.equal(answer.status, 200, await answer.text())
    }
    await new Promise((done, failed) => {
      const stranger = connect({ path: rig.path('control/haproxy/lines.sock') }, () => stranger.end('GET / HTTP/1.1\r\n\r\n'))
      stranger.on('close', done).on('error', failed).resume()
    })
    await pause(2_000)
  }
}

function start(program, ...words) {
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text) => { said = (said + text).slice(-5_000) })
  servers.push({ child, name: program, said: () => said })
  return child
}

async function main() {
  await new Promise((done) => sink.listen(0, '127.0.0.1', done))
  await rig.analyzers()
  // One stage that lasts as long as the test, rolled back when the candidate errs.
  await rig.rollout((text) => text
    .replace('share: 1%', 'share: 10%').replace('length: 40s', 'length: 600s').replace('checkpoints: [10s, 20s, 40s]', 'checkpoints: [300s, 600s]')
    .replace('2025-10-31T12:01:10Z', '2025-10-31T12:20:10Z').replace('2025-10-31T12:01:05Z', '2025-10-31T12:20:05Z')
    .replace('2025-10-31T12:02:00Z', '2025-10-31T12:30:00Z').replace('2025-10-31T12:01:55Z', '2025-10-31T12:29:55Z'))
  await rig.post('Vera', '/v1/rollout/approvals', { stage: 'canary' })

  // The files as they are, but for addresses.
  const at = rig.path('monitoring')
  mkdirSync(at)
  for (const file of ['recording.yml', 'alerts.yml']) cpSync(join(deploy, 'prometheus', file), join(at, file))
  const alertmanager = `127.0.0.1:${await freePort()}`
  const prometheus = `127.0.0.1:${await freePort()}`
  const host = (url) => new URL(url).host
  writeFileSync(join(at, 'prometheus.yml'), readFileSync(join(deploy, 'prometheus/prometheus.yml'), 'utf8')
    .replace('127.0.0.1:9093', alertmanager).replace('127.0.0.1:8081', host(rig.baseline))
    .replace('127.0.0.1:8082', host(rig.candidate)).replaceAll('127.0.0.1:8090', host(rig.control))
    .replaceAll('_interval: 5s', '_interval: 1s'))
  // A test has not the patience of operations: groups are sent again after a second, not a minute.
  writeFileSync(join(at, 'alertmanager.yml'), readFileSync(join(deploy, 'alertmanager/alertmanager.yml'), 'utf8')
    .replaceAll('127.0.0.1:9095', `127.0.0.1:${sink.address().port}`).replace('group_interval: 1m', 'group_interval: 1s'))
  start('prometheus-alertmanager', `--config.file=${at}/alertmanager.yml`, `--storage.path=${at}/am`, `--web.listen-address=${alertmanager}`, '--cluster.listen-address=')
  start('prometheus', `--config.file=${at}/prometheus.yml`, `--storage.tsdb.path=${at}/tsdb`, `--web.listen-address=${prometheus}`, '--log.level=warn')

  const query = async (expression) =>
    (await get(`http://${prometheus}/api/v1/query?query=${encodeURIComponent(expression)}`)).data.result
  await until('Prometheus scrapes all three', async () => (await query('up == 1')).length === 3)
  await until('the canary runs', async () => (await rig.status()).situation === 'running', 90)
  await until('its share is scraped', async () => (await query('covey_rollout_share_seen'))[0]?.value[1] === '0.1')
  await exercise()
  await pause(4_000)

  // Every query of the dashboards has something to show, and none moves or stands still that should not.
  const kMoves = /covey_events|garbage|compared|lines_total|requests|cache_hits|network_received|streams|process_|cpu_busy/
  const kStill = /lost|differed|http_errors|incidents_open/
  const reader = new AbortController()
  const stream = await fetch(`${rig.control}/v1/rollout/events`, { signal: reader.signal })
  assert.equal(stream.status, 200)
  await until('an open dashboard is counted', async () => (await query('covey_control_streams'))[0]?.value[1] === '1')
  let panels = 0
  for (const file of ['rollout', 'analyzers']) {
    for (const panel of JSON.parse(readFileSync(join(deploy, `grafana/${file}.json`), 'utf8')).panels) {
      for (const { expr } of panel.targets) {
        const result = await query(expr)
        assert.ok(result.length > 0, `${file}, ${panel.title}: ${expr} has no data`)
        const most = Math.max(...result.map((r) => Number(r.value[1])))
        if (kMoves.test(expr)) assert.ok(most > 0, `${file}, ${panel.title}: ${expr} is ${most}`)
        if (kStill.test(expr)) assert.equal(most, 0, `${file}, ${panel.title}: ${expr} is ${most}`)
        ++panels
      }
    }
  }
  reader.abort()
  console.log(`${panels} queries of the dashboards answered`)
  assert.deepEqual(received.filter((a) => a.name !== 'CoveyMemory'), [], 'nothing is told while all is well')

  // The candidate errs: the rollout goes back by itself, and people are told.
  rig.drill('errors=60%')
  const rolledBack = await until('CoveyRollBack arrives', () => received.find((a) => a.name === 'CoveyRollBack' && a.status === 'firing'), 60)
  assert.equal(rolledBack.path, '/wake', 'a critical alert goes to whoever is woken')
  // Whoever is woken opens the link.
  const runbook = new URL(rolledBack.annotations.runbook_url)
  assert.equal(runbook.origin, new URL(rig.control).origin)
  assert.match(await (await fetch(runbook)).text(), new RegExp(`<h3 id="${runbook.hash.slice(1)}">CoveyRollBack</h3>`))
  const decision = (await rig.status()).decisions.find((d) => d.decision === 'roll_back')
  console.log(`told ${((Date.now() - Date.parse(decision.at)) / 1000).toFixed(1)} s after the decision`)
  await until('the critical incident is told, too', () => received.some((a) => a.name === 'CoveyCriticalIncident' && a.status === 'firing'))
  rig.drill(null)
  for (const incident of (await rig.status()).incidents.filter((i) => !i.resolved)) {
    await rig.post('Vera', `/v1/rollout/incidents/${incident.id}/resolve`, {})
  }
  await until('its end is told', () => received.some((a) => a.name === 'CoveyCriticalIncident' && a.status === 'resolved'), 90)

  // A service that is gone, and comes back.
  await rig.end('candidate', 'SIGKILL')
  await until('CoveyDown arrives', () => received.some((a) => a.name === 'CoveyDown' && a.status === 'firing' && a.labels.arm === 'candidate'), 60)
  await rig.startCandidate(host(rig.candidate))
  await until('CoveyDown is over', () => received.some((a) => a.name === 'CoveyDown' && a.status === 'resolved'), 60)
}

async function stop() {
  for (const { child } of servers) {
    if (child.exitCode !== null) continue
    const gone = new Promise((done) => child.once('exit', done))
    child.kill('SIGTERM')
    await Promise.race([gone, pause(10_000).then(() => child.kill('SIGKILL'))])
  }
  sink.close()
  await rig.stop()
}
process.on('SIGTERM', () => void stop().then(() => process.exit(1)))
process.on('SIGINT', () => void stop().then(() => process.exit(1)))
let failed = null
try {
  await main()
} catch (error) {
  failed = error
  for (const server of servers) console.error(`-- ${server.name}:\n${server.said()}`)
  console.error('-- received:', received.map((a) => `${a.path} ${a.name} ${a.status}`))
}
await stop()
if (failed) {
  console.error(failed)
  process.exit(1)
}
console.log('monitoring: as it must be')
