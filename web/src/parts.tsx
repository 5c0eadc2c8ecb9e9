// Small parts that several pages use.
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { message } from './api'
import { clock } from './format'
import { serverNow } from './store'

export type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'quiet'
const kSigns: Record<Tone, string> = { good: '✓', bad: '✕', warn: '!', busy: '▶', quiet: '○' }

/** A word with a sign and a colour, so that none of them stands alone. */
export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }): JSX.Element {
  return (
    <span class={`badge ${tone}`}>
      <span aria-hidden="true">{kSigns[tone]}</span> {children}
    </span>
  )
}

export function Time({ at }: { at: string | null | undefined }): JSX.Element {
  if (!at) return <span>–</span>
  return <time dateTime={at} title={`${at} (UTC)`}>{clock(at, serverNow())}</time>
}

export function Empty({ children }: { children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>
}

/** A bar of a fraction; its figure must stand beside it. */
export function Bar({ part, tone = 'quiet' }: { part: number; tone?: string }): JSX.Element {
  const width = Math.max(0, Math.min(1, part)) * 100
  return (
    <svg class={`bar ${tone}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="ground" width="100" height="8" />
      <rect class="fill" width={width} height="8" />
    </svg>
  )
}

/** The arms' marks: a dashed line and a full one, as in every chart. */
export function Key({ arm }: { arm: 'baseline' | 'candidate' }): JSX.Element {
  return (
    <svg class={`key ${arm}`} viewBox="0 0 18 8" aria-hidden="true"><line x1="0" x2="18" y1="4" y2="4" /></svg>
  )
}

export interface Point {
  at: number
  value: number | null
}

/** A line of the last values with its limit; gaps stay gaps. */
export function Spark({ points, limit, below, label }: {
  points: Point[]
  limit: number | null
  below: boolean
  label: string
}): JSX.Element | null {
  const known = points.filter((p) => p.value !== null) as { at: number; value: number }[]
  if (known.length < 2) return <span class="muted small">too few readings yet</span>
  const values = known.map((p) => p.value)
  let low = Math.min(...values, limit ?? Infinity)
  let high = Math.max(...values, limit ?? -Infinity)
  if (below) low = Math.min(low, 0)
  const pad = (high - low || Math.abs(high) || 1) * 0.12
  low -= below && low === 0 ? 0 : pad
  high += pad
  const first = points[0]!.at
  const span = points[points.length - 1]!.at - first || 1
  const x = (at: number): number => ((at - first) / span) * 120
  const y = (value: number): number => 30 - ((value - low) / (high - low)) * 30
  let path = ''
  let pen = 'M'
  for (const p of points) {
    if (p.value === null) {
      pen = 'M'
      continue
    }
    path += `${pen}${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`
    pen = 'L'
  }
  const end = known[known.length - 1]!
  const good = limit === null || (below ? end.value < limit : end.value > limit)
  return (
    <svg class={`spark ${good ? '' : 'beyond'}`} viewBox="-2 -2 126 34" role="img" aria-label={label}>
      {limit !== null && <line class="limit" x1="0" x2="120" y1={y(limit)} y2={y(limit)} />}
      <path d={path} />
      <circle cx={x(end.at)} cy={y(end.value)} r="2.4" />
    </svg>
  )
}

export interface Curve {
  label: string
  values: (number | null)[]
  /** Which of eight colours and dashes. */
  look: number
}

const kCurvesHeight = 190
const kCurvesTop = 8
const kCurvesWide = 74 // %, of the plot; names stand beside it, on a phone below
const kPhone = matchMedia('(max-width: 620px)')

/** Lines over equal steps, each named where it ends; for figures that fit a page without zoom. */
export function Curves({ curves, ends, most, format, label }: {
  curves: Curve[]
  /** What stands below the first and the last step. */
  ends: [string, string]
  /** Upper end of the scale; the lower is 0. */
  most: number
  format: (value: number) => string
  label: string
}): JSX.Element {
  const phone = kPhone.matches
  const wide = phone ? 100 : kCurvesWide
  const steps = Math.max(2, ...curves.map((c) => c.values.length))
  const x = (i: number): number => (i / (steps - 1)) * 100
  const y = (value: number): number => (1 - value / most) * 100
  const px = (value: number): number => kCurvesTop + (y(value) / 100) * (kCurvesHeight - 40)
  const named = curves.flatMap((c) => {
    const last = c.values.findLast((v) => v !== null)
    return last == null ? [] : [{ ...c, last, at: px(last) }]
  }).sort((a, b) => a.at - b.at)
  for (let i = 1; i < named.length; ++i) named[i]!.at = Math.max(named[i]!.at, named[i - 1]!.at + 15)
  let floor = kCurvesHeight - 22
  for (const one of [...named].reverse()) {
    one.at = Math.min(one.at, floor)
    floor = one.at - 15
  }
  const plot = (
    <svg class="curves" width="100%" height={kCurvesHeight} role="img" aria-label={label}>
      {[0, 0.5, 1].map((part) => (
        <>
          <line class="grid" x1="0" x2={`${wide}%`} y1={px(part * most)} y2={px(part * most)} />
          <text class="muted" x="0" y={px(part * most) + (part === 1 ? 12 : -3)}>{format(part * most)}</text>
        </>
      ))}
      <svg x="0" y={kCurvesTop} width={`${wide}%`} height={kCurvesHeight - 40} viewBox="0 0 100 100" preserveAspectRatio="none" overflow="visible">
        {curves.map((c) => {
          let pen = 'M'
          let path = ''
          c.values.forEach((value, i) => {
            if (value === null) {
              pen = 'M'
              return
            }
            // A single point between gaps is drawn as a dot of a line.
            path += `${pen}${x(i).toFixed(2)} ${y(value).toFixed(2)}${pen === 'M' ? 'h0.01' : ''}`
            pen = 'L'
          })
          return <path class={`curve look-${c.look % 8}`} d={path} />
        })}
      </svg>
      {!phone && named.map((c) => <text class={`name look-${c.look % 8}`} x={`${wide + 1.5}%`} y={c.at + 4}>{c.label}</text>)}
      <text class="muted" x="0" y={kCurvesHeight - 6}>{ends[0]}</text>
      <text class="muted" x={`${wide}%`} y={kCurvesHeight - 6} text-anchor="end">{ends[1]}</text>
    </svg>
  )
  if (!phone) return plot
  return (
    <>
      {plot}
      <ul class="plain curve-key" aria-hidden="true">
        {named.map((c) => (
          <li><svg class={`look-${c.look % 8}`} viewBox="0 0 34 8"><line x1="0" x2="34" y1="4" y2="4" /></svg> {c.label}</li>
        ))}
      </ul>
    </>
  )
}

export interface Ask {
  title: string
  /** What will happen to whom; a sentence or two. */
  consequence: ComponentChildren
  verb: string
  danger?: boolean
  /** Whether somebody must say why; or on which report. */
  reason?: 'required' | 'optional' | 'report'
  choices?: { label: string; value: number }[]
  run: (reason: string, choice: number) => Promise<void>
}

/** Asks before it acts. The browser's own dialog: it keeps the focus, and Escape closes it. */
export function Confirm({ ask, done }: { ask: Ask; done: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  const [reason, setReason] = useState('')
  const [choice, setChoice] = useState(ask.choices?.[0]?.value ?? 0)
  const [busy, setBusy] = useState(false)
  const [fault, setFault] = useState('')
  useEffect(() => dialog.current?.showModal(), [])
  async function confirm(event: Event): Promise<void> {
    event.preventDefault()
    if (busy) return
    if (ask.reason && ask.reason !== 'optional' && reason.trim() === '') {
      setFault(ask.reason === 'report' ? 'Name the report: it goes to the journal.' : 'Say why: it goes to the journal.')
      return
    }
    setBusy(true)
    setFault('')
    try {
      await ask.run(reason.trim(), choice)
      dialog.current?.close()
    } catch (error) {
      setFault(message(error))
      setBusy(false)
    }
  }
  return (
    <dialog ref={dialog} onClose={done} aria-labelledby="ask-title">
      <form onSubmit={(event) => void confirm(event)}>
        <h2 id="ask-title">{ask.title}</h2>
        <div class="consequence">{ask.consequence}</div>
        {ask.choices && (
          <fieldset>
            <legend>Share that stays on the candidate</legend>
            {ask.choices.map((one) => (
              <label class="choice">
                <input type="radio" name="choice" checked={choice === one.value} onChange={() => setChoice(one.value)} />
                {one.label}
              </label>
            ))}
          </fieldset>
        )}
        {ask.reason && (
          <label class="field">
            {ask.reason === 'report' ? 'Report, by its name or address' : 'Reason'} (for the journal{ask.reason === 'optional' && '; may be left out'})
            <input type="text" value={reason} maxLength={300} autocomplete="off"
              onInput={(event) => setReason(event.currentTarget.value)} />
          </label>
        )}
        {fault && <p class="fault" role="alert">{fault}</p>}
        <div class="row end">
          <button type="button" onClick={() => dialog.current?.close()}>Leave it as it is</button>
          <button type="submit" class={ask.danger ? 'danger' : 'primary'} disabled={busy}>
            {busy ? 'Sending …' : ask.verb}
          </button>
        </div>
      </form>
    </dialog>
  )
}
