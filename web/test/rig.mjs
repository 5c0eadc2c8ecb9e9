// A demo between real processes for the page to look at: two analyzers with the learners of
// data/oulad, HAProxy, a control plane and a load, all on free ports of this machine.
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const kRoot = join(dirname(fileURLToPath(import.meta.url)), '../..')
const kAsOf = '2014-02-01T12:00:00Z'
export const kPeople = { Vera: 'vp_engineering', Paul: 'product_lead', Olga: 'operations_lead' }

// Two halves of the same learners: what is measured must not differ.
const kExperiment = `experiment: halves
type: aa
question: Do two halves of the Open University's learners look the same?
start: 2013-10-10T00:00:00Z
exposure: {event: practice}
window: 28d
pre_period: 7d
tune: 1000
metrics:
  practice: {title: practice per learner, kind: mean, event: practice, of: count, role: primary}
`

/** Slow machines wait longer for everything; none of it is a measurement. */
export const kPatience = Number(process.env.COVEY_PATIENCE ?? 1)

export const pause = (ms) => new Promise((done) => setTimeout(done, ms))

/** Asks until the answer is truthy; says what was waited for when it never is. */
export async function until(what, ask, seconds = 60) {
  const end = Date.now() + seconds * 1000 * kPatience
  let last
  while (Date.now() < end) {
    try {
      last = await ask()
      if (last) return last
    } catch (error) {
      last = error
    }
    await pause(100)
  }
  throw new Error(`waited ${seconds * kPatience} s in vain until ${what}; last: ${String(last)}`)
}

export async function get(url) {
  const answer = await fetch(url)
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

// Below the ports that the kernel gives to outgoing connections, one of which might take it again.
export async function freePort() {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000)
    const free = await new Promise((done) => {
      const probe = createServer()
      probe.once('error', () => done(false))
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)))
    })
    if (free) return port
  }
}

export class Rig {
  #covey
  #processes = []
  #logs = new Map()
  #others = []

  constructor(covey) {
    this.#covey = covey
    mkdirSync(join(kRoot, 'build'), { recursive: true })
    this.folder = mkdtempSync(join(kRoot, 'build/web-'))
    this.tokens = {}
  }

  path(name) {
    return join(this.folder, name)
  }

  #run(...words) {
    const done = spawnSync(this.#covey, words, { encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`covey ${words.join(' ')}: ${done.stderr || done.error}`)
    return done
  }

  /** Starts a process that says where it listens; the address. */
  async #serve(name, ...words) {
    const child = this.#start(name, ...words)
    return until(`${name} listens`, () => {
      if (child.exitCode !== null) throw new Error(`${name} ended: ${this.#logs.get(name)}`)
      return /^listening on (http:\S+)$/m.exec(this.#logs.get(name))?.[1]
    })
  }

  #start(name, ...words) {
    const child = spawn(this.#covey, words, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#logs.set(name, '')
    child.stderr.on('data', (text) => this.#logs.set(name, (this.#logs.get(name) + text).slice(-100_000)))
    this.#processes.push({ name, child })
    return child
  }

  /** Something else to be stopped with the rest. */
  also(other) {
    this.#others.push(other)
  }

  log(name) {
    return this.#logs.get(name) ?? ''
  }

  /** Both analyzers, with cohorts discovered; the candidate obeys drill(). */
  async analyzers() {
    this.#run('import', '--data', this.path('baseline'), '--format', 'oulad', join(kRoot, 'data/oulad'))
    // Runs to compare, a month apart.
    for (const asOf of ['2013-11-01T12:00:00Z', '2013-12-01T12:00:00Z', '2014-01-01T12:00:00Z', kAsOf]) {
      this.#run('discover', '--data', this.path('baseline'), '--as-of', asOf, '--save')
    }
    cpSync(this.path('baseline'), this.path('candidate'), { recursive: true })
    const table = this.#run('traits', '--data', this.path('baseline'), '--as-of', kAsOf, '--csv').stdout
    writeFileSync(this.path('learners'), table.split('\n').slice(1).filter(Boolean).map((line) => line.split(',')[0] + '\n').join(''))
    this.baseline = await this.#serve('baseline', 'serve', '--data', this.path('baseline'), '--engine', 'baseline',
      '--as-of', kAsOf, '--link-speed', '1000', '--listen', '127.0.0.1:0')
    await until('the baseline is ready', async () => (await fetch(this.baseline + '/readyz')).ok)
    await this.startCandidate('127.0.0.1:0')
  }

