// Runs of discovery side by side: how large each cohort was, how alike two runs are, who came and went.
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { Age, type Answer } from './answer'
import { clock, count, kNone, percent } from './format'
import type { Cohort, Run } from './model'
import { type Curve, Curves, Empty } from './parts'

/** A cohort's colour and dash, by its id: the same in every run shown. */
export function lookOf(id: number, cohorts: Cohort[], runs: Run[]): number {
  const ids = [...new Set([...cohorts, ...runs.flatMap((r) => r.cohorts)].map((c) => c.id))].sort((a, b) => a - b)
  return Math.max(0, ids.indexOf(id)) % 8
}

const decimal = (value: number | null): string => (value === null ? kNone : value.toFixed(3))

/** Learners of a run by what became of them since the one before. */
function moves(run: Run): { stayed: number; moved: number; came: number; went: number } | null {
  if (run.flows.length === 0) return null
  const sum = (is: (f: Run['flows'][number]) => boolean): number => run.flows.filter(is).reduce((s, f) => s + f.learners, 0)
  return {
    stayed: sum((f) => f.from !== null && f.from === f.to),
    moved: sum((f) => f.from !== null && f.to !== null && f.from !== f.to),
    came: sum((f) => f.from === null), went: sum((f) => f.to === null),
  }
}

/** Cohorts that one run has and the other has not. */
const lacking = (run: Run, other: Run | undefined): string =>
  other ? run.cohorts.filter((c) => !other.cohorts.some((o) => o.id === c.id)).map((c) => `#${c.id} ${c.archetype}`).join(', ') : ''

