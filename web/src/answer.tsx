// An answer of the server as state of a part of the page: the last good one stays, with its age, when a later
// try fails.
import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { get, message, Problem } from './api'
import { duration } from './format'
import { changed, state, useTick } from './store'

export interface Answer<T> {
  value: T | null
  /** What the last try ran into; empty: it went well. */
  fault: string
  /** performance.now() of the last good answer; 0: none yet. */
  at: number
}

const kNothing = { value: null, fault: '', at: 0 }

/** One answer, again whenever `path` changes and every `again` ms; without a value while it first comes. */
export function useAnswer<T>(path: string | null, again = 0): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T> & { path: string | null }>({ ...kNothing, path: null })
  useEffect(() => {
    if (path === null) return undefined
    const stop = new AbortController()
    let busy = false
    const ask = async (unseen = false): Promise<void> => {
      if (busy || (document.hidden && !unseen)) return
      busy = true
      try {
        const value = await get<T>(path, stop.signal)
        setAnswer({ path, value, fault: '', at: performance.now() })
        if (again > 0) note('')
      } catch (error) {
        if (stop.signal.aborted) return
        const fault = explain(error)
        // Gone is an answer; not reached, or not able to, leaves what was known.
        const final = error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429
        setAnswer((before) => ({
          path, fault,
          value: before.path === path && !final ? before.value : null,
          at: before.path === path && !final ? before.at : 0,
        }))
        if (again > 0) note(final ? '' : fault)
      }
      busy = false
    }
    void ask(true)
    if (again === 0) return () => stop.abort()
    const timer = setInterval(() => void ask(), again)
    const seen = (): void => void ask()
    document.addEventListener('visibilitychange', seen)
    return () => {
      clearInterval(timer)
      stop.abort()
      document.removeEventListener('visibilitychange', seen)
    }
  }, [path, again])
  return answer.path === path ? answer : kNothing
}

/** For the header: what polling ran into, wherever on the page. */
function note(fault: string): void {
  const first = state.answered === 0
  if (fault === '') state.answered = performance.now()
  if (fault === '' && state.fault === '' && !first) return
  state.fault = fault
  changed()
}

function explain(error: unknown): string {
  if (error instanceof Problem && error.status === 503) return `${message(error)} The page looks again by itself.`
  return message(error)
}

/** How old an answer is, and what keeps a newer one away. */
export function Age<T>({ of }: { of: Answer<T> }): JSX.Element | null {
  useTick(1_000)
  if (of.at === 0) return null
  const age = duration((performance.now() - of.at) / 1000)
  if (of.fault === '') return <span class="window">Asked {age} ago.</span>
  return <strong class="fault">Asked {age} ago; since then: {of.fault}</strong>
}
