// uPlot, drawn in the page's colours, with gaps, limits and marks of what happened.
import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

export interface Line {
  label: string
  /** At the line's end, where it is a colour among others; `label` where absent. */
  short?: string
  arm: 'baseline' | 'candidate'
  /** Lengths of dashes and gaps; the arm's own where absent: colour is never the only sign. */
  dash?: number[]
  values: (number | null)[]
}
export interface Mark {
  at: number // ms
  letter: string
  kind: 'incident' | 'deployment'
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}

const kDashes: Record<Line['arm'], number[]> = { baseline: [6, 4], candidate: [] }
const kLabelRoom = 74 // px, to the right of the plot
const kLabelHeight = 12

export function Chart({ title, unit, at, lines, marks, limit, most, format, log, theme, sync, onZoom }: {
  title: string
  unit: string
  at: number[] // ms
  lines: Line[]
  marks: Mark[]
  /** A line across; without a text it is no limit but what the rest is read against. */
  limit?: { value: number; text: string } | null
  /** What no value can exceed: 1 for fractions. */
  most?: number
  format: (value: number | null) => string
  log?: boolean
  theme: string
  sync: string
  onZoom: (from: number, to: number) => void
}): JSX.Element {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const data = [at.map((t) => t / 1000), ...lines.map((l) => l.values)] as uPlot.AlignedData
  const latest = useRef({ marks, limit, onZoom, most, lines })
  latest.current = { marks, limit, onZoom, most, lines }
  // What makes it another plot; new data alone does not.
  const shape = `${theme} ${log ?? false} ${lines.map((l) => l.label).join()}`

  useEffect(() => {
    const root = place.current!
    const text = colour('--text-2')
    const axis: uPlot.Axis = {
      stroke: text, font: '12px system-ui', grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false },
    }
    const size = (): { width: number; height: number } => ({ width: Math.max(200, root.clientWidth), height: 180 })
    const made = new uPlot({
      ...size(),
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), 'UTC'),
      cursor: { sync: { key: sync }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      legend: { live: true },
      padding: [null, kLabelRoom, null, null],
      scales: {
        x: { time: true },
        y: log
          ? { distr: 3, range: (_u, low, high) => decadesAround(low, high) }
          : { range: (_u, low, high) => rangeOf(low, high, latest.current.limit?.value, latest.current.most) },
      },
      axes: [
        { ...axis, space: 70, size: 32, values: [[86400, '{D} {MMM}', null, null, null, null, null, null, 1], [60, '{HH}:{mm}', null, null, null, null, null, null, 1], [1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1]] },
        { ...axis, size: 62, ...(log ? { grid: { ...axis.grid, filter: decades } } : {}), values: (_u, ticks) => ticks.map((t) => (t === null ? '' : format(t))) },
      ],
      series: [
        { label: 'UTC', value: (_u, s) => (s == null ? '–' : new Date(s * 1000).toISOString().slice(5, 19).replace('T', ' ')) },
        ...lines.map((line): uPlot.Series => ({
          label: line.label,
          stroke: colour(`--${line.arm}`),
          width: 1.8,
          dash: line.dash ?? kDashes[line.arm],
          spanGaps: false,
          points: { show: false },
          value: (_u, v) => format(v),
        })),
      ],
      hooks: {
        draw: [(u) => {
          drawMarks(u, latest.current.marks, latest.current.limit ?? null)
          drawLabels(u, latest.current.lines)
        }],
        setSelect: [(u) => {
          if (u.select.width < 6) return
          latest.current.onZoom(u.posToVal(u.select.left, 'x') * 1000, u.posToVal(u.select.left + u.select.width, 'x') * 1000)
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        }],
      },
    }, data, root)
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize(size()))
    observer.observe(root)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [shape])

  useEffect(() => {
    const u = plot.current
    if (!u) return
    u.setData(data)
    // The legend tells the newest values until somebody points at others.
    if (at.length > 0 && u.cursor.idx == null) u.setLegend({ idx: Math.max(0, at.length - 2) })
  }, [at, lines, marks, limit, shape])

  const now = lines.map((line) => `${line.label} ${format(line.values.findLast((v) => v !== null) ?? null)}`).join(', ')
  return (
    <figure class="chart">
      <figcaption>
        <strong>{title}</strong> <span class="window">{unit}{limit?.text ? `; limit ${limit.text}` : ''}</span>
      </figcaption>
      <div ref={place} role="img" aria-label={`${title}; latest: ${now}`} />
    </figure>
  )
}

