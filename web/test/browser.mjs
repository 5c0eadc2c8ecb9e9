// Chromium for the tests of the page: without a display, and asking nobody but the server under test.
import { existsSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kPatience } from './rig.mjs'

const kRoot = join(dirname(fileURLToPath(import.meta.url)), '../..')
const tools = createRequire(join(kRoot, 'build/web/package.json'))
const { chromium } = tools('playwright-core')
const { AxeBuilder } = tools('@axe-core/playwright')
const kScreens = join(kRoot, 'build/screens')

export class Browser {
  /** What pages said that they should not have: errors of the console, exceptions. */
  complaints = []

  static async start() {
    const browser = new Browser()
    const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
    if (!executablePath) throw new Error('Chromium is missing: script/bootstrap installs it')
    browser.chromium = await chromium.launch({
      executablePath,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'],
    })
    mkdirSync(kScreens, { recursive: true })
    return browser
  }

  /** A window of somebody's own: cookies, size, colours. */
  async window({ width = 1280, height = 860, theme = 'light' } = {}) {
    const context = await this.chromium.newContext({ viewport: { width, height }, colorScheme: theme })
    const page = await context.newPage()
    page.setDefaultTimeout(45_000 * kPatience)
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(`${page.url()}: ${message.text()} (${message.location().url})`)
    })
    page.on('pageerror', (error) => this.complaints.push(`${page.url()}: ${error.stack}`))
    return page
  }

  async screenshot(page, name) {
    await page.screenshot({ path: join(kScreens, `${name}.png`), fullPage: true })
  }

  /** What every window shows, for whoever looks into a failure. */
  async autopsy(name) {
    let i = 0
    for (const context of this.chromium.contexts()) {
      for (const page of context.pages()) {
        await this.screenshot(page, `failed-${name}-${++i}`).catch(() => {})
        console.error(`-- ${page.url()}: ${(await page.locator('main').innerText().catch(() => '?')).slice(0, 300)}`)
      }
    }
  }

  async stop() {
    await this.chromium.close()
  }
}

/** Serious findings of axe-core on what is shown, in words. */
export async function findings(page) {
  // A report's frame runs no scripts, axe's neither: reports are looked at by themselves.
  const { violations } = await new AxeBuilder({ page }).exclude('iframe').analyze()
  return violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')}`)
}

/** What is wider than the window: somebody would have to scroll sideways. */
export const overflow = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)

export async function signIn(page, control, token) {
  await page.goto(`${control}/#/sign-in`)
  await page.getByLabel('Token').fill(token)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('link', { name: 'Sign in' }).waitFor({ state: 'detached' })
}
