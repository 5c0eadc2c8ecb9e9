// One learner's past, read from the log when the page is opened: traits over time, and events.
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { useAnswer } from './answer'
import { kTraitNames } from './cohorts'
import { count, digits, duration, words } from './format'
import { type Events, type History, kTraits, type LearnerEvent, type Scan } from './model'
import { type Curve, Curves, Empty } from './parts'

const kWeeks = 26

/** What an answer rests on; a person should know when it is not all. */
function Read({ log, note }: { log: Scan; note: string | null }): JSX.Element {
  return (
    <>
      {note !== null && <p class="fault" role="alert">Not all of it: {note}.</p>}
      <p class="muted small">{count(log.scanned)} of {count(log.records)} records of the log read in {duration(Math.max(1, Math.ceil(log.took_ms / 1000)))}.</p>
    </>
  )
}

export function TraitsOverTime({ base }: { base: string }): JSX.Element {
  const { value, fault } = useAnswer<History>(`${base}/history?weeks=${kWeeks}`)
  const weeks = value?.weeks ?? []
  const curves = kTraits.map((trait, look): Curve => ({
    label: kTraitNames[trait].name, look, values: weeks.map((w) => w.traits?.[trait] ?? null),
  }))
  const known = weeks.filter((w) => w.traits !== null)
  const first = weeks[0]
  const last = weeks[weeks.length - 1]
  return (
    <section aria-labelledby="over-time">
      <h2 id="over-time">Traits over time <span class="window">0 to 1, as of each of the past {kWeeks} weeks; computed anew from the learner's events, late ones at their own time</span></h2>
      {!value && <Empty>{fault || 'Reading the log …'}</Empty>}
      {value && known.length === 0 && value.log.complete && <Empty>No traits within these weeks: no practice.</Empty>}
      {known.length > 0 && first && last && (
        <Curves curves={curves} ends={[day(first.as_of), day(last.as_of)]} most={1} format={(v) => digits(v, 2)}
          label={`Traits now: ${kTraits.map((t) => `${kTraitNames[t].name} ${last.traits ? digits(last.traits[t], 2) : 'none'}`).join(', ')}; ${kWeeks} weeks ago: ${kTraits.map((t) => `${kTraitNames[t].name} ${first.traits ? digits(first.traits[t], 2) : 'none'}`).join(', ')}`} />
      )}
      {value && <Read log={value.log} note={value.note} />}
    </section>
  )
}

const day = (time: string): string => time.slice(0, 10)

/** What an event carries besides its capability and domain. */
function details(e: LearnerEvent): string {
  return [
    e.acted_on === undefined ? '' : e.acted_on ? 'acted on' : 'not acted on',
    e.score === undefined ? '' : `score ${digits(e.score, 3)}`,
    e.duration_s === undefined ? '' : duration(e.duration_s),
    e.amount === undefined ? '' : `${digits(e.amount, 6)} ${e.currency ?? ''}`,
    e.count === undefined ? '' : e.count === 1 ? 'once' : `${count(e.count)} times`,
    ...Object.entries(e.attributes ?? {}).map(([name, value]) => `${words(name)}: ${value}`),
  ].filter(Boolean).join(', ')
}

export function LearnerEvents({ base }: { base: string }): JSX.Element {
  // Where each page read so far begins; the first begins without a cursor.
  const [cursors, setCursors] = useState<string[]>([''])
  const cursor = cursors[cursors.length - 1]!
  const { value, fault } = useAnswer<Events>(`${base}/events?limit=50${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
  const first = (cursors.length - 1) * 50
  return (
    <section aria-labelledby="events">
      <h2 id="events">Events <span class="window">newest first, times in UTC{value && value.events.length > 0 && `; ${count(first + 1)} to ${count(first + value.events.length)} of ${count(value.found)}`}</span></h2>
      {!value && <Empty>{fault || 'Reading the log …'}</Empty>}
      {value && (
        <>
          <div class="scroll" tabIndex={0} role="region" aria-labelledby="events">
            <table class="figures left events">
              <thead><tr><th scope="col">Time</th><th scope="col">Type</th><th scope="col">Capability</th><th scope="col">Domain</th><th scope="col">More</th></tr></thead>
              <tbody>
                {value.events.map((e) => (
                  <tr key={e.id}>
                    <th scope="row"><time dateTime={e.time}>{e.time.slice(0, 19).replace('T', ' ').replace('Z', '')}</time></th>
                    <td>{e.type}</td><td>{e.capability ?? ''}</td><td>{e.domain ?? ''}</td><td>{details(e)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <div class="row">
            <button class="small" disabled={cursors.length === 1} onClick={() => setCursors(cursors.slice(0, -1))}>◀ Newer</button>
            <button class="small" disabled={!value.next} onClick={() => value.next && setCursors([...cursors, value.next])}>Older ▶</button>
          </div>
          <Read log={value.log} note={value.note} />
        </>
      )}
    </section>
  )
}
