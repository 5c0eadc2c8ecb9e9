// What went wrong, who knows, and who is called next.
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { capital, clock, duration, words } from './format'
import { usePast } from './history'
import type { Incident, Plan, Severity, Status } from './model'
import { type Ask, Badge, Confirm, Empty, Time, type Tone } from './parts'
import { act, myRole, serverNow, useStore, useTick } from './store'

const kTones: Record<Severity, Tone> = { critical: 'bad', high: 'bad', medium: 'warn', low: 'quiet' }
const kVerdict: Record<string, Tone> = { pass: 'good', fail: 'bad', undecided: 'quiet' }

export function IncidentsPage(): JSX.Element {
  const { status, plan } = useStore()
  useTick(1_000)
  const [ask, setAsk] = useState<Ask | null>(null)
  const { incidents, fault } = usePast(status, null, null)
  if (!status || !plan) return <Empty>Waiting for the first status …</Empty>
  const open = incidents.filter((i) => !i.resolved)
  const past = incidents.filter((i) => i.resolved)
  return (
    <>
      <section class="bar-head">
        <h1>Incidents</h1>
        <p>
          {open.length === 0 ? <Badge tone="good">none open</Badge> : <Badge tone="bad">{open.length} open</Badge>}{' '}
          {status.on_call
            ? <span>On call now: {status.on_call.people.join(', then ')} <span class="muted">({status.on_call.shift} shift)</span></span>
            : <span class="muted">Nobody is on call at this hour.</span>}
        </p>
      </section>
      <section aria-labelledby="open">
        <h2 id="open">Open</h2>
        {open.length === 0 && <Empty>Nothing is open. What the controller opens by itself appears here within a slot of telemetry.</Empty>}
        {open.map((i) => <One key={i.id} incident={i} status={status} plan={plan} onAsk={setAsk} />)}
      </section>
      <section aria-labelledby="past">
        <h2 id="past">Past</h2>
        {fault !== '' && <p class="fault" role="alert">What is older than the newest fifty was not read: {fault}</p>}
        {past.length === 0 && <Empty>None yet.</Empty>}
        {past.map((i) => <One key={i.id} incident={i} status={status} plan={plan} onAsk={setAsk} />)}
      </section>
      {ask && <Confirm ask={ask} done={() => setAsk(null)} />}
    </>
  )
}

/** Who is called when, while nobody has acknowledged. Who was called is what was recorded then: shifts change. */
function Escalation({ incident, status, plan }: { incident: Incident; status: Status; plan: Plan }): JSX.Element | null {
  if (incident.resolved || incident.acknowledged || plan.acknowledge_within_s <= 0) return null
  const last = incident.calls[incident.calls.length - 1]
  if (!last) return <p class="muted">Nobody is called for this severity.</p>
  const people = status.on_call?.people ?? []
  const next = people[Math.min(incident.called_to, people.length - 1)]
  const left = (Date.parse(last.at) - serverNow()) / 1000 + plan.acknowledge_within_s
  const when = left > 0 ? `in ${duration(left)}` : 'now'
  return (
    <p class="escalation">
      {last.person ? <><strong>{last.person}</strong> was called at {clock(last.at, serverNow())}</> : <>Nobody was on duty at {clock(last.at, serverNow())}</>};{' '}
      {next === undefined ? `whoever is on duty is called ${when}`
        : next === last.person ? `is called again ${when}` : <><strong>{next}</strong> is called {when}</>}
      {next !== undefined && ' (by the present shift)'} unless somebody acknowledges.
    </p>
  )
}

/** The calls, each as a step; of a long list the middle is not kept. */
function Calls({ incident }: { incident: Incident }): JSX.Element {
  const missing = incident.called_to - incident.calls.filter((c) => c.person !== null).length
  return (
    <>
      {incident.calls.map((call, i) => (
        <>
          {i === 1 && missing > 0 && <li class="done"><span>…</span> <span class="muted">{missing} more calls</span></li>}
          <li class="done">
            <span>{i === 0 ? 'Called' : 'Escalated'}</span> <Time at={call.at} />{' '}
            <span class="muted">{call.person ? `${i === 0 ? '' : 'to '}${call.person}` : 'to nobody: no one was on duty'}{i > 0 && `, ${duration((Date.parse(call.at) - Date.parse(incident.opened)) / 1000)} after it opened`}</span>
          </li>
        </>
      ))}
    </>
  )
}

function One({ incident, status, plan, onAsk }: {
  incident: Incident
  status: Status
  plan: Plan
  onAsk: (ask: Ask) => void
}): JSX.Element {
  const role = myRole()
  const acknowledge = (): void => onAsk({
    title: `Acknowledge incident #${incident.id}?`,
    consequence: <p>You say that you are looking at it: nobody further is called. It stays open until it is resolved.</p>,
    verb: 'Acknowledge', run: () => act(`/v1/rollout/incidents/${incident.id}/acknowledge`, {}),
  })
  const resolve = (): void => onAsk({
    title: `Resolve incident #${incident.id}?`,
    consequence: <p>You say that its cause is gone. Everybody who was told is told so. If it comes again, a new incident opens.</p>,
    verb: 'Resolve', run: () => act(`/v1/rollout/incidents/${incident.id}/resolve`, {}),
  })
  return (
    <article class={`incident ${incident.resolved ? 'past' : incident.severity}`} aria-labelledby={`incident-${incident.id}`}>
      <div class="row spread">
        <h3 id={`incident-${incident.id}`}>#{incident.id} {incident.title}</h3>
        <Badge tone={incident.resolved ? 'quiet' : kTones[incident.severity]}>{incident.severity}</Badge>
      </div>
      <ol class="steps">
        <li class="done"><span>Opened</span> <Time at={incident.opened} /> <span class="muted">by {words(incident.source)}{incident.phase && ` in ${words(incident.phase)}`}{incident.times > 1 && `, reported ${incident.times} times`}</span></li>
        <Calls incident={incident} />
        <li class={incident.acknowledged ? 'done' : ''}><span>Acknowledged</span> {incident.acknowledged ? <><Time at={incident.acknowledged} /> <span class="muted">by {incident.acknowledged_by}, after {duration((Date.parse(incident.acknowledged) - Date.parse(incident.opened)) / 1000)}</span></> : <span class="muted">not yet</span>}</li>
        <li class={incident.resolved ? 'done' : ''}>
          <span>Resolved</span>{' '}
          {incident.resolved
            ? <><Time at={incident.resolved} /> <span class="muted">by {incident.resolved_by}, after {duration((Date.parse(incident.resolved) - Date.parse(incident.opened)) / 1000)}</span></>
            : <span class="muted">open for {duration((serverNow() - Date.parse(incident.opened)) / 1000)}</span>}
        </li>
      </ol>
      <Escalation incident={incident} status={status} plan={plan} />
      {incident.evidence.length > 0 && (
        <ul class="evidence" aria-label="Evidence">
          {incident.evidence.map((e) => (
            <li><Badge tone={kVerdict[e.verdict] ?? 'quiet'}>{e.verdict}</Badge> <code>{e.criterion}</code> {capital(e.text)}</li>
          ))}
        </ul>
      )}
      <div class="row">
        {role && !incident.resolved && !incident.acknowledged && <button class="primary" onClick={acknowledge}>Acknowledge</button>}
        {role && !incident.resolved && <button onClick={resolve}>Resolve</button>}
        <a class="button" href={`#/reports/incident/${incident.id}`}>Report</a>
        {!role && !incident.resolved && <span class="muted"><a href="#/sign-in">Sign in</a> to acknowledge.</span>}
      </div>
    </article>
  )
}
