// The home page: what happens, whether it may go on, and who may decide otherwise.
import type { ComponentChildren, JSX } from 'preact'
import { useState } from 'preact/hooks'
import { useAnswer } from './answer'
import { Calendar } from './calendar'
import {
  capital, clock, count, duration, latency, measured, measureName, kNone, percent, rate, signed, words,
} from './format'
import { usePast } from './history'
import type { ArmFigures, Evidence, Figures, Incident, Phase, Plan, PlanPhase, Rule, Status, Window } from './model'
import { type Ask, Badge, Bar, Confirm, Empty, Key, Spark, Time, type Tone } from './parts'
import { Impacts, PeopleGates } from './people'
import { kNoSeries, perThousand, readings, type Series, stepFor, useSeries } from './series'
import { act, iDecide, myRole, roleTitle, serverNow, telemetryAge, useStore, useTick } from './store'

const kSparkPoints = 60
const kWholeEvery = 15_000 // ms

export function RolloutPage(): JSX.Element {
  const { status, plan } = useStore()
  useTick(1_000)
  const [ask, setAsk] = useState<Ask | null>(null)
  const windowS = plan?.window_s ?? 60
  const series = useSeries(kSparkPoints * windowS, stepFor(kSparkPoints * windowS, kSparkPoints))
  if (!status || !plan) return <Empty>Waiting for the first status …</Empty>
  const current = status.phases.find((phase) => phase.name === status.phase) ?? null
  return (
    <>
      <Headline status={status} plan={plan} current={current} onAsk={setAsk} />
      <Calendar status={status} plan={plan} />
      <div class="columns">
        <Criteria status={status} plan={plan} current={current} series={series} onAsk={setAsk} />
        <div class="stack">
          <Arms status={status} plan={plan} />
          <Segments status={status} plan={plan} />
        </div>
      </div>
      {status.impacts.length > 0 && <Impacts impacts={status.impacts} />}
      {status.gates.length > 0 && <PeopleGates status={status} onAsk={setAsk} />}
      <Decisions status={status} />
      {plan.work.length > 0 && <WorkList plan={plan} />}
      {ask && <Confirm ask={ask} done={() => setAsk(null)} />}
    </>
  )
}

// ---- What happens now

const kSituations: Record<Status['situation'], Tone> = {
  waiting: 'quiet', running: 'busy', held: 'warn', failed: 'bad', passed: 'good', finished: 'good',
  'rolling back': 'bad', 'rolled back': 'bad',
}

/** One sentence that says it to somebody who has just been woken. */
function sentence(status: Status, plan: Plan, current: Phase | null): ComponentChildren {
  const seen = status.share.seen === null ? 'an unknown share' : percent(status.share.seen)
  if (status.roll_back) {
    return status.roll_back.verified
      ? `Everybody is on ${plan.baseline} again since ${clock(status.roll_back.verified)}: ${status.roll_back.cause}.`
      : `Learners are being sent back to ${plan.baseline}: ${status.roll_back.cause}.`
  }
  if (status.situation === 'finished') return `The calendar is over: ${seen} of learners are on ${plan.candidate}.`
  if (status.situation === 'failed') return `${capital(current?.name ?? '')} did not pass. ${seen} of learners stay on ${plan.candidate} for investigation.`
  if (!current) return `${seen} of learners are on ${plan.candidate}.`
  if (status.situation === 'held') {
    return `${capital(current.name)} is held${status.held_by ? ` by ${status.held_by}` : ', for its gate could not be decided'}: ${seen} of learners are on ${plan.candidate}, and nothing goes further.`
  }
  if (current.status === 'waiting') {
    const inS = (Date.parse(current.start) - serverNow()) / 1000
    const open = current.approvals?.filter((a) => a.by === null && !current.overridden_by).map((a) => roleTitle(a.role)) ?? []
    const failed = current.checks?.filter((c) => c.ok === false).map((c) => words(c.check)) ?? []
    const when = inS > 0 ? `begins in ${duration(inS)}` : 'is due'
    const why = [
      open.length > 0 ? `needs the approval of ${open.join(' and ')}` : '',
      failed.length > 0 ? `failed its check: ${failed.join(', ')}` : '',
    ].filter(Boolean)
    return `${capital(current.name)} (${percent(current.share)} of learners) ${when}${why.length > 0 ? ` and ${why.join(', and ')}` : ''}. Now ${seen} are on ${plan.candidate}.`
  }
  return `${capital(current.name)}: ${seen} of learners are on ${plan.candidate}. ${standing(current)}`
}

