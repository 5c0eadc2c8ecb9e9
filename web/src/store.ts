// What every page needs: the rollout's status by server-sent events, the plan, and who is signed in.
import { useEffect, useReducer } from 'preact/hooks'
import { get, message, Problem, refusal, send } from './api'
import type { Plan, Status, Who } from './model'

const kRetryFirst = 500 // ms
const kRetryLast = 8_000
// The server says at least every 5 s that it is there. Later than kQuiet the page blames the connection,
// later than kDead it opens another: a half-open one never says that it is broken.
const kQuiet = 8_000
const kDead = 12_000
/** How often a page that gets no stream asks. */
const kAskEvery = 5_000

interface State {
  kind: 'unknown' | 'control' | 'analyzer'
  status: Status | null
  plan: Plan | null
  who: Who
  connected: boolean
  /** Why this page is not told of changes but asks; empty: it is told. */
  refused: string
  /** performance.now() of the status shown, and of the last word of any kind. */
  told: number
  heard: number
  /** Of the analyzer's pages: when an answer last came. */
  answered: number
  /** What the last try ran into; of a control plane only until it was first heard. */
  fault: string
}

export const state: State = {
  kind: 'unknown', status: null, plan: null, who: { person: null, role: null }, connected: false, refused: '',
  told: 0, heard: 0, answered: 0, fault: '',
}

const listeners = new Set<() => void>()
let version = 0
export function changed(): void {
  ++version
  for (const listener of listeners) listener()
}

/** The state, read again whenever it changes. */
export function useStore(): State {
  const [, refresh] = useReducer((n: number) => n + 1, 0)
  const drawn = version
  useEffect(() => {
    const listener = (): void => refresh(undefined as never)
    listeners.add(listener)
    // Effects come a frame after the drawing; what changed between the two has told nobody.
    if (version !== drawn) listener()
    return () => void listeners.delete(listener)
  }, [])
  return state
}

/** Draws again every `ms`: clocks, ages, countdowns. */
export function useTick(ms: number): void {
  const [, refresh] = useReducer((n: number) => n + 1, 0)
  useEffect(() => {
    const timer = setInterval(() => refresh(undefined as never), ms)
    return () => clearInterval(timer)
  }, [ms])
}

/** The server's time, ms; this machine's clock may be wrong. */
export function serverNow(): number {
  if (!state.status) return Date.now()
  return Date.parse(state.status.now) + (performance.now() - state.told)
}

// ---- How old it is, and whose fault that is

const since = (at: number): number => (at === 0 ? 0 : (performance.now() - at) / 1000)

/** Age of what is shown, s. */
export const ageOfPage = (): number => since(state.kind === 'analyzer' ? state.answered : state.told)

/** Telemetry older than this is shown as old, s. */
export function staleAfter(): number {
  return Math.max(5, 3 * (state.plan?.slot_s ?? 1))
}

/** How old the newest slot of telemetry is by now, s; null: none has ever come. */
export function telemetryAge(): number | null {
  const age = state.status?.telemetry_age_s
  return age == null ? null : age + since(state.told)
}

export type Trouble = 'connection' | 'telemetry' | 'never'

/**
 * What is wrong with the figures shown, if anything. Telemetry is blamed only for what it was by the
 * server's last word: what has aged since then is the connection's doing.
 */
export function trouble(): Trouble | null {
  if (state.kind === 'analyzer') return state.fault !== '' ? 'connection' : null
  if (!state.status) return null
  if (!state.connected || performance.now() - state.heard > kQuiet) return 'connection'
  const age = state.status.telemetry_age_s
  if (age === null) return 'never'
  return age + (state.heard - state.told) / 1000 > staleAfter() ? 'telemetry' : null
}
export const isStale = (): boolean => trouble() !== null

// ---- The stream

let source: EventSource | null = null
let wait = kRetryFirst

function hear(status: Status | null): void {
  // What answers again may be another process: of another plan, and with nobody signed in.
  if (!state.connected && state.status) {
    void loadPlan()
    void refreshWho()
  }
  state.heard = performance.now()
  state.connected = true
  state.fault = ''
  if (status) {
    state.status = status
    state.told = state.heard
  }
}

