// History from the telemetry store: read once, then only what is new.
import { useEffect, useState } from 'preact/hooks'
import { get } from './api'
import type { Incident, Window } from './model'
import type { Point } from './parts'
import { serverNow, state } from './store'

export interface Series {
  step: number // ms
  /** Beginnings of the steps, ms, without gaps; a step of which nothing is kept is null. */
  at: number[]
  windows: (Window | null)[]
  error: string
  loading: boolean
}

const kLeast = 20 // steps shown at least

const kEmpty: Series = { step: 1000, at: [], windows: [], error: '', loading: true }

/** Whole slots, so that no step holds part of one. */
export function stepFor(spanS: number, steps: number): number {
  const slot = (state.plan?.slot_s ?? 5) * 1000
  return Math.max(slot, Math.ceil((spanS * 1000) / steps / slot) * slot)
}

async function read(from: number, to: number, step: number, signal: AbortSignal): Promise<Window[]> {
  const steps = Math.max(1, Math.min(1000, Math.round((to - from) / step)))
  const time = (ms: number): string => new Date(ms).toISOString()
  return get<Window[]>(`/v1/rollout/telemetry?from=${time(from)}&to=${time(to)}&steps=${steps}`, signal)
}

/** The last `spanS` seconds up to `end` (null: now, and it goes on), in steps of `step` ms. */
export function useSeries(spanS: number, step: number, end: number | null = null): Series {
  const [series, setSeries] = useState<Series>(kEmpty)
  const ready = state.status !== null
  useEffect(() => {
    if (!ready) return undefined
    const known = new Map<number, Window>()
    const stop = new AbortController()
    let readUpTo = 0
    let busy = false
    let last = 0
    setSeries({ ...kEmpty, step })
    async function refresh(): Promise<void> {
      if (busy || (readUpTo > 0 && (document.hidden || !state.connected))) return
      busy = true
      last = performance.now()
      const to = Math.ceil((end ?? serverNow()) / step) * step
      const from = to - Math.round((spanS * 1000) / step) * step
      try {
        // The newest step may have been read half full.
        const begin = Math.max(from, readUpTo - 2 * step)
        for (const window of await read(begin, to, step, stop.signal)) {
          known.set(Math.round(Date.parse(window.from) / step) * step, window)
        }
        readUpTo = to
        for (const at of known.keys()) if (at < from) known.delete(at)
        // What lies before the first telemetry of all is nothing to look at.
        const first = Math.min(...known.keys())
        const begins = Number.isFinite(first) ? Math.max(from, Math.min(first, to - kLeast * step)) : from
        const at: number[] = []
        for (let t = begins; t < to; t += step) at.push(t)
        setSeries({ step, at, windows: at.map((t) => known.get(t) ?? null), error: '', loading: false })
      } catch (error) {
        if (!stop.signal.aborted) {
          setSeries((before) => ({ ...before, loading: false, error: error instanceof Error ? error.message : 'not read' }))
        }
      }
      busy = false
    }
    void refresh()
    if (end !== null) return () => stop.abort()
    const every = Math.max(2_000, Math.min(30_000, step))
    const timer = setInterval(() => {
      if (performance.now() - last >= every) void refresh()
    }, 1_000)
    const seen = (): void => void refresh()
    document.addEventListener('visibilitychange', seen)
    return () => {
      stop.abort()
      clearInterval(timer)
      document.removeEventListener('visibilitychange', seen)
    }
  }, [spanS, step, end, ready])
  return series
}

/** The best segment's share of good requests minus the worst one's. */
function spread(window: Window): number | null {
  const good = window.segments
    .filter((s) => s.arm === 'candidate' && s.requests > 0)
    .map((s) => (s.requests - s.wrong - s.unanswered) / s.requests)
  return good.length < 2 ? null : Math.max(...good) - Math.min(...good)
}

const kReadings: Record<string, (window: Window) => number | null> = {
  error_rate: (w) => w.candidate.error_rate,
  availability: (w) => w.candidate.availability,
  p50: (w) => w.candidate.p50_s,
  p95: (w) => w.candidate.p95_s,
  p99: (w) => w.candidate.p99_s,
  cpu: (w) => w.candidate.cpu,
  memory: (w) => w.candidate.memory,
  network: (w) => w.candidate.network,
  cache_hits: (w) => w.candidate.cache_hits,
  segment_spread: spread,
  revenue: (w) => w.revenue_delta,
}

/** Why a measure has no line over time. */
export const kNoSeries: Record<string, string> = {
  churn: "no line: an experiment's estimate, told now and then",
  engagement: "no line: an experiment's estimate, told now and then",
}

/** What the gate counts: critical incidents open at the time, but for those a reaction has answered. */
function openCritical(incidents: Incident[], at: number): number {
  return incidents.filter((i) => i.severity === 'critical' && !i.answered && Date.parse(i.opened) <= at
    && (!i.resolved || Date.parse(i.resolved) > at)).length
}

/** The candidate's readings of a rule's measure; nothing for what is not read over time. */
export function readings(series: Series, measure: string, incidents: Incident[]): Point[] {
  if (measure === 'critical_incidents') {
    return series.at.map((at) => ({ at, value: openCritical(incidents, at + series.step) }))
  }
  const read = kReadings[measure]
  if (!read) return []
  return series.windows.map((window, i) => ({ at: series.at[i]!, value: window ? read(window) : null }))
}

/** A total of an arm for each 1,000 of its requests: arms of unequal size can be compared by that alone. */
export function perThousand(perMinute: number | null, figures: { per_second: number }): number | null {
  return perMinute === null || figures.per_second <= 0 ? null : perMinute / (60 * figures.per_second) * 1000
}
