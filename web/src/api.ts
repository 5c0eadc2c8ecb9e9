// Requests to the server this page came from; nothing else can be reached (see its Content-Security-Policy).

// A connection that is half open answers nothing and says so never.
const kPatience = 20_000 // ms

/** A problem document (RFC 9457), or what stands in for it when nothing answers. */
export class Problem extends Error {
  constructor(readonly status: number, detail: string) {
    super(detail)
  }
}

async function problemOf(answer: Response): Promise<Problem> {
  let detail = `the server answered ${answer.status}`
  try {
    const problem = (await answer.json()) as { detail?: string }
    if (problem.detail) detail = problem.detail
  } catch {
    // Not a problem document: the status has to do.
  }
  return new Problem(answer.status, detail)
}

async function ask<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const stop = new AbortController()
  let late = false
  const timer = setTimeout(() => { late = true; stop.abort() }, kPatience)
  const follow = (): void => stop.abort()
  signal?.addEventListener('abort', follow)
  // Never by the browser's cache: "/" is a page there, and a request for it as JSON waits for its lock.
  const init: RequestInit = {
    method, headers: { Accept: 'application/json' }, cache: 'no-store', signal: stop.signal,
  }
  if (body !== undefined) init.body = JSON.stringify(body)
  try {
    const answer = await fetch(path, init)
    if (!answer.ok) throw await problemOf(answer)
    return (await answer.json()) as T
  } catch (error) {
    if (signal?.aborted || error instanceof Problem) throw error
    throw new Problem(0, late ? `no answer within ${kPatience / 1000} s` : 'the server does not answer')
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', follow)
  }
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return ask<T>('GET', path, undefined, signal)
}
export async function send<T>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<T> {
  return ask<T>(method, path, body)
}

/** Why `path` is refused, in the server's words; empty where it is not. Its body is left unread. */
export async function refusal(path: string): Promise<string> {
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(), kPatience)
  try {
    const answer = await fetch(path, { cache: 'no-store', signal: stop.signal })
    if (!answer.ok) return (await problemOf(answer)).message
    return ''
  } catch {
    throw new Problem(0, 'the server does not answer')
  } finally {
    clearTimeout(timer)
    stop.abort()
  }
}

export const message = (error: unknown): string =>
  error instanceof Error ? error.message : 'something went wrong'
