// Dark or light: as the system says, until somebody chooses.
import { useEffect, useState } from 'preact/hooks'

export type Theme = 'light' | 'dark'
const kKey = 'covey-theme'
const system = matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set<(theme: Theme) => void>()

function chosen(): Theme | null {
  const value = localStorage.getItem(kKey)
  return value === 'light' || value === 'dark' ? value : null
}
const current = (): Theme => chosen() ?? (system.matches ? 'dark' : 'light')

export function applyTheme(): void {
  document.documentElement.dataset['theme'] = current()
  for (const listener of listeners) listener(current())
}
export function switchTheme(): void {
  const next: Theme = current() === 'dark' ? 'light' : 'dark'
  // Back to what the system says anyway: follow it again.
  if (next === (system.matches ? 'dark' : 'light')) localStorage.removeItem(kKey)
  else localStorage.setItem(kKey, next)
  applyTheme()
}
system.addEventListener('change', applyTheme)

export function useTheme(): Theme {
  const [theme, setTheme] = useState(current())
  useEffect(() => {
    listeners.add(setTheme)
    return () => void listeners.delete(setTheme)
  }, [])
  return theme
}