/** Of a logarithmic axis: the powers of ten. */
const decades = (_u: uPlot, splits: number[]): (number | null)[] =>
  splits.map((v) => (Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6 ? v : null))

/** Whole decades: from anywhere else, uPlot's ticks need not come to an end. */
function decadesAround(low: number | null, high: number | null): [number, number] {
  const from = Math.max(1e-6, low || 1e-4)
  return uPlot.rangeLog(from, Math.max(from * 2, high || 1), 10, true) as [number, number]
}

function rangeOf(low: number | null, high: number | null, limit: number | undefined, most: number | undefined): [number, number] {
  let from = low ?? 0
  let to = high ?? 1
  // The limit is shown where it is near; far away it would flatten the line.
  if (limit !== undefined && to > 0 && limit < to * 8 && limit > from - (to - from || to) * 4) {
    from = Math.min(from, limit)
    to = Math.max(to, limit)
  }
  if (from >= 0 && from < to * 0.7) from = 0
  const pad = (to - from || Math.abs(to) || 1) * 0.08
  return [from === 0 ? 0 : from - pad, most === undefined ? to + pad : Math.min(most, to + pad)]
}

/** Each line's name where it ends; names that would lie on one another are moved apart. */
function drawLabels(u: uPlot, lines: Line[]): void {
  const { ctx, bbox } = u
  const pixel = devicePixelRatio
  const height = kLabelHeight * pixel
  const labels = lines.flatMap((line) => {
    const last = line.values.findLast((v) => v !== null)
    if (last == null) return []
    const y = u.valToPos(last, 'y', true)
    return Number.isFinite(y) ? [{ text: line.short ?? line.label, arm: line.arm, y: Math.max(bbox.top, Math.min(bbox.top + bbox.height, y)) }] : []
  }).sort((a, b) => a.y - b.y)
  for (let i = 1; i < labels.length; ++i) labels[i]!.y = Math.max(labels[i]!.y, labels[i - 1]!.y + height)
  // What was pushed beyond the bottom comes back up, and pushes in turn.
  let floor = bbox.top + bbox.height
  for (const label of labels.reverse()) {
    label.y = Math.min(label.y, floor)
    floor = label.y - height
  }
  ctx.save()
  ctx.font = `${11 * pixel}px system-ui`
  ctx.textAlign = 'left'
  ctx.textBaseline = 'middle'
  for (const label of labels) {
    ctx.fillStyle = colour(`--${label.arm}`)
    ctx.fillText(label.text, bbox.left + bbox.width + 5 * pixel, label.y)
  }
  ctx.restore()
}

function drawMarks(u: uPlot, marks: Mark[], limit: { value: number } | null): void {
  const { ctx, bbox } = u
  ctx.save()
  ctx.beginPath()
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
  ctx.clip()
  const pixel = devicePixelRatio
  if (limit) {
    const y = u.valToPos(limit.value, 'y', true)
    ctx.strokeStyle = colour('--bad')
    ctx.lineWidth = pixel
    ctx.setLineDash([2 * pixel, 3 * pixel])
    ctx.beginPath()
    ctx.moveTo(bbox.left, y)
    ctx.lineTo(bbox.left + bbox.width, y)
    ctx.stroke()
  }
  ctx.font = `bold ${10 * pixel}px system-ui`
  ctx.textAlign = 'left'
  ctx.textBaseline = 'alphabetic'
  // A label that would lie on another one is left to the list below the charts.
  let free = -Infinity
  for (const mark of [...marks].sort((a, b) => a.at - b.at)) {
    const x = u.valToPos(mark.at / 1000, 'x', true)
    if (x < bbox.left || x > bbox.left + bbox.width) continue
    ctx.strokeStyle = ctx.fillStyle = colour(mark.kind === 'incident' ? '--bad' : '--text-2')
    ctx.lineWidth = pixel
    ctx.setLineDash(mark.kind === 'incident' ? [] : [4 * pixel, 4 * pixel])
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
    ctx.stroke()
    if (x < free) continue
    ctx.fillText(mark.letter, x + 3 * pixel, bbox.top + 10 * pixel)
    free = x + ctx.measureText(mark.letter).width + 8 * pixel
  }
  ctx.restore()
}
