// What the cohorts are, how they differ, and who is in them. Served by the analyzer.
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { Age, useAnswer } from './answer'
import { count, kNone, percent, words } from './format'
import { type Cohort, type Cohorts, kTraits, type Learner, type Run, type Trait, type Traits } from './model'
import { LearnerEvents, TraitsOverTime } from './learner'
import { Badge, Empty, type Tone } from './parts'
import { lookOf, Runs } from './runs'

export const kTraitNames: Record<Trait, { name: string; means: string }> = {
  learning_velocity: { name: 'Learning velocity', means: 'how fast new capabilities are taken up' },
  domain_affinity: { name: 'Domain affinity', means: 'how much practice keeps to few domains' },
  interaction_frequency: { name: 'Interaction frequency', means: 'on how many days they come by' },
  feedback_responsiveness: { name: 'Feedback responsiveness', means: 'share of feedback acted on' },
  retention_strength: { name: 'Retention strength', means: 'how much of recent use returns to what was used before' },
}

export function CohortsPage({ path }: { path: string[] }): JSX.Element {
  const answer = useAnswer<Cohorts>('/v1/cohorts', 10_000)
  const history = useAnswer<{ runs: Run[] }>('/v1/discoveries', 10_000)
  const { value: found, fault } = answer
  const runs = history.value?.runs ?? []
  if (path[0] === 'learners' && path.length > 1) return <LearnerPage id={path.slice(1).join('/')} cohorts={found} />
  if (!found) return <Empty>{fault ? `No cohorts to show: ${fault}` : 'Reading the cohorts …'}</Empty>
  const chosen = path[0] === 'cohorts' ? found.cohorts.find((c) => String(c.id) === path[1]) : undefined
  if (path[0] === 'cohorts' && path[1] && !chosen) return <Empty>The latest discovery has no cohort {path[1]}. <a href="#/">All cohorts</a></Empty>
  if (chosen) return <CohortPage cohort={chosen} found={found} />
  return (
    <>
      <section class="bar-head">
        <h1>Cohorts</h1>
        <p class="muted">
          {count(found.learners)} active learners in {found.k} cohorts as of {found.as_of.slice(0, 16).replace('T', ' ')} UTC, by the {found.engine} engine.{' '}
          Silhouette {decimal(found.silhouette)}
          {found.adjusted_rand_index !== null && <>; {percent(found.adjusted_rand_index)} alike the run before (adjusted Rand index)</>}. <Age of={answer} />
        </p>
        <FindLearner />
      </section>
      <Shares cohorts={found.cohorts} look={(id) => lookOf(id, found.cohorts, runs)} />
      <div class="cards">
        {found.cohorts.map((c) => <Card cohort={c} colour={lookOf(c.id, found.cohorts, runs)} mean={meanOf(found)} />)}
      </div>
      <Differences found={found} />
      <Runs answer={history} latest={found.cohorts} />
    </>
  )
}

const decimal = (value: number | null): string => (value === null ? kNone : value.toFixed(2))

function meanOf(found: Cohorts): Traits {
  const out = {} as Traits
  for (const trait of kTraits) out[trait] = found.cohorts.reduce((sum, c) => sum + c.share * c.centroid[trait], 0)
  return out
}

function FindLearner(): JSX.Element {
  const [id, setId] = useState('')
  return (
    <form class="row" role="search" onSubmit={(event) => { event.preventDefault(); if (id.trim()) location.hash = `#/learners/${encodeURIComponent(id.trim())}` }}>
      <label class="field inline">Learner <input type="search" value={id} onInput={(event) => setId(event.currentTarget.value)} spellcheck={false} placeholder="id" /></label>
      <button type="submit">Look up</button>
    </form>
  )
}

/** Cohorts beside one another, each as wide as it is large. */
function Shares({ cohorts, look }: { cohorts: Cohort[]; look: (id: number) => number }): JSX.Element {
  let x = 0
  return (
    <svg class="shares" viewBox="0 0 1000 34" preserveAspectRatio="none" role="img"
      aria-label={`Sizes: ${cohorts.map((c) => `${c.archetype} ${percent(c.share)}`).join(', ')}`}>
      {cohorts.map((c) => {
        const left = x
        x += c.share * 1000
        return <rect class={`cohort-${look(c.id)}`} x={left} width={Math.max(0, c.share * 1000 - 3)} height="34" rx="3" />
      })}
    </svg>
  )
}

