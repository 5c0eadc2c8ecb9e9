// The reports: made from the journal and the telemetry when they are opened, or as they were written at their
// time; readable and printable.
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { useAnswer } from './answer'
import { capital, clock, words } from './format'
import type { Status } from './model'
import { Empty, Time } from './parts'
import { serverNow, useStore } from './store'

interface Item {
  kind: string
  subject: string
  title: string
}

/** A report in a file of its time. */
interface Written {
  number: number
  kind: string
  subject: string
  title: string
  verdict: string
  at: string
}
const kWrittenEvery = 15_000 // ms
const kWrittenShown = 40

function items(status: Status, work: { name: string; title: string }[]): { group: string; list: Item[] }[] {
  const begun = status.phases.filter((p) => p.began !== null)
  return [
    { group: 'As of now: the whole rollout', list: [
      { kind: 'executive', subject: '', title: 'Executive summary' },
      { kind: 'briefing', subject: '', title: 'Briefing, as of now' },
      { kind: 'hand-over', subject: status.on_call?.shift ?? '', title: 'Hand-over of the shift' },
    ] },
    { group: 'As of now: phases', list: begun.map((p) => ({ kind: 'stage', subject: p.name, title: capital(words(p.name)) })) },
    { group: 'As of now: incidents', list: status.incidents.map((i) => ({ kind: 'incident', subject: String(i.id), title: `#${i.id} ${i.title}` })) },
    { group: 'As of now: work', list: work.map((w) => ({ kind: 'work', subject: w.name, title: w.title || words(w.name) })) },
  ].filter((g) => g.list.length > 0)
}

const query = (item: { kind: string; subject: string }, html: boolean): string =>
  item.kind === kWritten ? `/v1/rollout/reports/${item.subject}?format=${html ? 'html' : 'markdown'}` : `/v1/rollout/report?kind=${encodeURIComponent(item.kind)}&subject=${encodeURIComponent(item.subject)}${html ? '&format=html' : ''}`

const kWritten = 'written'

export function ReportsPage({ path }: { path: string[] }): JSX.Element {
  const { status, plan } = useStore()
  const { value, fault } = useAnswer<{ reports: Written[] }>('/v1/rollout/reports', kWrittenEvery)
  const [all, setAll] = useState(false)
  if (!status || !plan) return <Empty>Waiting for the first status …</Empty>
  const written = value?.reports ?? []
  const kind = path[0] ?? 'executive'
  const subject = path.slice(1).join('/')
  const groups = items(status, plan.work)
  const past = kind === kWritten ? written.find((w) => String(w.number) === subject) : undefined
  const chosen = past ? { kind, subject, title: past.title } : kind === kWritten ? { kind, subject, title: `Report ${subject}` } : groups.flatMap((g) => g.list).find((i) => i.kind === kind && (i.subject === subject || subject === ''))
    ?? { kind, subject, title: `${capital(kind)} ${subject}` }
  return (
    <>
      <section class="bar-head"><h1>Reports</h1><p class="muted">Those of now are made from the journal and the telemetry at the moment they are opened; those of their time are shown as they were written. Each names the query behind every figure.</p></section>
      <div class="reports">
        <nav aria-label="Reports">
          {groups.map((g) => (
            <>
              <h2>{g.group}</h2>
              <ul class="plain">
                {g.list.map((i) => (
                  <li><a href={`#/reports/${i.kind}/${encodeURIComponent(i.subject)}`} aria-current={i.kind === chosen.kind && i.subject === chosen.subject ? 'page' : undefined}>{i.title}</a></li>
                ))}
              </ul>
            </>
          ))}
          <h2>Written at the time</h2>
          {fault && <p class="fault small">{fault}</p>}
          {value && written.length === 0 && <p class="muted small">None yet: at checkpoints, ends of stages, incidents and changes of shift.</p>}
          <ul class="plain">
            {written.slice(0, all ? undefined : kWrittenShown).map((w) => (
              <li>
                <a href={`#/reports/${kWritten}/${w.number}`} aria-current={kind === kWritten && String(w.number) === subject ? 'page' : undefined}>
                  {w.title}
                  <span class="when small muted">{capital(words(w.kind))}, <Time at={w.at} /></span>
                </a>
              </li>
            ))}
          </ul>
          {written.length > kWrittenShown && <button class="small" onClick={() => setAll(!all)}>{all ? 'Fewer' : `All ${written.length}`}</button>}
        </nav>
        <section class="report" aria-labelledby="report-title">
          <div class="row spread">
            <h2 id="report-title">{chosen.title}</h2>
            <span class="row">
              <a class="button small" href={query(chosen, true)} target="_blank" rel="noreferrer">Open to print</a>
              <a class="button small" href={query(chosen, false)} download={`${chosen.kind}${chosen.subject && '-'}${chosen.subject}.md`}>Markdown</a>
            </span>
          </div>
          <p class="muted small">
            {past ? `As written at ${clock(past.at, serverNow())} UTC by the controller; the journal keeps its digest.` : 'As of the moment it was opened.'}
          </p>
          {/* No scripts, no forms, no way out: a report is only read. */}
          <iframe key={query(chosen, true)} src={query(chosen, true)} title={`Report: ${chosen.title}`} sandbox="" />
        </section>
      </div>
    </>
  )
}
