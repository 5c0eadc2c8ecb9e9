// What the telemetry does not say: gates that people decide on reports, and what experiments found.
import type { JSX } from 'preact'
import { percent, signed, words, capital } from './format'
import type { Impact, PeopleGate, Status } from './model'
import { type Ask, Badge, Time } from './parts'
import { act, iDecide, myRole, roleTitle, serverNow } from './store'

export function PeopleGates({ status, onAsk }: { status: Status; onAsk: (ask: Ask) => void }): JSX.Element {
  return (
    <section aria-labelledby="gates">
      <h2 id="gates">Gates that people decide <span class="window">each on a report, once it is due</span></h2>
      <ul class="plain cards">
        {status.gates.map((gate) => <Gate key={gate.name} gate={gate} attempt={status.attempt} onAsk={onAsk} />)}
      </ul>
    </section>
  )
}

function Gate({ gate, attempt, onAsk }: { gate: PeopleGate; attempt: number; onAsk: (ask: Ask) => void }): JSX.Element {
  const role = myRole()
  const due = Date.parse(gate.at) <= serverNow()
  const open = due && gate.passed === null
  const approve = (): void => onAsk({
    title: `GO at ${words(gate.name)}?`,
    consequence: <p>Your approval is recorded under your name, with the report that it rests on: {gate.criteria.join('; ')}.</p>,
    verb: 'GO', reason: 'report',
    run: (report) => act('/v1/rollout/approvals', { stage: gate.name, attempt, report }),
  })
  const refuse = (): void => onAsk({
    title: `NO-GO at ${words(gate.name)}?`,
    consequence: <p>What comes after it waits until you approve after all, or somebody with decision authority overrides you.</p>,
    verb: 'NO-GO', danger: true, reason: 'required',
    run: (reason) => act('/v1/rollout/approvals', { stage: gate.name, attempt, withdraw: true, reason }),
  })
  const override = (): void => onAsk({
    title: `Decide ${words(gate.name)} in place of those who have not?`,
    consequence: <p>The override and its reason are kept in the journal under your name, and everybody is told.</p>,
    verb: 'Override', danger: true, reason: 'required',
    run: (reason) => act('/v1/rollout/approvals', { stage: gate.name, attempt, override: true, reason }),
  })
  return (
    <li>
      <strong>{capital(words(gate.name))}</strong>{' '}
      {gate.passed ? <Badge tone="good">passed</Badge> : due ? <Badge tone="warn">due</Badge> : <Badge tone="quiet">not due</Badge>}
      <p class="muted small"><Time at={gate.passed ?? gate.at} />{gate.overridden_by && `, overridden by ${gate.overridden_by}`}</p>
      <ul class="small">{gate.criteria.map((text) => <li>{text}</li>)}</ul>
      <ul class="ticks">
        {gate.approvals.map((a) => (
          <li>
            {a.by ? <Badge tone="good">{a.by}</Badge> : a.no_go !== null ? <Badge tone="bad">NO-GO</Badge> : <Badge tone="quiet">waiting</Badge>}{' '}
            {roleTitle(a.role)}
            {a.report && <span class="muted small">on {a.report}</span>}
            {a.no_go && <span class="muted small">{a.no_go}</span>}
            {open && a.role === role && a.by === null && <button class="small primary" onClick={approve}>GO …</button>}
            {open && a.role === role && a.no_go === null && <button class="small danger" onClick={refuse}>NO-GO …</button>}
          </li>
        ))}
        {open && iDecide() && gate.approvals.some((a) => a.by === null && a.role !== role) && (
          <li><button class="small" onClick={override}>Override …</button></li>
        )}
      </ul>
    </li>
  )
}

export function Impacts({ impacts }: { impacts: Impact[] }): JSX.Element {
  return (
    <section aria-labelledby="impacts">
      <h2 id="impacts">What experiments say <span class="window">candidate to baseline; a gate on it needs a reading that is valid</span></h2>
      <div class="scroll" tabIndex={0} role="region" aria-labelledby="impacts">
        <table class="figures">
          <thead><tr><th scope="col">Measure</th><th scope="col">Change</th><th scope="col">Interval</th><th scope="col">Counts</th><th scope="col">As of</th><th scope="col">Valid until</th><th scope="col">From</th></tr></thead>
          <tbody>
            {impacts.map((i) => (
              <tr>
                <th scope="row">{capital(words(i.measure))}</th>
                <td>{signed(percent(i.estimate), i.estimate)}</td>
                <td>{signed(percent(i.low), i.low)} to {signed(percent(i.high), i.high)}</td>
                <td>{i.counts ? <Badge tone="good">yes</Badge> : <><Badge tone="warn">no</Badge> {i.why_not}</>}</td>
                <td><Time at={i.as_of} /></td>
                <td><Time at={i.valid_until} /></td>
                <td>{i.source}{i.person && `, told by ${i.person}`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}