/** How the gate stands, in a clause. */
function standing(phase: Phase): string {
  const all = phase.evidence.length
  if (all === 0) return 'Nothing has been judged yet.'
  const of = (verdict: Evidence['verdict']): Evidence[] => phase.evidence.filter((e) => e.verdict === verdict)
  const failing = of('fail')
  if (failing.length > 0) return `Failing: ${failing.map((e) => e.criterion).join(', ')}.`
  const open = of('undecided')
  if (open.length === 0) return all === 1 ? 'Its criterion holds so far.' : `All ${all} criteria hold so far.`
  return `${all - open.length} of ${all} criteria hold so far; still open: ${open.map((e) => e.criterion).join(', ')}.`
}

function Headline({ status, plan, current, onAsk }: {
  status: Status
  plan: Plan
  current: Phase | null
  onAsk: (ask: Ask) => void
}): JSX.Element {
  const running = current?.status === 'running'
  const next = current?.next_checkpoint ? (Date.parse(current.next_checkpoint) - serverNow()) / 1000 : null
  const drift = running ? (serverNow() - Date.parse(status.now)) / 1000 : 0
  return (
    <section class={`headline ${kSituations[status.situation]}`} aria-label="Now">
      <div class="now">
        <Badge tone={kSituations[status.situation]}>{status.situation}</Badge>
        <h1>{status.title || status.plan}</h1>
        <p class="lead">{sentence(status, plan, current)}</p>
        <dl class="facts">
          <Fact name="On the candidate" strong>
            {status.share.seen === null ? 'unknown' : percent(status.share.seen)}
            {status.share.seen !== null && status.share.seen !== status.share.wanted && (
              <span class="muted small"> wanted {percent(status.share.wanted)}</span>
            )}
          </Fact>
          {running && <Fact name="Elapsed">{duration((current.elapsed_s ?? 0) + drift)} of {duration(current.length_s + (current.missing_s ?? 0))}</Fact>}
          {running && <Fact name="Remaining">{(current.remaining_s ?? 0) - drift > 0 ? duration((current.remaining_s ?? 0) - drift) : 'deciding'}</Fact>}
          {running && next !== null && <Fact name="Next checkpoint">{next > 0 ? `in ${duration(next)}` : 'now'}</Fact>}
          {running && (current.missing_s ?? 0) > 0 && <Fact name="Telemetry missing">{duration(current.missing_s)}</Fact>}
          {status.on_call && <Fact name={`On call (${status.on_call.shift})`}>{status.on_call.people[0] ?? 'nobody'}</Fact>}
        </dl>
      </div>
      <Actions status={status} plan={plan} current={current} onAsk={onAsk} />
    </section>
  )
}