function listen(): void {
  const opened = new EventSource('/v1/rollout/events')
  source = opened
  let spoke = false
  const began = performance.now()
  const word = (status: Status | null): void => {
    spoke = true
    wait = kRetryFirst
    state.refused = ''
    hear(status)
    changed()
  }
  opened.addEventListener('rollout', (event) => word(JSON.parse((event as MessageEvent<string>).data) as Status))
  opened.addEventListener('alive', () => word(null))
  const over = (): void => {
    if (source !== opened) return
    clearInterval(watch)
    // The browser itself tries again only after some kinds of failure; this way it is always the same.
    opened.close()
    source = null
    // One more refusal of a page that asks instead changes nothing.
    if (spoke || state.refused === '') state.connected = false
    changed()
    const pause = wait
    wait = Math.min(kRetryLast, wait * 2)
    void (spoke ? Promise.resolve() : explain()).then(() => setTimeout(listen, pause))
  }
  opened.onerror = over
  // For what never opens or falls silent, and for what was cut while this machine slept: then its clocks differ.
  let drift = Date.now() - performance.now()
  const watch = setInterval(() => {
    const slept = Math.abs(Date.now() - performance.now() - drift) > kDead
    drift = Date.now() - performance.now()
    if (slept || performance.now() - (spoke ? state.heard : began) > kDead) over()
    else if (isStale()) changed()
  }, 1_000)
}

/** A stream that would not begin: is the server there all the same? Then the page asks for itself. */
async function explain(): Promise<void> {
  try {
    const why = await refusal('/v1/rollout/events')
    if (why === '') {
      if (!state.status) state.fault = 'the server takes the connection, but sends nothing'
      return changed()
    }
    state.refused = why
    hear(await get<Status>('/v1/rollout'))
  } catch (error) {
    state.connected = false
    if (!state.status) state.fault = message(error)
  }
  changed()
}

async function ask(): Promise<void> {
  if (state.refused === '' || source?.readyState === EventSource.OPEN) return
  try {
    hear(await get<Status>('/v1/rollout'))
  } catch {
    state.connected = false
  }
  changed()
}

async function loadPlan(): Promise<void> {
  try {
    state.plan = await get<Plan>('/v1/rollout/plan')
    changed()
  } catch {
    setTimeout(() => void loadPlan(), 2_000)
  }
}

// ---- Who acts

export async function refreshWho(): Promise<void> {
  try {
    state.who = await get<Who>('/v1/session')
    changed()
  } catch {
    // Shown as not connected anyway.
  }
}

export async function signIn(token: string): Promise<void> {
  state.who = await send<Who>('POST', '/v1/session', { token })
  changed()
}
export async function signOut(): Promise<void> {
  state.who = await send<Who>('DELETE', '/v1/session')
  changed()
}

/** A command of somebody signed in. A session that has ended shows as such. */
export async function act(path: string, body: unknown): Promise<void> {
  try {
    await send('POST', path, body)
  } catch (error) {
    if (error instanceof Problem && error.status === 401) await refreshWho()
    throw error
  }
}

export async function begin(): Promise<void> {
  try {
    const root = await get<{ name: string }>('/')
    state.kind = root.name === 'covey control' ? 'control' : 'analyzer'
    state.fault = ''
  } catch (error) {
    state.fault = message(error)
    changed()
    setTimeout(() => void begin(), 1_000)
    return
  }
  changed()
  if (state.kind !== 'control') return
  void loadPlan()
  void refreshWho()
  listen()
  setInterval(() => void ask(), kAskEvery)
}

export const myRole = (): string | null => state.who.role
export const iDecide = (): boolean =>
  state.plan?.roles.some((role) => role.name === state.who.role && role.decides) ?? false
export const roleTitle = (name: string): string =>
  state.plan?.roles.find((role) => role.name === name)?.title ?? name.replaceAll('_', ' ')