  async startCandidate(address) {
    writeFileSync(this.path('experiment.yaml'), kExperiment)
    this.candidate = await this.#serve('candidate', 'serve', '--data', this.path('candidate'), '--drill', this.path('drill'),
      '--experiment', this.path('experiment.yaml'), '--as-of', kAsOf, '--link-speed', '1000', '--listen', address)
    await until('the candidate is ready', async () => (await fetch(this.candidate + '/readyz')).ok)
    // Answers are compared: one service with cohorts beside one that is still looking would differ.
    for (const url of [this.baseline, this.candidate]) {
      await until(`${url} has found cohorts`, async () => (await fetch(url + '/v1/cohorts')).ok)
    }
  }

  /** A rollout by plans/demo.yaml, whose text `change` may alter, under a load of 600 requests a second. */
  async rollout(change = (text) => text) {
    const balancer = `127.0.0.1:${await freePort()}`
    const plan = readFileSync(join(kRoot, 'plans/demo.yaml'), 'utf8')
      .replaceAll('127.0.0.1:8081', new URL(this.baseline).host)
      .replaceAll('127.0.0.1:8082', new URL(this.candidate).host)
      .replaceAll('127.0.0.1:8080', balancer)
      .replace(/^channels:[^]*?\n\n/m, '')
      .replace('requests_per_second: 2000', 'requests_per_second: 600')
    writeFileSync(this.path('plan.yaml'), change(plan))
    let tokens = 'tokens:\n'
    for (const [person, role] of Object.entries(kPeople)) {
      const made = this.#run('control', 'token', '--plan', this.path('plan.yaml'), '--person', person, '--role', role)
      this.tokens[person] = made.stdout.trim()
      tokens += made.stderr.split('\n').find((line) => line.startsWith('  - {person')) + '\n'
    }
    writeFileSync(this.path('tokens.yaml'), tokens)
    this.control = await this.#serve('control', 'control', '--plan', this.path('plan.yaml'),
      '--journal', this.path('control'), '--tokens', this.path('tokens.yaml'), '--reports', this.path('reports'),
      '--begin', 'now', '--listen', '127.0.0.1:0')
    this.#start('load', 'load', `http://${balancer}`, '--rate', '600', '--for', '0s', '--learners', this.path('learners'),
      '--segments', 'us-east,us-west,europe,singapore')
  }

  status() {
    return get(this.control + '/v1/rollout')
  }

  /** The journal's records that are more than a tick. */
  async journal() {
    const text = await (await fetch(this.control + '/v1/rollout/journal?limit=10000')).text()
    return text.split('\n').filter(Boolean).map((line) => JSON.parse(line))
  }

  async post(person, path, body) {
    const answer = await fetch(this.control + path, {
      method: 'POST', body: JSON.stringify(body), headers: { Authorization: `Bearer ${this.tokens[person]}` },
    })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }

  /** What the candidate does wrong from now on, as for `covey serve --drill`; null: nothing. */
  drill(text) {
    if (text === null) rmSync(this.path('drill'), { force: true })
    else writeFileSync(this.path('drill'), text + '\n')
  }

  async end(name, signal = 'SIGTERM') {
    const at = this.#processes.findIndex((p) => p.name === name)
    if (at < 0) return
    const [{ child }] = this.#processes.splice(at, 1)
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((done) => child.once('exit', done))
    child.kill(signal)
    await Promise.race([gone, pause(10_000).then(() => child.kill('SIGKILL'))])
  }

  /** Ends load, control plane and HAProxy; another rollout may follow. */
  async endRollout() {
    await this.end('load')
    await this.end('control')
    try {
      process.kill(Number(readFileSync(this.path('control/haproxy/haproxy.pid'), 'utf8')), 'SIGTERM')
    } catch {
      // Not started yet, or gone already.
    }
    rmSync(this.path('control'), { recursive: true, force: true })
    rmSync(this.path('reports'), { recursive: true, force: true })
    this.drill(null)
  }

  async stop() {
    for (const other of this.#others) await other.stop()
    await this.endRollout()
    for (const { name } of [...this.#processes]) await this.end(name)
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Starts the control plane that was ended again where it was, on the same address. */
  async startControlAgain() {
    const { host } = new URL(this.control)
    this.control = await this.#serve('control', 'control', '--plan', this.path('plan.yaml'),
      '--journal', this.path('control'), '--tokens', this.path('tokens.yaml'), '--reports', this.path('reports'), '--listen', host)
  }
}
