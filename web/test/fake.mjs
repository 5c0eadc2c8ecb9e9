// A control plane, or an analyzer, that does what a real one does seldom: falls silent with its connections
// open, refuses streams, speaks a thousand times a minute. It serves the very files of the program.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const kDist = join(dirname(fileURLToPath(import.meta.url)), '../../build/web/dist')
const kTypes = { html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' }
const time = (ms) => new Date(ms).toISOString()

const kTraits = { learning_velocity: 0.4, domain_affinity: 0.5, interaction_frequency: 0.3, feedback_responsiveness: 0.6, retention_strength: 0.7 }
const cohort = (id, share) => ({
  id, archetype: id === 1 ? 'Fast Learner' : 'Generalist', size: share * 1000, share, centroid: kTraits, silhouette: 0.4, stability: 0.9, sentence: `Cohort ${id} practises.`,
})

export class Fake {
  /** Requests by path, without their queries. */
  asked = new Map()
  streams = new Set()
  streamsBegun = 0
  /** Text of the problem that streams are refused with; empty: they are taken. */
  refuses = ''
  /** Streams get nothing more, though they stay open; requests get no answer. */
  silent = false
  /** Streams alone get nothing. */
  mute = false
  /** Connections are cut before an answer. */
  dead = false
  telemetryAge = 0.4
  slot = 1
  #told = 0
  #decisions = []
  made = time(Date.now())
  analyses = 1
  /** Who is signed in, and what they sent. */
  who = { person: null, role: null }
  sent = []

  constructor(kind) {
    this.kind = kind
    this.began = Date.now() - 60_000
    this.server = createServer((request, response) => this.#answer(request, response))
  }

  async start() {
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done))
    this.address = `http://127.0.0.1:${this.server.address().port}`
    return this
  }
  async stop() {
    this.server.closeAllConnections()
    await new Promise((done) => this.server.close(done))
  }

  figures(from, to) {
    const wave = Math.sin(to / 7_000)
    const arm = (name, share) => ({
      arm: name, requests: Math.round(600 * share * (to - from) / 1000), per_second: 600 * share, unanswered: 0, wrong: 0, error_rate: 0.0001 * (2 + wave), availability: 1,
      p50_s: 0.001 + 0.0001 * wave, p95_s: 0.002, p99_s: 0.004 + 0.001 * wave, p999_s: 0.01, cpu: 0.3 + 0.1 * wave, memory: 0.5, network: null, cache_hits: 0.99,
      revenue_per_minute: 100 * share * (1 + 0.1 * wave), practice_per_minute: 300 * share,
    })
    return {
      from: time(from), to: time(to), missing_s: 0, baseline: arm('baseline', 0.95), candidate: arm('candidate', 0.05), revenue_delta: 0.02 * wave,
      segments: ['europe', 'asia'].flatMap((segment) => ['baseline', 'candidate'].map((name) => ({ ...arm(name, name === 'baseline' ? 0.4 : 0.02), segment }))),
    }
  }

  status() {
    const now = Date.now()
    const n = this.#told
    return {
      plan: 'fake', title: 'A rollout that is none', now: time(now), attempt: 1, situation: 'running', phase: 'canary',
      share: { wanted: 0.05, allowed: 0.05, seen: 0.05, cause: 'canary begins' }, telemetry_age_s: this.telemetryAge, held_by: null,
      on_call: { shift: 'night', people: ['Nils', 'Emil'] },
      phases: [
        {
          name: 'canary', kind: 'stage', status: 'running', share: 0.05, start: time(this.began), length_s: 36_000, began: time(this.began), decided: null,
          elapsed_s: (now - this.began) / 1000, remaining_s: 36_000 - (now - this.began) / 1000, missing_s: 0, next_checkpoint: time(this.began + 3_600_000),
          evidence: [{ criterion: 'error_rate < 0.1%', verdict: n % 2 ? 'pass' : 'undecided', value: 0.0002, log_e_pass: n % 9, log_e_fail: 0, more_needed: 1000 - (n % 900), text: `${n} looks` },
            { criterion: 'p99 < 50ms', verdict: 'pass', value: 0.001, log_e_pass: 9, log_e_fail: 0, text: '0.1 % slower' }],
        },
        { name: 'everybody', kind: 'stage', status: 'waiting', share: 1, start: time(this.began + 36_000_000), length_s: 72_000, began: null, decided: null, approvals: [], checks: [], evidence: [] },
      ],
      figures: this.figures(now - 60_000, now),
      incidents: Array.from({ length: n % 5 }, (_, i) => ({
        id: n + i, severity: 'high', title: `incident ${n + i}`, source: 'rule', phase: 'canary', opened: time(now - 900_000), times: 1, called: time(now - 300_000), called_to: 2,
        // The shift has changed since: neither is on duty now.
        calls: [{ at: time(now - 900_000), person: 'Olga' }, { at: time(now - 300_000), person: 'Vera' }], acknowledged: null, resolved: null, evidence: [],
      })),
      gates: [{ name: 'week_one', at: time(this.began), criteria: ['complaints as before'], overridden_by: null, passed: null,
        approvals: [{ role: 'operations_lead', by: 'Olga', report: 'week-1.html', no_go: null }, { role: 'product_lead', by: null, report: null, no_go: 'two complaints are open' }] }],
      impacts: [{ measure: 'revenue', estimate: 0.012, low: -0.004, high: 0.028, source: 'ab-revenue', as_of: time(this.began), valid_until: time(this.began + 86_400_000), person: null, counts: false, why_not: 'it ended yesterday' }],
      decisions: this.#decisions.slice(0, 50), journal: { records: 100 + n, head: 'ab'.repeat(32) },
    }
  }

  plan() {
    const criterion = (measure, limit, unit, text) => ({ text, measure, below: true, limit, unit })
    const phase = (name, share, length_s) => ({
      name, kind: 'stage', share, length_s, checkpoints_s: [length_s / 2, length_s], criteria: [criterion('error_rate', 0.001, 'fraction', 'error_rate < 0.1%'), criterion('p99', 0.05, 'seconds', 'p99 < 50ms'),
        criterion('churn', 0.02, 'fraction', 'churn < 2%'), criterion('critical_incidents', 1, 'count', 'critical_incidents < 1')],
      breached_for_s: 180, on_pass: 'everybody',
    })
    return {
      plan: 'fake', title: 'A rollout that is none', baseline: 'old', candidate: 'new', balancer: 'b', currency: 'EUR', slot_s: this.slot, window_s: 60, alpha: 0.05, segments: ['europe', 'asia'],
      acknowledge_within_s: 600, begin: time(this.began), end: time(this.began + 108_000_000), phases: [phase('canary', 0.05, 36_000), phase('everybody', 1, 72_000)], work: [], roles: [], shifts: [],
    }
  }

  /** One status to every stream, with a decision more. */
  push() {
    this.#told += 1
    this.#decisions = [{ at: time(Date.now()), phase: 'canary', decision: 'continue', share: 0.05, cause: `look ${this.#told}` }, ...this.#decisions].slice(0, 200)
    this.#say(`event: rollout\ndata: ${JSON.stringify(this.status())}\n\n`)
  }
  alive() {
    this.#say('event: alive\ndata: {}\n\n')
  }
  #say(text) {
    if (this.silent || this.mute) return
    for (const stream of this.streams) stream.write(text)
  }

  /** An analysis later. */
  analyse() {
    this.analyses += 1
    this.made = time(Date.now() + 1000 * this.analyses)
  }

  #problem(response, status, detail) {
    response.writeHead(status, { 'Content-Type': 'application/problem+json' })
    response.end(JSON.stringify({ status, detail }))
  }

  #answer(request, response) {
    const { pathname: path, searchParams: query } = new URL(request.url, this.address)
    this.asked.set(path, (this.asked.get(path) ?? 0) + 1)
    if (this.dead) return request.socket.destroy()
    const page = path === '/' && (request.headers.accept ?? '').includes('text/html') ? 'index.html' : path.slice(1)
    if (/^(index\.html|app\.js|app\.css|icon\.svg)$/.test(page)) {
      response.writeHead(200, { 'Content-Type': kTypes[page.split('.').pop()] })
      return response.end(readFileSync(join(kDist, page)))
    }
    if (this.silent && path !== '/v1/rollout/events') return undefined
    const json = (value) => {
      response.writeHead(200, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify(value))
    }
    if (path === '/') return json({ name: this.kind === 'control' ? 'covey control' : 'covey' })
    return this.kind === 'control' ? this.#control(request, path, query, response, json) : this.#analyzer(path, query, response, json)
  }

  #control(request, path, query, response, json) {
    if (path === '/v1/rollout/events') {
      if (this.refuses) return this.#problem(response, 503, this.refuses)
      this.streamsBegun += 1
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
      this.streams.add(response)
      response.on('close', () => this.streams.delete(response))
      response.write(this.silent || this.mute ? 'retry: 1000\n\n' : `event: rollout\ndata: ${JSON.stringify(this.status())}\n\n`)
      return undefined
    }
    if (path === '/v1/rollout') return json(this.status())
    if (path === '/v1/rollout/plan') return json(this.plan())
    if (path === '/v1/session') return json(this.who)
    if (path === '/v1/rollout/approvals') {
      request.setEncoding('utf8').on('data', (text) => this.sent.push(JSON.parse(text)))
      return json({ decisions: [] })
    }
    if (path === '/v1/rollout/history') {
      const from = query.has('from') ? Date.parse(query.get('from')) : 0
      const within = this.#decisions.filter((d) => Date.parse(d.at) > from)
      const limit = Number(query.get('limit') ?? 200)
      return json({ decisions: within.slice(0, limit), incidents: [], more: within.length > limit })
    }
    if (path === '/v1/rollout/reports') return json({ reports: [] })
    if (path === '/v1/rollout/telemetry') {
      const from = Date.parse(query.get('from'))
      const to = query.has('to') ? Date.parse(query.get('to')) : Date.now()
      const steps = Number(query.get('steps') ?? 0)
      if (steps === 0) return json(this.figures(from, to))
      const step = (to - from) / steps
      return json(Array.from({ length: steps }, (_, i) => this.figures(from + i * step, from + (i + 1) * step)))
    }
    return this.#problem(response, 404, 'there is nothing here')
  }

  #analyzer(path, query, response, json) {
    const cohorts = [cohort(1, 0.6), cohort(2, 0.4)]
    const run = { as_of: time(this.began), learners: 1000, k: 2, inertia: 1, silhouette: 0.4, adjusted_rand_index: 0.9, cohorts }
    if (path === '/v1/cohorts') return json({ ...run, engine: 'fast' })
    if (path === '/v1/discoveries') return json({ kept: 20, runs: [1, 2].map((number) => ({ ...run, number, seed: 1, made: time(this.began), times: 1, made_last: time(this.began), flows: [] })) })
    if (path === '/v1/experiments') {
      return json({ experiments: [{ name: 'ab', question: 'Which?', decision: 'undecided', verdict: `verdict ${this.analyses}`, as_of: this.made, made: this.made, took_ms: 5, fault: null }] })
    }
    if (path === '/v1/experiments/ab') {
      response.writeHead(200, { 'Content-Type': kTypes.html })
      return response.end(`<!doctype html><title>ab</title><p>analysis ${this.analyses}</p><div style="height:4000px">long</div>`)
    }
    return this.#problem(response, 404, 'there is nothing here')
  }
}