export function Runs({ answer, latest }: { answer: Answer<{ runs: Run[] }>; latest: Cohort[] }): JSX.Element {
  const runs = answer.value?.runs ?? []
  const [chosen, setChosen] = useState<number | null>(null)
  const run = runs.find((r) => r.number === chosen) ?? runs[runs.length - 1]
  return (
    <section aria-labelledby="runs">
      <h2 id="runs">Discovery runs compared <span class="window">the last {runs.length} saved, of at most 20; ids stay with their members</span></h2>
      {!answer.value && <Empty>{answer.fault || 'Reading the runs …'}</Empty>}
      {answer.value && runs.length === 0 && <Empty>None was saved yet.</Empty>}
      {answer.value && answer.fault !== '' && <p><Age of={answer} /></p>}
      {runs.length > 1 && <Shares runs={runs} latest={latest} />}
      {runs.length > 0 && <List runs={runs} />}
      {run && runs.length > 1 && (
        <>
          <h3><label>Who came and went in run{' '}
            <select value={run.number} onChange={(event) => setChosen(Number(event.currentTarget.value))}>
              {[...runs].reverse().map((r) => <option value={r.number}>#{r.number}, {clock(r.made, Date.now())}</option>)}
            </select></label>
          </h3>
          <Moves run={run} before={runs.find((r) => r.number === run.number - 1)} />
        </>
      )}
    </section>
  )
}

function Shares({ runs, latest }: { runs: Run[]; latest: Cohort[] }): JSX.Element {
  const ids = [...new Set(runs.flatMap((r) => r.cohorts.map((c) => c.id)))].sort((a, b) => a - b)
  const curves = ids.map((id): Curve => {
    const values = runs.map((r) => r.cohorts.find((c) => c.id === id)?.share ?? null)
    const last = runs.findLast((r) => r.cohorts.some((c) => c.id === id))?.cohorts.find((c) => c.id === id)
    return { label: `#${id} ${last?.archetype ?? ''}`, look: lookOf(id, latest, runs), values }
  })
  const most = Math.ceil(Math.max(...curves.flatMap((c) => c.values.map((v) => v ?? 0))) * 10) / 10
  const first = runs[0]!
  const last = runs[runs.length - 1]!
  return (
    <figure class="plain-figure">
      <figcaption class="window">Share of the active learners, each step one run</figcaption>
      <Curves curves={curves} most={most} format={percent} ends={[`#${first.number}, ${clock(first.made, Date.now())}`, `#${last.number}, ${clock(last.made_last, Date.now())}`]}
        label={`Shares in the latest run: ${last.cohorts.map((c) => `#${c.id} ${c.archetype} ${percent(c.share)}`).join(', ')}`} />
    </figure>
  )
}

function List({ runs }: { runs: Run[] }): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-labelledby="runs">
      <table class="figures">
        <thead>
          <tr>
            <th scope="col">Run</th><th scope="col">Made</th><th scope="col">Learners</th><th scope="col">k</th>
            <th scope="col">Silhouette</th><th scope="col" title="Adjusted Rand index: 1 is the same grouping, 0 is chance">Alike the run before</th>
            <th scope="col">In the same cohort</th><th scope="col">Moved</th><th scope="col">Came</th><th scope="col">Went</th>
            <th scope="col">New cohorts</th><th scope="col">Gone cohorts</th>
          </tr>
        </thead>
        <tbody>
          {[...runs].reverse().map((run) => {
            const m = moves(run)
            const before = runs.find((r) => r.number === run.number - 1)
            return (
              <tr key={run.number}>
                <th scope="row">#{run.number}</th>
                <td>{clock(run.made, Date.now())}{run.times > 1 && <span class="muted small"> and {run.times === 2 ? 'again at' : `${count(run.times - 1)} times again until`} {clock(run.made_last, Date.now())}</span>}</td>
                <td>{count(run.learners)}</td><td>{run.k}</td><td>{decimal(run.silhouette)}</td><td>{decimal(run.adjusted_rand_index)}</td>
                <td>{m ? count(m.stayed) : kNone}</td><td>{m ? count(m.moved) : kNone}</td><td>{m ? count(m.came) : kNone}</td><td>{m ? count(m.went) : kNone}</td>
                <td>{lacking(run, before) || kNone}</td><td>{before ? lacking(before, run) || kNone : kNone}</td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

function Moves({ run, before }: { run: Run; before: Run | undefined }): JSX.Element {
  if (run.flows.length === 0) return <Empty>There was no run before it to compare with.</Empty>
  const ids = [...new Set([...(before?.cohorts ?? []), ...run.cohorts].map((c) => c.id))].sort((a, b) => a - b)
  const of = (cohorts: Cohort[] | undefined, id: number): Cohort | undefined => cohorts?.find((c) => c.id === id)
  const sum = (is: (f: Run['flows'][number]) => boolean): number => run.flows.filter(is).reduce((s, f) => s + f.learners, 0)
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Who came and went">
      <table class="figures">
        <thead>
          <tr>
            <th scope="col">Cohort</th><th scope="col">Before</th><th scope="col">Stayed</th><th scope="col">From other cohorts</th>
            <th scope="col">To other cohorts</th><th scope="col">Came</th><th scope="col">Went</th><th scope="col">In this run</th><th scope="col">Share</th>
          </tr>
        </thead>
        <tbody>
          {ids.map((id) => {
            const now = of(run.cohorts, id)
            const old = of(before?.cohorts, id)
            return (
              <tr key={id}>
                <th scope="row">#{id} {(now ?? old)?.archetype}</th>
                <td>{old ? count(old.size) : kNone}</td>
                <td>{count(sum((f) => f.from === id && f.to === id))}</td>
                <td>{count(sum((f) => f.to === id && f.from !== null && f.from !== id))}</td>
                <td>{count(sum((f) => f.from === id && f.to !== null && f.to !== id))}</td>
                <td>{count(sum((f) => f.from === null && f.to === id))}</td>
                <td>{count(sum((f) => f.from === id && f.to === null))}</td>
                <td>{now ? count(now.size) : 'gone'}</td>
                <td>{now ? percent(now.share) : kNone}{old && now && <span class="muted small"> from {percent(old.share)}</span>}</td>
              </tr>
            )
          })}
        </tbody>
      </table>
      <p class="muted small">Came and went: learners who were, or are now, in no cohort: new, dormant, or with too little practice.</p>
    </div>
  )
}
