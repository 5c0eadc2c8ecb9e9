// The rollout's calendar: a bar to the scale of time, and what each phase is beside it.
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { capital, clock, duration, percent, words } from './format'
import type { Phase, Plan, PlanPhase, Status } from './model'
import { Badge, type Tone } from './parts'
import { serverNow } from './store'

const kPhases: Record<Phase['status'], Tone> = {
  waiting: 'quiet', running: 'busy', passed: 'good', failed: 'bad', rolled_back: 'bad',
}
const kSteps = [ // s
  5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 2 * 86_400, 7 * 86_400, 28 * 86_400,
]
const kTicks = 5

interface Span {
  phase: Phase
  plan: PlanPhase | null
  from: number // ms
  to: number
  /** How far it has come, ms; `from` where it has not begun. */
  done: number
}

/** When each phase was, is, or can be at the earliest: one that waits for somebody moves what comes after it. */
function spans(status: Status, plan: Plan): Span[] {
  const now = serverNow()
  let free = -Infinity
  return status.phases.map((phase, i) => {
    const length = (phase.length_s + (phase.missing_s ?? 0)) * 1000
    const from = phase.began ? Date.parse(phase.began)
      : Math.max(Date.parse(phase.start), free, phase.status === 'waiting' && status.situation !== 'rolled back' ? now : -Infinity)
    const done = !phase.began ? from : phase.decided ? Date.parse(phase.decided) : now
    // What is extended lasts until now at least.
    const to = phase.decided ? Math.max(done, from) : Math.max(from + length, done)
    free = to
    return { phase, plan: plan.phases[i] ?? null, from, to, done }
  })
}

export function Calendar({ status, plan }: { status: Status; plan: Plan }): JSX.Element {
  const [chosen, setChosen] = useState<'stages' | 'all' | null>(null)
  const all = spans(status, plan)
  const stages = all.filter((s) => s.phase.kind === 'stage')
  const monitors = stages.length > 0 && stages.length < all.length
  const now = serverNow()
  const later = status.phases.find((p) => p.name === status.phase)?.kind === 'monitoring'
  const view = chosen ?? (monitors && !later ? 'stages' : 'all')
  return (
    <section aria-labelledby="calendar">
      <div class="row spread">
        <h2 id="calendar">Calendar <span class="window">to scale; times in UTC, now {clock(now)}</span></h2>
        {monitors && (
          <div class="row" role="group" aria-label="Shown">
            <button class="small" aria-pressed={view === 'stages'} onClick={() => setChosen('stages')}>Stages</button>
            <button class="small" aria-pressed={view === 'all'} onClick={() => setChosen('all')}>Whole calendar</button>
          </div>
        )}
      </div>
      <Scale shown={view === 'stages' ? stages : all} all={all} status={status} now={now} />
      <ol class="timeline" tabIndex={0} aria-label="Phases">
        {all.map((s, i) => <One span={s} number={i + 1} now={s.phase.name === status.phase} />)}
      </ol>
    </section>
  )
}

/** The bar. Widths and places are parts of the whole, so that text keeps its size. */
function Scale({ shown, all, status, now }: { shown: Span[]; all: Span[]; status: Status; now: number }): JSX.Element {
  // The end is the end: there is no "now" in a calendar that is over.
  const goes = !['finished', 'rolled back'].includes(status.situation)
  let from = Math.min(...shown.map((s) => s.from), ...(goes ? [now] : []))
  let to = Math.max(...shown.map((s) => s.to), ...(goes ? [now] : []))
  const margin = Math.max(1_000, (to - from) * 0.015)
  from -= margin
  to += margin
  const place = (at: number): number => ((at - from) / (to - from)) * 100
  const percents = (value: number): string => `${value.toFixed(3)}%`
  const step = (kSteps.find((s) => (to - from) / 1000 / s <= kTicks) ?? kSteps[kSteps.length - 1]!) * 1000
  const ticks: number[] = []
  for (let at = Math.ceil(from / step) * step; at < to; at += step) ticks.push(at)
  const anchor = (at: number): 'start' | 'middle' | 'end' => (place(at) < 8 ? 'start' : place(at) > 92 ? 'end' : 'middle')
  const label = (at: number): string => {
    const time = clock(at)
    if (step >= 86_400_000 || at % 86_400_000 === 0) return clock(at, at + 10 * 86_400_000).split(',')[0]!
    return step < 60_000 ? time : time.slice(0, 5)
  }
  const text = shown.map((s) => `${words(s.phase.name)} ${words(s.phase.status)}, ${clock(s.from, now)} for ${duration((s.to - s.from) / 1000)}`).join('; ')
  return (
    <svg class="scale-bar" width="100%" height="78" role="img" aria-label={`${text}${goes ? `; now ${clock(now)}` : ''}`}>
      <rect class="ground" x="0" y="24" width="100%" height="26" rx="3" />
      {ticks.map((at) => (
        <>
          <line class="tick" x1={percents(place(at))} x2={percents(place(at))} y1="50" y2="56" />
          <text class="label" x={percents(place(at))} y="70" text-anchor={anchor(at)}>{label(at)}</text>
        </>
      ))}
      {shown.map((s) => {
        const x = place(s.from)
        const width = Math.max(0.3, place(s.to) - x)
        return (
          <g class={`span ${s.phase.status}`}>
            <rect class="whole" x={percents(x)} y="25" width={percents(width)} height="24" rx="2" />
            {s.done > s.from && <rect class="fill" x={percents(x)} y="25" width={percents(Math.max(0.2, place(s.done) - x))} height="24" rx="2" />}
            {s.plan?.checkpoints_s?.map((at) => {
              const where = percents(place(s.from + at * 1000))
              return <line class="checkpoint" x1={where} x2={where} y1="42" y2="49" />
            })}
            {/* Above the bar, where a short phase leaves it room. */}
            <text class="number" x={percents(x + width / 2)} y="19" text-anchor="middle">{all.indexOf(s) + 1}</text>
          </g>
        )
      })}
      {goes && (
        <g class="now">
          <line x1={percents(place(now))} x2={percents(place(now))} y1="12" y2="56" />
          <text x={percents(place(now))} y="10" text-anchor={anchor(now)}>now</text>
        </g>
      )}
    </svg>
  )
}

function One({ span, number, now }: { span: Span; number: number; now: boolean }): JSX.Element {
  const { phase, plan } = span
  const length = (span.to - span.from) / 1000
  const running = phase.status === 'running'
  return (
    <li class={`phase ${phase.status} ${now ? 'current' : ''}`} aria-current={now ? 'step' : undefined}>
      <div class="row spread">
        <strong><span class="muted">{number}</span> {capital(words(phase.name))}</strong>
        <Badge tone={kPhases[phase.status]}>{words(phase.status)}</Badge>
      </div>
      <div class="share">{percent(phase.share)}<span class="muted small"> of learners</span></div>
      <div class="muted small">
        {running ? `${Math.floor(Math.min(1, (span.done - span.from) / 1000 / length) * 100)} % of ${duration(length)}` : `${clock(phase.began ?? span.from, serverNow())}, ${duration(phase.decided ? length : phase.length_s)}`}
        {plan?.checkpoints_s && `, ${plan.checkpoints_s.length} checkpoint${plan.checkpoints_s.length === 1 ? '' : 's'}`}
      </div>
    </li>
  )
}
