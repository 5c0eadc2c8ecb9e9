// The experiments a service was told of: verdicts, and the whole report of each, as fresh as its last analysis.
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { Age, useAnswer } from './answer'
import { clock, duration, words } from './format'
import type { ExperimentEntry } from './model'
import { Badge, Empty, type Tone } from './parts'
import { useTick } from './store'

// The words of experiment::Decision.
const kTones: Record<string, Tone> = {
  win: 'good', aa_ok: 'good', loss: 'bad', invalid: 'bad', aa_alarm: 'bad', undecided: 'busy', no_effect: 'quiet', no_data: 'quiet',
}

export function ExperimentsPage({ path }: { path: string[] }): JSX.Element {
  const answer = useAnswer<{ experiments: ExperimentEntry[] }>('/v1/experiments', 5_000)
  const { value, fault } = answer
  useTick(5_000)
  // The analysis whose report is shown, until somebody asks for a newer one: a page that is being read does
  // not jump to its beginning.
  const [shown, setShown] = useState<{ name: string; made: string } | null>(null)
  if (!value) return fault ? <Empty>No experiments to show: {fault}</Empty> : <Empty>Reading the experiments …</Empty>
  const all = value.experiments
  if (all.length === 0) {
    return (
      <section class="narrow">
        <h1>Experiments</h1>
        <p>This service was told of none. Start it with <code>covey serve --experiment FILE</code>, once for each; <code>examples/</code> has two to copy.</p>
      </section>
    )
  }
  const chosen = all.find((e) => e.name === path[1]) ?? all[0]!
  const made = chosen.made !== null && shown?.name === chosen.name ? shown.made : chosen.made
  if (made !== null && shown?.name !== chosen.name) setShown({ name: chosen.name, made })
  const report = `/v1/experiments/${encodeURIComponent(chosen.name)}`
  return (
    <>
      <section class="bar-head">
        <h1>Experiments</h1>
        <p class="muted">Analysed again and again while events come in; intervals and verdicts hold at every look. <Age of={answer} /></p>
      </section>
      <div class="reports">
        <nav aria-label="Experiments">
          <ul class="plain">
            {all.map((e) => (
              <li>
                <a href={`#/experiments/${encodeURIComponent(e.name)}`} aria-current={e === chosen ? 'page' : undefined}>
                  {e.name} <Decision entry={e} />
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <section class="report" aria-labelledby="experiment">
          <div class="row spread">
            <h2 id="experiment">{chosen.question || chosen.name}</h2>
            <Decision entry={chosen} />
          </div>
          <p class="lead">{chosen.verdict ?? 'Not analysed yet.'}</p>
          <p class="muted small">
            {chosen.made
              ? `Events up to ${(chosen.as_of ?? '').slice(0, 16).replace('T', ' ')} UTC; analysed ${duration((Date.now() - Date.parse(chosen.made)) / 1000)} ago in ${duration(Math.ceil(chosen.took_ms / 1000))}.`
              : 'The first analysis is under way.'}
          </p>
          {chosen.fault && <p class="fault" role="alert">The last analysis failed: {chosen.fault}</p>}
          {chosen.made && (
            <>
              <div class="row">
                <a class="button small" href={`${report}?format=html`} target="_blank" rel="noreferrer">Open to print</a>
                <a class="button small" href={report} download={`${chosen.name}.json`}>JSON</a>
              </div>
              {made !== chosen.made && (
                <p class="newer" role="status">
                  The report below is of the analysis of {clock(made)} UTC; there is one of {clock(chosen.made)}.{' '}
                  <button class="small primary" onClick={() => setShown({ name: chosen.name, made: chosen.made! })}>Show the new one</button>
                </p>
              )}
              <iframe key={`${chosen.name} ${made}`} src={`${report}?format=html`} title={`Report: ${chosen.name}`} sandbox="" />
            </>
          )}
        </section>
      </div>
    </>
  )
}

function Decision({ entry }: { entry: ExperimentEntry }): JSX.Element {
  if (!entry.decision) return <Badge tone="quiet">not yet</Badge>
  return <Badge tone={kTones[entry.decision] ?? 'quiet'}>{words(entry.decision)}</Badge>
}
