import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { message } from './api'
import { roleTitle, signIn, signOut, useStore } from './store'

export function SignInPage(): JSX.Element {
  const { who } = useStore()
  const [token, setToken] = useState('')
  const [fault, setFault] = useState('')
  async function submit(event: Event): Promise<void> {
    event.preventDefault()
    try {
      await signIn(token.trim())
      setToken('')
      location.hash = '#/'
    } catch (error) {
      setFault(message(error))
    }
  }
  if (who.person) {
    return (
      <section class="narrow">
        <h1>Signed in</h1>
        <p>You act as <strong>{who.person}</strong>, {roleTitle(who.role ?? '')}. What you decide is recorded under this name.</p>
        <button onClick={() => void signOut()}>Sign out</button>
      </section>
    )
  }
  return (
    <section class="narrow">
      <h1>Sign in</h1>
      <p>Reading needs no sign-in. To approve, hold, resume, reduce, abort or acknowledge, show the token you were given.</p>
      <form onSubmit={(event) => void submit(event)}>
        <label class="field">Token
          <input type="password" name="token" value={token} autocomplete="current-password" spellcheck={false} required
            onInput={(event) => { setToken(event.currentTarget.value); setFault('') }} />
        </label>
        {fault && <p class="fault" role="alert">{fault}</p>}
        <button class="primary" type="submit">Sign in</button>
      </form>
      <p class="muted small">No token? Whoever runs the control plane makes one: <code>covey control token --plan PLAN --person YOU --role ROLE</code>. It is kept in no file and no page; a session lasts 12 hours.</p>
    </section>
  )
}