function Card({ cohort, colour, mean }: { cohort: Cohort; colour: number; mean: Traits }): JSX.Element {
  return (
    <article class="card">
      <h2><svg class="swatch" viewBox="0 0 10 10" aria-hidden="true"><rect class={`cohort-${colour}`} width="10" height="10" rx="2" /></svg> <a href={`#/cohorts/${cohort.id}`}>{cohort.archetype}</a> <span class="window">#{cohort.id}</span></h2>
      <p class="big">{percent(cohort.share)} <span class="muted small">{count(cohort.size)} learners</span></p>
      <p>{cohort.sentence}</p>
      <Profile traits={cohort.centroid} beside={mean} besideName="all learners" />
      <p><Stability value={cohort.stability} /> <span class="muted small">silhouette {decimal(cohort.silhouette)}</span></p>
    </article>
  )
}

/** How alike the cohort comes out of resampled learners (Jaccard); Hennig's bounds. */
function Stability({ value }: { value: number | null }): JSX.Element {
  if (value === null) return <span class="muted small">stability not measured</span>
  const tone: Tone = value >= 0.85 ? 'good' : value >= 0.6 ? 'warn' : 'bad'
  const word = value >= 0.85 ? 'stable' : value >= 0.6 ? 'a pattern' : 'may dissolve'
  return <Badge tone={tone}>{word}: {percent(value)}</Badge>
}

/** Five traits as bars from 0 to 1, with a tick where others stand. */
function Profile({ traits, beside, besideName }: { traits: Traits; beside: Traits | null; besideName: string }): JSX.Element {
  return (
    <ul class="profile">
      {kTraits.map((trait) => (
        <li title={kTraitNames[trait].means}>
          <span class="name">{kTraitNames[trait].name}</span>
          <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
            <rect class="ground" width="100" height="10" />
            <rect class="fill" width={Math.max(0, Math.min(1, traits[trait])) * 100} height="10" />
            {beside && <rect class="tick" x={Math.min(99, beside[trait] * 100) - 0.5} width="1.2" height="10" />}
          </svg>
          <span class="value">{traits[trait].toFixed(2)}</span>
          {beside && <span class="hidden">; {besideName} {beside[trait].toFixed(2)}</span>}
        </li>
      ))}
      {beside && <li class="muted small legend">the tick: {besideName}</li>}
    </ul>
  )
}

function Differences({ found }: { found: Cohorts }): JSX.Element {
  const mean = meanOf(found)
  return (
    <section aria-labelledby="differences">
      <h2 id="differences">How they differ <span class="window">mean of each trait, 0 to 1; ▲▼ a fifth or more away from all learners</span></h2>
      <div class="scroll" tabIndex={0} role="region" aria-labelledby="differences">
        <table class="figures">
          <thead>
            <tr>
              <th scope="col">Cohort</th><th scope="col">Learners</th>
              {kTraits.map((t) => <th scope="col" title={kTraitNames[t].means}>{kTraitNames[t].name}</th>)}
            </tr>
          </thead>
          <tbody>
            {found.cohorts.map((c) => (
              <tr>
                <th scope="row"><a href={`#/cohorts/${c.id}`}>{c.archetype}</a></th>
                <td>{count(c.size)}</td>
                {kTraits.map((t) => {
                  const away = mean[t] > 0 ? c.centroid[t] / mean[t] - 1 : 0
                  return <td>{c.centroid[t].toFixed(2)} <span class="sign">{away >= 0.2 ? '▲' : away <= -0.2 ? '▼' : ' '}</span></td>
                })}
              </tr>
            ))}
            <tr class="total">
              <th scope="row">All</th><td>{count(found.learners)}</td>
              {kTraits.map((t) => <td>{mean[t].toFixed(2)} <span class="sign"> </span></td>)}
            </tr>
          </tbody>
        </table>
      </div>
    </section>
  )
}

const kShown = 60

