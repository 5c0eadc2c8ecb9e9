// The linters, by their lock file, once.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const kHere = dirname(fileURLToPath(import.meta.url))
export const kTools = join(kHere, '../../build/deploy')

export function fetchTools() {
  const wanted = readFileSync(join(kHere, 'package-lock.json'), 'utf8')
  const stamp = join(kTools, 'installed.json')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  mkdirSync(kTools, { recursive: true })
  for (const name of ['package.json', 'package-lock.json']) cpSync(join(kHere, name), join(kTools, name))
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: kTools, stdio: ['ignore', 'inherit', 'inherit'] })
  writeFileSync(stamp, wanted)
}
