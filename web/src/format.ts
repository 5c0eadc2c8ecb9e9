// Numbers and times as people read them; every figure comes with its unit.

export const kNone = '–'

export function digits(value: number, significant: number): string {
  if (value === 0) return '0'
  const places = Math.max(0, Math.min(6, significant - 1 - Math.floor(Math.log10(Math.abs(value)))))
  // Cut the zeros that say nothing, never those before the point.
  const text = value.toFixed(places)
  return places > 0 ? text.replace(/\.?0+$/, '') : text
}

export function percent(fraction: number | null | undefined, significant = 3): string {
  if (fraction == null) return kNone
  const points = fraction * 100
  // 99.95 % must not read as 100 %.
  if (points > 99 && points < 100) return `${(Math.floor(points * 1000) / 1000).toString()} %`
  return `${digits(points, significant)} %`
}

export function latency(seconds: number | null | undefined): string {
  if (seconds == null) return kNone
  if (seconds >= 1) return `${digits(seconds, 3)} s`
  if (seconds >= 1e-3) return `${digits(seconds * 1e3, 3)} ms`
  return `${digits(seconds * 1e6, 3)} µs`
}

export function count(value: number | null | undefined): string {
  if (value == null) return kNone
  return Math.round(value).toLocaleString('en-US').replaceAll(',', ' ')
}

export function rate(value: number | null | undefined): string {
  if (value == null) return kNone
  return value >= 100 ? count(value) : digits(value, 3)
}

/** A length of time in at most two units: "1 h 30 min". */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return kNone
  let rest = Math.max(0, Math.round(seconds))
  const parts: string[] = []
  for (const [unit, length] of [['d', 86_400], ['h', 3_600], ['min', 60], ['s', 1]] as const) {
    const n = Math.floor(rest / length)
    rest -= n * length
    if (n > 0) parts.push(`${n} ${unit}`)
    else if (parts.length > 0) break
    if (parts.length === 2) break
  }
  return parts.length > 0 ? parts.join(' ') : '0 s'
}

const kClock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit', minute: '2-digit', second: '2-digit', timeZone: 'UTC',
})
const kDay = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' })

/** "12:03:05", with its day when that is not the day of `beside`. UTC, like everything the server says. */
export function clock(time: string | number | null | undefined, beside?: number): string {
  if (time == null) return kNone
  const at = new Date(time)
  const text = kClock.format(at)
  if (beside !== undefined && kDay.format(at) !== kDay.format(beside)) return `${kDay.format(at)}, ${text.slice(0, 5)}`
  return text
}

export function signed(text: string, value: number): string {
  return value > 0 ? `+${text}` : text.replace('-', '−')
}

const kMeasures: Record<string, string> = {
  error_rate: 'Error rate', p50: 'P50', p95: 'P95', p99: 'P99', availability: 'Availability',
  segment_spread: 'Segment spread', critical_incidents: 'Critical incidents', cpu: 'CPU', memory: 'Memory',
  network: 'Network', cache_hits: 'Cache hits', revenue: 'Revenue', churn: 'Churn', engagement: 'Engagement',
}
export const measureName = (measure: string): string => kMeasures[measure] ?? words(measure)

/** A value of a rule's measure. */
export function measured(value: number | null | undefined, unit: string): string {
  if (value == null) return kNone
  if (unit === 'seconds') return latency(value)
  if (unit === 'count') return count(value)
  return percent(value)
}

/** "product_lead" -> "product lead". */
export const words = (name: string): string => name.replaceAll('_', ' ')
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