function Fact({ name, strong, children }: { name: string; strong?: boolean; children: ComponentChildren }): JSX.Element {
  return (
    <div class={strong ? 'strong' : ''}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

// ---- What somebody may do about it

function Actions({ status, plan, current, onAsk }: {
  status: Status
  plan: Plan
  current: Phase | null
  onAsk: (ask: Ask) => void
}): JSX.Element {
  const role = myRole()
  if (!role) {
    return (
      <div class="actions">
        <p class="muted">You are reading only. <a href="#/sign-in">Sign in</a> with your token to approve, hold or abort.</p>
      </div>
    )
  }
  const over = status.situation === 'finished'
  const back = status.situation === 'rolling back' || status.situation === 'rolled back'
  const share = status.share.seen ?? status.share.wanted
  const shareText = percent(share)
  const command = (body: Record<string, unknown>) => (reason: string) =>
    act('/v1/rollout/commands', reason ? { ...body, reason } : body)
  const hold = (): void => onAsk({
    title: 'Hold the rollout?',
    consequence: <p>The share stays at {shareText}. No stage passes and nothing goes further until somebody resumes. Rules that roll back stay awake.</p>,
    verb: 'Hold', reason: 'optional', run: command({ command: 'hold' }),
  })
  const resume = (): void => onAsk({
    title: 'Resume the rollout?',
    consequence: <p>The calendar goes on from here: gates that are passed let the next stage begin at its time.</p>,
    verb: 'Resume', reason: 'optional', run: command({ command: 'resume' }),
  })
  const choices = [0.5, 0.05, 0.01].filter((s) => s < share).map((s) => ({ label: percent(s), value: s }))
  const reduce = (): void => onAsk({
    title: 'Reduce the share?',
    consequence: <p>Learners above the share go back to {plan.baseline} within a second; those who stay keep their place. Now: {shareText}.</p>,
    verb: 'Reduce', reason: 'optional', choices,
    run: (reason, choice) => command({ command: 'reduce', share: choice })(reason),
  })
  const abort = (): void => onAsk({
    title: 'Abort and roll back?',
    consequence: (
      <p>
        All learners ({shareText} now) go back to {plan.baseline} within a second, and the end of the traffic on {plan.candidate} is
        verified. The rollout then stays at 0 % until somebody with decision authority starts a stage again.
      </p>
    ),
    verb: 'Abort and roll back', danger: true, reason: 'required', run: command({ command: 'abort' }),
  })
  const again = back || status.situation === 'failed'
  const stage = current?.kind === 'stage' ? current.name : (status.phases[0]?.name ?? '')
  const start = (): void => onAsk({
    title: `Start ${stage} again?`,
    consequence: <p>{capital(stage)} begins anew with its checks and approvals; its evidence so far does not count.</p>,
    verb: `Start ${stage}`, reason: 'required', run: command({ command: 'start', stage }),
  })
  return (
    <div class="actions" role="group" aria-label="Commands">
      {!over && !back && status.held_by === null && status.situation !== 'held' && <button onClick={hold}>Hold</button>}
      {!over && !back && (status.held_by !== null || status.situation === 'held') && <button class="primary" onClick={resume}>Resume</button>}
      {!back && choices.length > 0 && <button onClick={reduce}>Reduce …</button>}
      {!back && <button class="danger" onClick={abort}>Abort …</button>}
      {again && iDecide() && <button onClick={start}>Start {stage} again …</button>}
      {again && !iDecide() && <p class="muted">Only a role with decision authority starts it again.</p>}
    </div>
  )
}

function approvals(phase: Phase, onAsk: (ask: Ask) => void): ComponentChildren {
  const role = myRole()
  if (!phase.approvals || phase.approvals.length === 0) return null
  const open = phase.approvals.filter((a) => a.by === null)
  const approve = (): void => onAsk({
    title: `Approve ${phase.name}?`,
    consequence: (
      <p>
        Your approval is recorded under your name. {open.length === 1 ? 'It is the last one' : `${open.length - 1} more will be needed`}:
        with all of them, and its checks passed, {percent(phase.share)} of learners go to the candidate at {clock(phase.start, serverNow())} UTC.
      </p>
    ),
    verb: `Approve ${phase.name}`, run: () => act('/v1/rollout/approvals', { stage: phase.name, attempt: phase.attempt }),
  })
  const override = (): void => onAsk({
    title: `Stand in for the missing approvals of ${phase.name}?`,
    consequence: <p>{phase.name} will not wait for {open.map((a) => roleTitle(a.role)).join(' and ')}. The override and its reason are kept in the journal under your name, and everybody is told.</p>,
    verb: 'Override', danger: true, reason: 'required',
    run: (reason) => act('/v1/rollout/approvals', { stage: phase.name, attempt: phase.attempt, override: true, reason }),
  })
  return (
    <ul class="ticks">
      {phase.approvals.map((a) => (
        <li>
          {a.by ? <Badge tone="good">{a.by}</Badge> : <Badge tone={phase.overridden_by ? 'warn' : 'quiet'}>{phase.overridden_by ? `overridden by ${phase.overridden_by}` : 'waiting'}</Badge>}{' '}
          {roleTitle(a.role)}
          {a.by === null && a.role === role && !phase.overridden_by && <button class="small primary" onClick={approve}>Approve {phase.name}</button>}
        </li>
      ))}
      {open.some((a) => a.role !== role) && iDecide() && !phase.overridden_by && (
        <li><button class="small" onClick={override}>Override …</button></li>
      )}
    </ul>
  )
}

// ---- Whether it may go on

const kVerdicts: Record<Evidence['verdict'], Tone> = { pass: 'good', fail: 'bad', undecided: 'quiet' }

function Criteria({ status, plan, current, series, onAsk }: {
  status: Status
  plan: Plan
  current: Phase | null
  series: Series
  onAsk: (ask: Ask) => void
}): JSX.Element {
  const shown = current ?? status.phases[status.phases.length - 1] ?? null
  const planned = shown ? (plan.phases.find((p) => p.name === shown.name) ?? null) : null
  const waiting = status.phases.filter((p) => p.status === 'waiting' && p.kind === 'stage')
  // The figures of the very window that the gate judges, once there are some.
  const enough = shown?.began && serverNow() - Date.parse(shown.began) > 3_000 * plan.slot_s
  const { value: whole } = useAnswer<Window>(enough
    ? `/v1/rollout/telemetry?from=${shown.began}${shown.decided ? `&to=${shown.decided}` : ''}` : null, kWholeEvery)
  if (!shown || !planned) return <section><h2>Criteria</h2><Empty>The plan has no stage.</Empty></section>
  return (
    <section aria-labelledby="criteria">
      <h2 id="criteria">Gate of {words(shown.name)} <span class="window">the whole phase so far; error of deciding wrongly ≤ {percent(plan.alpha)}</span></h2>
      {shown.status === 'waiting' && shown.checks && shown.checks.length > 0 && (
        <ul class="ticks inline" aria-label="Pre-flight checks">
          {shown.checks.map((c) => (
            <li><Badge tone={c.ok === null ? 'quiet' : c.ok ? 'good' : 'bad'}>{words(c.check)}</Badge></li>
          ))}
        </ul>
      )}
      <ul class="criteria">
        {planned.criteria.map((rule) => (
          <Criterion rule={rule} evidence={shown.evidence.find((e) => e.criterion === rule.text) ?? null}
            begun={shown.began !== null} alpha={plan.alpha} criteria={planned.criteria.length} series={series}
            whole={whole} incidents={status.incidents} />
        ))}
      </ul>
      <Rules planned={planned} />
      {waiting.length > 0 && (
        <>
          <h3>Approvals</h3>
          {waiting.map((phase) => (
            <div class="approvals">
              <strong>{capital(words(phase.name))}</strong>
              {approvals(phase, onAsk) ?? <p class="muted">none needed</p>}
            </div>
          ))}
        </>
      )}
    </section>
  )
}

const kQuantiles: Record<string, (f: ArmFigures) => number | null> = {
  p50: (f) => f.p50_s, p95: (f) => f.p95_s, p99: (f) => f.p99_s,
}

/**
 * A value in its limit's unit. Of a quantile the gate judges the share of answers that were slower than the
 * limit; the quantile itself is read over the same window, and that share stands beside it.
 */
function Value({ rule, evidence, whole }: { rule: Rule; evidence: Evidence | null; whole: Window | null }): JSX.Element {
  const quantile = kQuantiles[rule.measure]
  if (!evidence || !quantile) return <span class="value">{measured(evidence?.value, rule.unit)}</span>
  return (
    <span class="value">
      {latency(whole ? quantile(whole.candidate) : null)}
      {evidence.value !== null && <span class="muted small"> {percent(evidence.value)} slower than {latency(rule.limit)}</span>}
    </span>
  )
}

function Criterion({ rule, evidence, begun, alpha, criteria, series, whole, incidents }: {
  rule: Rule
  evidence: Evidence | null
  begun: boolean
  alpha: number
  criteria: number
  series: Series
  whole: Window | null
  incidents: Incident[]
}): JSX.Element {
  const points = readings(series, rule.measure, incidents)
  const limit = `${rule.below ? '<' : '>'} ${measured(rule.limit, rule.unit)}`
  const text = `${measureName(rule.measure)}: the candidate's last ${points.length} windows; limit ${limit}`
  return (
    <li>
      <div class="criterion-head">
        <Badge tone={evidence ? kVerdicts[evidence.verdict] : 'quiet'}>{evidence ? evidence.verdict : begun ? 'open' : 'not yet'}</Badge>
        <strong>{measureName(rule.measure)}</strong>
        <span class="limit-text">{limit}</span>
        <Value rule={rule} evidence={evidence} whole={whole} />
      </div>
      <div class="criterion-body">
        <Weight evidence={evidence} begun={begun} alpha={alpha} criteria={criteria} />
        {points.length > 0
          ? <Spark points={points} limit={rule.limit} below={rule.below} label={text} />
          : <span class="spark-none muted small">{kNoSeries[rule.measure] ?? 'no line yet: no window of it has been read'}</span>}
      </div>
    </li>
  )
}

/**
 * How far the evidence has come on its way to "fail" (left) and to "pass" (right): the logarithm of
 * the e-value over that of the bound, log(1 / alpha).
 */
function Weight({ evidence, begun, alpha, criteria }: {
  evidence: Evidence | null
  begun: boolean
  alpha: number
  criteria: number
}): JSX.Element {
  if (!evidence) return <div class="weight"><p class="muted small">{begun ? 'no judgement at the last look' : 'judged once the phase runs'}</p></div>
  if (evidence.log_e_pass == null || evidence.log_e_fail == null) {
    return <div class="weight"><p class="small">{evidence.text}</p></div>
  }
  const part = (logE: number, bound: number): number => Math.max(0, Math.min(1, logE / bound))
  const pass = evidence.verdict === 'pass' ? 1 : part(evidence.log_e_pass, Math.log(1 / alpha))
  const fail = evidence.verdict === 'fail' ? 1 : part(evidence.log_e_fail, Math.log(criteria / alpha))
  const missing = evidence.more_needed != null && evidence.verdict === 'undecided'
    ? `; about ${count(evidence.more_needed)} more requests decide it` : ''
  return (
    <div class="weight">
      <svg viewBox="0 0 200 12" preserveAspectRatio="none" role="img"
        aria-label={`Evidence: ${Math.round(pass * 100)} % of what a pass needs, ${Math.round(fail * 100)} % of what a fail needs`}>
        <rect class="ground" width="200" height="12" />
        <rect class="fail" x={100 - fail * 100} width={fail * 100} height="12" />
        <rect class="pass" x="100" width={pass * 100} height="12" />
        <rect class="middle" x="99.5" width="1" height="12" />
      </svg>
      <div class="scale small muted" aria-hidden="true"><span>fail</span><span>pass</span></div>
      <p class="small">{evidence.text}{missing}</p>
    </div>
  )
}

function Rules({ planned }: { planned: PlanPhase }): JSX.Element | null {
  const lines: string[] = []
  if (planned.breached_for_s > 0) lines.push(`a criterion breached for ${duration(planned.breached_for_s)}: everybody goes back`)
  for (const r of planned.reactions ?? []) lines.push(`${r.when.text}: the share falls to ${percent(r.share)} (${r.severity})`)
  for (const w of planned.warnings ?? []) lines.push(`${w.text}: a warning`)
  if (lines.length === 0) return null
  return (
    <details>
      <summary>What happens by itself ({lines.length} rule{lines.length === 1 ? '' : 's'})</summary>
      <ul class="plain">{lines.map((line) => <li>{line}</li>)}</ul>
    </details>
  )
}

// ---- Candidate beside baseline

interface Row {
  name: string
  value: (f: ArmFigures) => number | null
  text: (value: number | null) => string
  /** 1: more is better, -1: less is, 0: neither. */
  better: number
}

function rows(plan: Plan): Row[] {
  const revenue = (v: number | null): string => (v === null ? kNone : `${rate(v)} ${plan.currency}`)
  return [
    { name: 'Requests', value: (f) => f.per_second, text: (v) => (v === null ? kNone : `${rate(v)} /s`), better: 0 },
    { name: 'Error rate', value: (f) => f.error_rate, text: percent, better: -1 },
    { name: 'Availability', value: (f) => f.availability, text: percent, better: 1 },
    { name: 'P50', value: (f) => f.p50_s, text: latency, better: -1 },
    { name: 'P95', value: (f) => f.p95_s, text: latency, better: -1 },
    { name: 'P99', value: (f) => f.p99_s, text: latency, better: -1 },
    { name: 'P99.9', value: (f) => f.p999_s, text: latency, better: -1 },
    { name: 'Cache hits', value: (f) => f.cache_hits, text: percent, better: 1 },
    { name: 'CPU', value: (f) => f.cpu, text: percent, better: -1 },
    { name: 'Memory', value: (f) => f.memory, text: percent, better: -1 },
    { name: 'Network', value: (f) => f.network, text: percent, better: -1 },
    { name: 'Revenue per 1,000 requests', value: (f) => perThousand(f.revenue_per_minute, f), text: revenue, better: 1 },
    { name: 'Practice events per 1,000 requests', value: (f) => perThousand(f.practice_per_minute, f), text: rate, better: 1 },
  ]
}

/** Relative change, where it says something: both known, the first not zero. */
function change(row: Row, baseline: number | null, candidate: number | null): ComponentChildren {
  if (row.better === 0 || baseline === null || candidate === null) return ''
  const difference = candidate - baseline
  if (row.text(baseline) === row.text(candidate)) return <span class="muted">equal</span>
  const better = difference * row.better > 0
  // Fractions differ by points; everything else relatively, where there is something to relate it to.
  const text = row.text === percent ? signed(percent(difference, 2).replace(' %', ' pp'), difference)
    : baseline > 0 ? signed(percent(difference / baseline, 2), difference)
    : row.text(Math.abs(difference))
  return <span class={better ? 'better' : 'worse'}>{text} <span class="small">{better ? 'better' : 'worse'}</span></span>
}

export function windowText(status: Status): string {
  const figures = status.figures
  if (!figures) return 'no telemetry yet'
  const length = (Date.parse(figures.to) - Date.parse(figures.from)) / 1000
  const missing = figures.missing_s > 0 ? `, ${duration(figures.missing_s)} of it missing` : ''
  const age = telemetryAge()
  return `last ${duration(length)} to ${clock(figures.to)}${missing}${age === null ? '' : `, ${duration(age)} old`}`
}

function Arms({ status, plan }: { status: Status; plan: Plan }): JSX.Element {
  const figures = status.figures
  return (
    <section aria-labelledby="arms">
      <h2 id="arms">Candidate beside baseline <span class="window">{windowText(status)}</span></h2>
      {!figures && <Empty>No request has been measured yet: is the balancer's line reaching the control plane?</Empty>}
      {figures && (
        <table class="figures">
          <thead>
            <tr>
              <th scope="col"><span class="hidden">Measure</span></th>
              <th scope="col"><Key arm="baseline" />{plan.baseline}</th>
              <th scope="col"><Key arm="candidate" />{plan.candidate}</th>
              <th scope="col">Change</th>
            </tr>
          </thead>
          <tbody>
            {rows(plan).map((row) => {
              const b = row.value(figures.baseline)
              const c = row.value(figures.candidate)
              if (b === null && c === null) return null
              return (
                <tr>
                  <th scope="row">{row.name}</th>
                  <td>{row.text(b)}</td>
                  <td>{row.text(c)}</td>
                  <td>{change(row, b, c)}</td>
                </tr>
              )
            })}
          </tbody>
        </table>
      )}
      {figures?.revenue_delta != null && (
        <p class="small">Revenue per request is a reading, {signed(percent(figures.revenue_delta), figures.revenue_delta)} against the baseline; a gate judges revenue per learner.</p>
      )}
    </section>
  )
}

function Good({ part }: { part: number | null }): JSX.Element {
  if (part === null) return <>{kNone}</>
  return <span class={part < 0.99 ? 'worse' : ''}><Bar part={part} tone={part < 0.99 ? 'bad' : 'good'} /> {percent(part)}</span>
}

function Segments({ status, plan }: { status: Status; plan: Plan }): JSX.Element {
  const all = status.figures?.segments ?? []
  const names = [...plan.segments, 'other'].filter((name) => all.some((s) => s.segment === name))
  const of = (arm: string, name: string): Figures | undefined => all.find((s) => s.arm === arm && s.segment === name)
  const good = (f: Figures | undefined): number | null =>
    f && f.requests > 0 ? (f.requests - f.wrong - f.unanswered) / f.requests : null
  return (
    <section aria-labelledby="segments">
      <h2 id="segments">Answered well, by segment <span class="window">{windowText(status)}</span></h2>
      {names.length === 0 && <Empty>{plan.segments.length === 0 ? 'The plan names no segments.' : 'No request in this window.'}</Empty>}
      {names.length > 0 && (
        <table class="figures">
          <thead>
            <tr>
              <th scope="col"><span class="hidden">Segment</span></th>
              <th scope="col"><Key arm="baseline" />{plan.baseline}</th>
              <th scope="col"><Key arm="candidate" />{plan.candidate}</th>
              <th scope="col">Candidate's requests</th>
            </tr>
          </thead>
          <tbody>
            {names.map((name) => {
              const c = of('candidate', name)
              const b = of('baseline', name)
              return (
                <tr>
                  <th scope="row">{name}</th>
                  <td><Good part={good(b)} /></td>
                  <td><Good part={good(c)} /></td>
                  <td>{c ? count(c.requests) : kNone}</td>
                </tr>
              )
            })}
          </tbody>
        </table>
      )}
    </section>
  )
}

// ---- What was decided

const kDecisions: Record<string, Tone> = {
  pass: 'good', verified: 'good', finished: 'good', resolve: 'good', fail: 'bad', roll_back: 'bad', abort: 'bad',
  incident: 'bad', hold: 'warn', warn: 'warn', reduce: 'warn', override: 'warn', refused: 'warn', escalate: 'warn',
  begin: 'busy', open: 'busy', start: 'busy', resume: 'busy', continue: 'busy',
}

function Decisions({ status }: { status: Status }): JSX.Element {
  const [all, setAll] = useState(false)
  const past = usePast(all ? status : null, null, null)
  const shown = all ? past.decisions : status.decisions.slice(0, 12)
  return (
    <section aria-labelledby="decisions">
      <h2 id="decisions">Decisions <span class="window">newest first; {count(status.journal.records)} records in the journal</span></h2>
      {shown.length === 0 && <Empty>Nothing has been decided yet.</Empty>}
      <ol class="decisions">
        {shown.map((d) => (
          <li key={`${d.at} ${d.decision} ${d.cause}`}>
            <span class="when"><Time at={d.at} /></span>
            <Badge tone={kDecisions[d.decision] ?? 'quiet'}>{words(d.decision)}</Badge>
            <span class="muted small">{percent(d.share)}{d.phase && `, ${words(d.phase)}`}</span>
            <span class="cause">{d.cause}</span>
          </li>
        ))}
      </ol>
      {past.fault !== '' && <p class="fault" role="alert">Older ones were not read: {past.fault}</p>}
      {all && past.more && <p class="muted small">The newest thousand; <a href="/v1/rollout/journal">the journal</a> has the rest.</p>}
      {status.decisions.length > 12 && (
        <button class="small" onClick={() => setAll(!all)}>{all ? 'Fewer' : 'All of them'}</button>
      )}
    </section>
  )
}

function WorkList({ plan }: { plan: Plan }): JSX.Element {
  return (
    <section aria-labelledby="work">
      <h2 id="work">Work and its reports</h2>
      <div class="scroll" tabIndex={0} role="region" aria-labelledby="work">
        <table class="figures">
          <thead><tr><th scope="col">What</th><th scope="col">Begins</th><th scope="col">Length</th><th scope="col">Next report</th></tr></thead>
          <tbody>
            {plan.work.map((w) => (
              <tr>
                <th scope="row">{w.title || words(w.name)}</th>
                <td><Time at={w.start} /></td>
                <td>{duration(w.length_s)}</td>
                <td><Time at={w.reports.find((r) => Date.parse(r) > serverNow()) ?? null} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}