function CohortPage({ cohort, found }: { cohort: Cohort; found: Cohorts }): JSX.Element {
  // Where each page read so far begins; the first begins without a cursor.
  const [cursors, setCursors] = useState<string[]>([''])
  const cursor = cursors[cursors.length - 1]!
  const { value, fault } = useAnswer<{ learners: string[]; next?: string | null }>(
    `/v1/cohorts/${cohort.id}/learners?limit=${kShown}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
  const first = (cursors.length - 1) * kShown
  return (
    <>
      <section class="bar-head">
        <p><a href="#/">← All cohorts</a></p>
        <h1>{cohort.archetype} <span class="window">cohort {cohort.id}, {percent(cohort.share)} of learners</span></h1>
        <p class="lead">{cohort.sentence}</p>
      </section>
      <div class="columns">
        <section aria-labelledby="profile"><h2 id="profile">Profile</h2><Profile traits={cohort.centroid} beside={meanOf(found)} besideName="all learners" /><p><Stability value={cohort.stability} /></p></section>
        <section aria-labelledby="members">
          <h2 id="members">Learners <span class="window">{value ? `${count(first + 1)} to ${count(first + value.learners.length)} of ${count(cohort.size)}` : fault ? '' : 'reading …'}</span></h2>
          {fault && <p class="fault" role="alert">{fault}</p>}
          {fault && cursors.length > 1 && <button class="small" onClick={() => setCursors([''])}>From the beginning</button>}
          <ul class="members">
            {(value?.learners ?? []).map((id) => <li><a href={`#/learners/${encodeURIComponent(id)}`}>{id}</a></li>)}
          </ul>
          <div class="row">
            <button class="small" disabled={cursors.length === 1} onClick={() => setCursors(cursors.slice(0, -1))}>◀ Previous</button>
            <button class="small" disabled={!value?.next} onClick={() => value?.next && setCursors([...cursors, value.next])}>Next ▶</button>
          </div>
        </section>
      </div>
    </>
  )
}

function LearnerPage({ id, cohorts }: { id: string; cohorts: Cohorts | null }): JSX.Element {
  const base = `/v1/learners/${encodeURIComponent(id)}`
  const answer = useAnswer<Learner>(base, 5_000)
  const { value: learner, fault } = answer
  const back = <p><a href="#/">← All cohorts</a></p>
  if (!learner) return <section class="bar-head">{back}<h1>{id}</h1><Empty>{fault || 'Reading …'}</Empty></section>
  const cohort = cohorts?.cohorts.find((c) => c.id === learner.cohort?.id)
  const attributes = Object.entries(learner.attributes ?? {})
  return (
    <>
      <section class="bar-head">
        {back}
        <h1>{learner.learner}</h1>
        <p class="lead">
          {learner.cohort ? <><a href={`#/cohorts/${learner.cohort.id}`}>{learner.cohort.archetype}</a>, like {percent(learner.cohort.share)} of learners. </>
            : learner.state === 'dormant' ? 'In no cohort: no practice in the last 26 weeks. ' : 'In no cohort: too little practice so far. '}
          {learner.specialist && 'Keeps to one domain. '}
          <span class="muted">As of {learner.as_of.slice(0, 16).replace('T', ' ')} UTC.</span> <Age of={answer} />
        </p>
        <dl class="facts">
          <div><dt>State</dt><dd>{learner.state}</dd></div>
          <div><dt>Practice events</dt><dd>{count(learner.practice_events)}</dd></div>
          <div><dt>Feedback acted on</dt><dd>{learner.feedback.received > 0 ? `${count(learner.feedback.acted_on)} of ${count(learner.feedback.received)}` : kNone}</dd></div>
          <div><dt>First active</dt><dd>{learner.first_active ?? kNone}</dd></div>
          <div><dt>Last active</dt><dd>{learner.last_active ?? kNone}</dd></div>
        </dl>
      </section>
      <div class="columns">
        <section aria-labelledby="traits">
          <h2 id="traits">Traits</h2>
          {learner.traits ? <Profile traits={learner.traits} beside={cohort?.centroid ?? null} besideName={`the ${cohort?.archetype ?? ''} cohort`} /> : <Empty>None: no practice in the last 26 weeks.</Empty>}
        </section>
        <section aria-labelledby="attributes">
          <h2 id="attributes">Attributes <span class="window">as told by the platform</span></h2>
          {attributes.length === 0 && <Empty>None were told.</Empty>}
          {attributes.length > 0 && (
            <table class="figures left"><tbody>
              {attributes.map(([name, value]) => <tr><th scope="row">{words(name)}</th><td>{value}</td></tr>)}
            </tbody></table>
          )}
        </section>
      </div>
      <TraitsOverTime base={base} />
      <LearnerEvents base={base} />
    </>
  )
}
