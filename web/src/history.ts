// What was decided and what went wrong, further back than a status reaches.
import { useAnswer } from './answer'
import type { Decision, Incident, Status } from './model'

/** What a status carries of each: the newest. */
const kOfStatus = 50
/** The most that is asked for at once. */
const kMost = 1_000
/** Moments are rounded down to this, ms: a window that ends now moves on without a question a second. */
const kGrain = 300_000
const kAgain = 15_000 // ms; an old incident may be resolved now

export interface Past {
  decisions: Decision[]
  incidents: Incident[]
  /** Older decisions lie within the window and are not among these. */
  more: boolean
  fault: string
}

/** Newest first, from `from` (ms; null: the calendar's begin) to `to` (ms; null: now); asked for only where the
 *  status has not all of it. */
export function usePast(status: Status | null, from: number | null, to: number | null): Past {
  const begin = from === null ? null : Math.floor(from / kGrain) * kGrain
  const short = status !== null && (lacks(status.decisions.map((d) => d.at), begin) || lacks(status.incidents.map((i) => i.opened), begin))
  const within = [begin === null ? '' : `&from=${new Date(begin).toISOString()}`, to === null ? '' : `&to=${new Date(to).toISOString()}`]
  const answer = useAnswer<Omit<Past, 'fault'>>(short ? `/v1/rollout/history?limit=${kMost}${within.join('')}` : null, to === null ? kAgain : 0)
  const older = answer.value
  const decisions = new Map<string, Decision>()
  for (const d of [...(status?.decisions ?? []), ...(older?.decisions ?? [])]) decisions.set(`${d.at} ${d.decision} ${d.phase} ${d.cause}`, d)
  // An incident lives on: what the status says of it is newer.
  const incidents = new Map<number, Incident>()
  for (const i of [...(older?.incidents ?? []), ...(status?.incidents ?? [])]) incidents.set(i.id, i)
  return {
    decisions: [...decisions.values()].sort((a, b) => Date.parse(b.at) - Date.parse(a.at)),
    incidents: [...incidents.values()].sort((a, b) => b.id - a.id),
    more: older?.more ?? false,
    fault: answer.fault,
  }
}

function lacks(at: string[], begin: number | null): boolean {
  const oldest = at[at.length - 1]
  return oldest !== undefined && at.length >= kOfStatus && (begin === null || Date.parse(oldest) > begin)
}
