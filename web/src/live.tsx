// What learners feel and what machines do, over time.
import type { JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { Chart, type Line, type Mark } from './chart'
import { clock, count, duration, kNone, latency, measured, percent, rate, signed } from './format'
import { usePast } from './history'
import type { ArmFigures, Rule, Window } from './model'
import { Empty, Key, Time } from './parts'
import { perThousand, stepFor, useSeries, type Series } from './series'
import { serverNow, useStore } from './store'
import { useTheme } from './theme'

const kSpans = [
  { label: '15 min', seconds: 900 },
  { label: '1 h', seconds: 3_600 },
  { label: '6 h', seconds: 21_600 },
  { label: '36 h', seconds: 129_600 },
]
const kSteps = 300
const kZero = { value: 0, text: '' }

// Where the share moved, or was to.
const kMarked = new Set(['begin', 'fail', 'reduce', 'roll_back', 'start', 'finished'])

export function LivePage(): JSX.Element {
  const { status, plan } = useStore()
  const theme = useTheme()
  const [span, setSpan] = useState(900)
  // A window of its own, until somebody asks for now again.
  const [end, setEnd] = useState<number | null>(null)
  const series = useSeries(span, stepFor(span, kSteps), end)
  const zoom = (from: number, to: number): void => {
    const least = stepFor(1, 1) * 5 / 1000
    setSpan(Math.max(least, Math.round((to - from) / 1000)))
    setEnd(Math.ceil(to))
  }
  const last = end ?? serverNow()
  const move = (by: number): void => {
    const next = last + by * span * 1000
    setEnd(next >= serverNow() ? null : next)
  }
  const scale = (by: number): void => {
    const next = Math.max(stepFor(1, 1) * 5 / 1000, Math.min(14 * 86_400, span * by))
    if (end !== null) setEnd(Math.min(serverNow(), end + ((next - span) * 1000) / 2))
    setSpan(Math.round(next))
  }

  const past = usePast(status, last - span * 1000, end)
  const deployments = past.decisions.filter((d) => kMarked.has(d.decision))
  const marks = useMemo<Mark[]>(() => [
    ...past.incidents.map((i): Mark => ({ at: Date.parse(i.opened), letter: `#${i.id}`, kind: 'incident' })),
    ...deployments.map((d): Mark => ({ at: Date.parse(d.at), letter: `${percent(d.share)}`, kind: 'deployment' })),
  ], [past.incidents.length, past.decisions.length, past.decisions[0]?.at])

  if (!status || !plan) return <Empty>Waiting for the first status …</Empty>
  const phase = plan.phases.find((p) => p.name === status.phase)
  const limitOf = (measure: string): { value: number; text: string } | null => {
    const rule: Rule | undefined = phase?.criteria.find((c) => c.measure === measure)
    return rule ? { value: rule.limit, text: `${rule.below ? '<' : '>'} ${measured(rule.limit, rule.unit)}` } : null
  }
  const chart = { at: series.at, marks, theme, sync: 'live', onZoom: zoom }
  return (
    <>
      <section class="bar-head" aria-label="Time">
        <h1>Live</h1>
        <div class="row" role="group" aria-label="Span">
          {kSpans.map((s) => (
            <button class="small" aria-pressed={end === null && span === s.seconds} onClick={() => { setSpan(s.seconds); setEnd(null) }}>{s.label}</button>
          ))}
        </div>
        <div class="row" role="group" aria-label="Zoom and move">
          <button class="small" onClick={() => move(-0.5)} title="Earlier">◀ <span class="wide">earlier</span></button>
          <button class="small" onClick={() => move(0.5)} disabled={end === null} title="Later"><span class="wide">later</span> ▶</button>
          <button class="small" onClick={() => scale(0.5)} aria-label="Zoom in">+</button>
          <button class="small" onClick={() => scale(2)} aria-label="Zoom out">−</button>
          <button class="small" onClick={() => setEnd(null)} disabled={end === null}>Now</button>
        </div>
        <p class="muted small">
          {clock(last - span * 1000, serverNow())} to {end === null ? 'now' : clock(end, serverNow())} UTC, each point {duration(series.step / 1000)}.
          Drag over a chart to zoom. <Keys />
        </p>
        {series.error && <p class="fault" role="alert">History was not read: {series.error}. It is asked for again.</p>}
      </section>
      <Tiles series={series} now={status.figures ?? null} />
      <div class="charts">
        <Chart {...chart} title="Error rate" unit="wrong answers of all answers, %" lines={pair(series, (f) => f.error_rate)} limit={limitOf('error_rate')} format={percent} most={1} />
        <Chart {...chart} title="Typical latency" unit="half and 95 % of answered requests are faster; logarithmic" lines={quantiles(series, kTypical)} limit={limitOf('p95') ?? limitOf('p50')} format={latency} log />
        <Chart {...chart} title="Tail latency" unit="99 % and 99.9 % of answered requests are faster; logarithmic" lines={quantiles(series, kTail)} limit={limitOf('p99')} format={latency} log />
        <Chart {...chart} title="Requests" unit="per second" lines={pair(series, (f) => f.per_second)} format={(v) => (v === null ? kNone : `${rate(v)}/s`)} />
        <Chart {...chart} title="Availability" unit="answered of all sent, %" lines={pair(series, (f) => f.availability)} limit={limitOf('availability')} format={percent} most={1} />
        <Chart {...chart} title="Cache hits" unit="look-ups of active learners whom the published discovery gives a cohort, % of all such look-ups" lines={pair(series, (f) => f.cache_hits)} limit={limitOf('cache_hits')} format={percent} most={1} />
        <Chart {...chart} title="CPU" unit="of the machine, %" lines={pair(series, (f) => f.cpu)} limit={limitOf('cpu')} format={percent} most={1} />
        <Chart {...chart} title="Memory" unit="of the machine, %" lines={pair(series, (f) => f.memory)} limit={limitOf('memory')} format={percent} most={1} />
        {any(series, (f) => f.network)
          ? <Chart {...chart} title="Network" unit="of the link, %" lines={pair(series, (f) => f.network)} limit={limitOf('network')} format={percent} most={1} />
          : <Unread title="Network" why="neither machine knows the speed of its link, as a virtual one has none; covey serve --link-speed says it" />}
        <Chart {...chart} title="Revenue" unit={`${plan.currency} per 1,000 requests of the arm`} lines={pair(series, (f) => perThousand(f.revenue_per_minute, f))} format={(v) => (v === null ? kNone : rate(v))} />
        {series.windows.some((w) => w?.revenue_delta != null)
          ? <Chart {...chart} title="Revenue against the baseline" unit="per request, candidate to baseline, %" lines={delta(series)} limit={kZero} format={(v) => (v === null ? kNone : signed(percent(v), v))} />
          : <Unread title="Revenue against the baseline" why="within this time the baseline, or the candidate, has taken no revenue" />}
        <Chart {...chart} title="Practice" unit="events per 1,000 requests of the arm" lines={pair(series, (f) => perThousand(f.practice_per_minute, f))} format={(v) => (v === null ? kNone : rate(v))} />
      </div>
      <section aria-labelledby="marked">
        <h2 id="marked">Marked on the time axis</h2>
        {marks.length === 0 && <Empty>Nothing has happened yet.</Empty>}
        {past.fault !== '' && <p class="fault" role="alert">What is older than the newest fifty was not read: {past.fault}</p>}
        {past.more && <p class="muted small">The newest thousand decisions of this time; the journal has the rest.</p>}
        <ul class="plain marks">
          {past.incidents.map((i) => (
            <li><span class="letter trouble">#{i.id}</span> <Time at={i.opened} /> {i.severity} incident: <a href="#/incidents">{i.title}</a></li>
          ))}
          {deployments.map((d) => (
            <li><span class="letter">{percent(d.share)}</span> <Time at={d.at} /> {d.decision.replace('_', ' ')}: {d.cause}</li>
          ))}
        </ul>
      </section>
    </>
  )
}

function Unread({ title, why }: { title: string; why: string }): JSX.Element {
  return (
    <figure class="chart">
      <figcaption><strong>{title}</strong></figcaption>
      <Empty>Not measured: {why}.</Empty>
    </figure>
  )
}

function Keys(): JSX.Element {
  return (
    <span class="keys"><Key arm="baseline" />baseline <Key arm="candidate" />candidate</span>
  )
}

type Read = (figures: ArmFigures) => number | null

function values(series: Series, arm: 'baseline' | 'candidate', read: Read): (number | null)[] {
  return series.windows.map((w: Window | null) => (w ? read(w[arm]) : null))
}
function any(series: Series, read: Read): boolean {
  return series.windows.some((w) => w && (read(w.baseline) !== null || read(w.candidate) !== null))
}
function pair(series: Series, read: Read): Line[] {
  return [
    { label: 'baseline', arm: 'baseline', values: values(series, 'baseline', read) },
    { label: 'candidate', arm: 'candidate', values: values(series, 'candidate', read) },
  ]
}

interface Quantile {
  name: string
  read: Read
  dash: Record<'baseline' | 'candidate', number[]>
}
const kTypical: Quantile[] = [
  { name: 'P95', read: (f) => f.p95_s, dash: { baseline: [2, 3], candidate: [12, 3, 2, 3] } },
  { name: 'P50', read: (f) => f.p50_s, dash: { baseline: [6, 4], candidate: [] } },
]
const kTail: Quantile[] = [
  { name: 'P99.9', read: (f) => f.p999_s, dash: { baseline: [2, 3], candidate: [12, 3, 2, 3] } },
  { name: 'P99', read: (f) => f.p99_s, dash: { baseline: [6, 4], candidate: [] } },
]
function quantiles(series: Series, which: Quantile[]): Line[] {
  return (['baseline', 'candidate'] as const).flatMap((arm) =>
    which.map((q): Line => ({
      label: `${arm} ${q.name}`, short: `${q.name} ${arm === 'baseline' ? 'base' : 'cand'}`, arm, dash: q.dash[arm],
      values: values(series, arm, q.read),
    })))
}
function delta(series: Series): Line[] {
  return [{ label: 'candidate', arm: 'candidate', values: series.windows.map((w) => w?.revenue_delta ?? null) }]
}

/** The figures somebody asks for first, over the span shown. */
function Tiles({ series, now }: { series: Series; now: Window | null }): JSX.Element {
  const known = series.windows.filter((w): w is Window => w !== null)
  const total = known.map((w) => w.baseline.per_second + w.candidate.per_second)
  const requests = known.reduce((sum, w) => sum + w.baseline.requests + w.candidate.requests, 0)
  const wrong = known.reduce((sum, w) => sum + w.baseline.wrong + w.candidate.wrong, 0)
  const unanswered = known.reduce((sum, w) => sum + w.baseline.unanswered + w.candidate.unanswered, 0)
  const missing = known.reduce((sum, w) => sum + w.missing_s, 0)
  return (
    <dl class="facts tiles" aria-label="Over the span shown, both arms">
      <div><dt>Requests now</dt><dd>{now ? `${rate(now.baseline.per_second + now.candidate.per_second)} /s` : kNone}</dd></div>
      <div><dt>Peak</dt><dd>{total.length > 0 ? `${rate(Math.max(...total))} /s` : kNone}</dd></div>
      <div><dt>Requests in all</dt><dd>{count(requests)}</dd></div>
      <div><dt>Wrong answers</dt><dd>{count(wrong)}</dd></div>
      <div><dt>Not answered</dt><dd>{count(unanswered)}</dd></div>
      <div><dt>Telemetry missing</dt><dd>{missing > 0 ? duration(missing) : 'none'}</dd></div>
    </dl>
  )
}
