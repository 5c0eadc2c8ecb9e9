import type { JSX } from 'preact'
import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { CohortsPage } from './cohorts'
import { ExperimentsPage } from './experiments'
import { duration } from './format'
import { IncidentsPage } from './incidents'
import { LivePage } from './live'
import { ReportsPage } from './reports'
import { RolloutPage } from './rollout'
import { SignInPage } from './sign_in'
import { ageOfPage, begin, isStale, roleTitle, state, telemetryAge, trouble, useStore, useTick } from './store'
import { applyTheme, switchTheme, useTheme } from './theme'
import './style.css'

interface Page {
  name: string
  title: string
  draw: (path: string[]) => JSX.Element
}

const kControl: Page[] = [
  { name: '', title: 'Rollout', draw: () => <RolloutPage /> },
  { name: 'live', title: 'Live', draw: () => <LivePage /> },
  { name: 'incidents', title: 'Incidents', draw: () => <IncidentsPage /> },
  { name: 'reports', title: 'Reports', draw: (path) => <ReportsPage path={path} /> },
]
const kAnalyzer: Page[] = [
  { name: '', title: 'Cohorts', draw: (path) => <CohortsPage path={path} /> },
  { name: 'experiments', title: 'Experiments', draw: (path) => <ExperimentsPage path={path} /> },
]

/** The parts of the address behind "#/"; a part that can't be decoded is taken as it is. */
function address(): string[] {
  return location.hash.replace(/^#\/?/, '').split('/').map((part) => {
    try {
      return decodeURIComponent(part)
    } catch {
      return part
    }
  })
}

function App(): JSX.Element {
  const { kind, status, who, fault } = useStore()
  const [path, setPath] = useState(address())
  useEffect(() => {
    const moved = (): void => {
      setPath(address())
      scrollTo(0, 0)
    }
    addEventListener('hashchange', moved)
    return () => removeEventListener('hashchange', moved)
  }, [])
  const pages = kind === 'analyzer' ? kAnalyzer : kControl
  const name = path[0] ?? ''
  const page = pages.find((p) => p.name === name)
    ?? (kind === 'analyzer' && (name === 'cohorts' || name === 'learners') ? pages[0] : undefined)
  const title = name === 'sign-in' ? 'Sign in' : (page?.title ?? 'Nothing here')
  const open = status?.incidents.filter((i) => !i.resolved).length ?? 0
  useEffect(() => {
    document.title = `${open > 0 ? `(${open}) ` : ''}${title}${status ? ` · ${status.plan}` : ''} · Covey`
  }, [title, status?.plan, open])
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus() }}>Skip to the page</a>
      <header class="top">
        <a class="brand" href="#/"><img src="/icon.svg" alt="" width="22" height="22" /> Covey</a>
        <nav aria-label="Pages">
          {pages.map((p) => (
            <a href={`#/${p.name}`} aria-current={p === page ? 'page' : undefined}>
              {p.title}{p.name === 'incidents' && open > 0 && <span class="count" aria-label={`${open} open`}>{open}</span>}
            </a>
          ))}
        </nav>
        <div class="side">
          {kind !== 'unknown' && <Freshness />}
          <ThemeButton />
          {kind === 'control' && (
            <a class="button small" href="#/sign-in" aria-current={name === 'sign-in' ? 'page' : undefined}>
              {who.person ? <>{who.person}<span class="wide muted">, {roleTitle(who.role ?? '')}</span></> : 'Sign in'}
            </a>
          )}
        </div>
      </header>
      <Stale />
      <main id="main" tabIndex={-1} class={isStale() ? 'stale' : ''}>
        {kind === 'unknown' || (kind === 'control' && !status && fault !== '')
          ? <p class="empty" role="status">{fault === '' ? 'Connecting …' : `Not connected: ${fault}. The page tries again by itself.`}</p>
          : name === 'sign-in' && kind === 'control' ? <SignInPage />
          : page ? page.draw(kind === 'analyzer' ? path : path.slice(1))
          : <section class="narrow"><h1>Nothing here</h1><p>No page has this address. <a href="#/">Back to the start.</a></p></section>}
      </main>
    </>
  )
}

function ThemeButton(): JSX.Element {
  const theme = useTheme()
  const other = theme === 'dark' ? 'light' : 'dark'
  return <button class="small plain-button" onClick={switchTheme} aria-label={`Use ${other} colours`} title={`Use ${other} colours`}>{theme === 'dark' ? '☀' : '☾'}</button>
}

/** How old what you see is, always in view. */
function Freshness(): JSX.Element {
  useTick(1_000)
  const what = trouble()
  const control = state.kind === 'control'
  if (control ? !state.status : state.answered === 0 && what === null) return <span class="fresh">{state.refused || 'connecting …'}</span>
  const age = what === 'connection' || !control ? ageOfPage() : telemetryAge()
  const text = what === 'never' ? 'no telemetry yet' : what === 'connection' ? `offline ${duration(age)}` : `${duration(age)} old`
  return (
    <span class={`fresh ${what ? 'bad' : ''}`} title={control ? 'Age of the newest telemetry' : 'Since the last answer'}>
      <span aria-hidden="true">{what ? '✕' : '●'}</span> {text}
    </span>
  )
}

/** What is wrong with what you see, in words: whose fault it is decides what to do. */
function Stale(): JSX.Element | null {
  useTick(1_000)
  const { status, kind, refused, fault } = useStore()
  const what = trouble()
  if (what === null) {
    if (refused === '') return null
    return <p class="banner note" role="status"><strong>This page is not told of changes:</strong> {refused}. It asks every five seconds instead.</p>
  }
  const seen = ageOfPage() > 0 ? `What you see is ${duration(ageOfPage())} old. ` : ''
  if (kind === 'analyzer') {
    return <p class="banner"><strong role="alert">Connection lost.</strong> {seen}The last try: {fault}</p>
  }
  return (
    <p class="banner">
      <strong role="alert">{what === 'connection' ? 'Connection lost.' : 'No telemetry.'}</strong>{' '}
      {what === 'connection' ? `${seen}The page tries again by itself.`
        : what === 'never' ? 'None has ever come: is the balancer running, and does its line reach the control plane? Nothing passes a gate on a gap.'
        : `The newest figures are ${duration(telemetryAge())} old${status?.situation === 'finished' ? '.' : '; nothing passes a gate on a gap.'}`}
    </p>
  )
}

applyTheme()
const root = document.getElementById('app')!
root.replaceChildren()
render(<App />, root)
void begin()
