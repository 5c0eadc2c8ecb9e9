// The dashboard in a real browser, on a running rollout.
//
//   node web/test/dashboard_test.mjs SCENARIO COVEY
//
// SCENARIO: pages, go, abort, stream. Screenshots go to build/screens/. The last line says what failed, if
// anything. COVEY_PATIENCE multiplies every time limit, for slow machines.
import assert from 'node:assert/strict'
import { Browser, findings, overflow, signIn } from './browser.mjs'
import { Fake } from './fake.mjs'
import { get, kPatience, pause, Rig, until } from './rig.mjs'

const kMarkup = '<img src=x onerror="document.title=1">'

/** Stages of ten seconds, and a canary of 5 %, so that 600 requests a second decide its gates. */
const quick = (text) => text
  .replaceAll('length: 40s', 'length: 10s')
  .replace('checkpoints: [5s, 10s, 20s, 40s]', 'checkpoints: [5s, 10s]')
  .replaceAll('checkpoints: [10s, 20s, 40s]', 'checkpoints: [5s, 10s]')
  .replace('share: 1%', 'share: 5%')
  .replaceAll('max_extend: 40s', 'max_extend: 120s')
  .replace('2025-10-31T12:01:10Z', '2025-10-31T12:00:34Z').replace('2025-10-31T12:01:05Z', '2025-10-31T12:00:30Z')
  .replace('2025-10-31T12:02:00Z', '2025-10-31T12:00:48Z').replace('2025-10-31T12:01:55Z', '2025-10-31T12:00:44Z')

async function eventually(what, check, seconds = 60) {
  await until(what, check, seconds)
}
const approved = async (rig, stage, ...people) => {
  for (const person of people) await rig.post(person, '/v1/rollout/approvals', { stage })
}
/** Whether the journal holds an input of this kind by this person. */
const journalSays = async (rig, kind, person) =>
  (await rig.journal()).some((r) => r.kind === 'input' && JSON.stringify(r.input).includes(`"${kind}"`) && JSON.stringify(r.input).includes(`"${person}"`))
    || (await rig.journal()).some((r) => JSON.stringify(r).includes(`"${kind}"`) && JSON.stringify(r).includes(`"${person}"`))

async function confirm(page, verb) {
  await page.getByRole('dialog').getByRole('button', { name: verb }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
}

// ---- Every page, in both themes and sizes

async function pages(rig, browser) {
  await rig.analyzers()
  const learner = `Markup ${kMarkup}`
  const events = Array.from({ length: 6 }, (_, i) =>
    JSON.stringify({ id: `m${i}`, learner, time: `2014-01-${10 + i}T10:00:00Z`, type: 'practice', capability: `<b>c${i}</b>`, domain: '<i>d</i>' })).join('\n')
  const sent = await fetch(rig.candidate + '/v1/events', { method: 'POST', body: events, headers: { 'Content-Type': 'application/x-ndjson' } })
  assert.equal(sent.status, 200, await sent.text())
  await rig.rollout((text) => text.replace('title: The fast analyzer', `title: ${JSON.stringify(kMarkup).slice(1, -1).replaceAll('\\"', '')} The fast analyzer`))
  await approved(rig, 'canary', 'Vera')
  await rig.post('Olga', '/v1/rollout/incidents', { severity: 'medium', title: kMarkup })
  await rig.post('Olga', '/v1/rollout/commands', { command: 'hold', reason: kMarkup })
  await rig.post('Olga', '/v1/rollout/commands', { command: 'resume' })
  await until('the canary runs', async () => (await rig.status()).situation === 'running', 180)
  await until('a checkpoint has written its report', async () => (await get(rig.control + '/v1/rollout/reports')).reports.length > 0, 120)

  await until('the experiment is analysed', async () => (await get(rig.candidate + '/v1/experiments')).experiments[0].made)
  const { cohorts } = await get(rig.candidate + '/v1/cohorts')
  const { learners: [somebody] } = await get(`${rig.candidate}/v1/cohorts/${cohorts[0].id}/learners?limit=1`)
  const { reports: [written] } = await get(rig.control + '/v1/rollout/reports')
  const kPages = [
    ['rollout', rig.control + '/#/', 'Candidate beside baseline'],
    ['live', rig.control + '/#/live', 'Availability'],
    ['incidents', rig.control + '/#/incidents', 'Acknowledged'],
    ['reports', rig.control + '/#/reports/executive', 'Executive summary'],
    ['report', rig.control + '/v1/rollout/report?kind=executive&format=html', 'Summary of'],
    ['sign-in', rig.control + '/#/sign-in', 'Reading needs no sign-in'],
    ['nowhere', rig.control + '/#/nowhere/%E0%A4%A', 'No page has this address'],
    ['reports-written', `${rig.control}/#/reports/written/${written.number}`, 'As written at'],
    ['cohorts', rig.candidate + '/#/', 'Who came and went'],
    ['cohort', `${rig.candidate}/#/cohorts/${cohorts[0].id}`, 'Learners'],
    ['experiments', rig.candidate + '/#/experiments', 'analysed'],
    ['learner', `${rig.candidate}/#/learners/${encodeURIComponent(somebody)}`, 'records of the log read'],
    ['learner-markup', `${rig.candidate}/#/learners/${encodeURIComponent(learner)}`, '<b>c5</b>'],
  ]
  // A narrow page shows less than a wide one, in the same colours: one theme will do for it.
  for (const [theme, width] of [['light', 1280], ['dark', 1280], ['light', 390]]) {
    const page = await browser.window({ width, theme })
    for (const [name, url, text] of kPages) {
      const began = Date.now()
      await page.goto('about:blank')
      await page.goto(url)
      await page.getByText(text, { exact: false }).first().waitFor()
      await page.waitForTimeout(name === 'live' ? 1_200 : 400)
      await browser.screenshot(page, `${name}-${theme}-${width}`)
      assert.deepEqual(await findings(page), [], `axe on ${name}, ${theme}, ${width}`)
      assert.equal(await overflow(page), 0, `${name} is wider than ${width} px`)
      assert.equal(await page.locator('img[src=x]').count(), 0, `markup became an element on ${name}`)
      assert.notEqual(await page.title(), '1')
      console.log(`${name}, ${theme}, ${width} px: ${Date.now() - began} ms`)
    }
    await page.context().close()
  }

  const page = await browser.window()
  await page.goto(rig.control + '/')
  await page.getByText('<img src=x').first().waitFor()
  await page.goto(`${rig.candidate}/#/learners/${encodeURIComponent(learner)}`)
  await page.getByRole('heading', { name: learner }).waitFor()

  // Cold, from the request to the first frame with the rollout in it: five times, for the machine is shared.
  const paints = []
  let cold
  for (let i = 0; i < 5; ++i) {
    await cold?.context().close()
    cold = await browser.window()
    await cold.addInitScript(() => {
      const seen = new MutationObserver(() => {
        if (!document.querySelector('#arms ~ table')) return
        seen.disconnect()
        requestAnimationFrame(() => requestAnimationFrame(() => { window.coveyPainted = performance.now() }))
      })
      seen.observe(document, { childList: true, subtree: true })
    })
    await cold.goto(rig.control + '/')
    await cold.waitForFunction(() => window.coveyPainted > 0)
    paints.push(await cold.evaluate(() => window.coveyPainted))
  }
  paints.sort((x, y) => x - y)
  console.log(`the rollout was painted after ${paints.map(Math.round).join(', ')} ms; median ${Math.round(paints[2])} ms`)
  const reached = await cold.evaluate(() => performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin))
  assert.deepEqual([...new Set(reached)], [new URL(rig.control).origin], 'only its own server is asked')

  // Without a mouse: the first stops of the Tab key, and a way past the header.
  await cold.keyboard.press('Tab')
  assert.equal(await cold.evaluate(() => document.activeElement?.textContent), 'Skip to the page')
  await cold.keyboard.press('Enter')
  assert.equal(await cold.evaluate(() => document.activeElement?.id), 'main')

  // What a stranger may type.
  for (const [path, status] of [['/nowhere', 404], ['/v1/rollout/telemetry?from=1990-01-01T00:00:00Z&steps=1000', 200],
    ['/v1/rollout/telemetry?from=0001-01-01T00:00:00Z', 422],
    ['/v1/rollout/telemetry?from=x', 422], ['/v1/rollout/telemetry?steps=100000', 422], ['/v1/rollout/report?kind=x', 422]]) {
    const answer = await fetch(rig.control + path)
    assert.equal(answer.status, status, path)
    if (status >= 400) assert.equal(answer.headers.get('content-type'), 'application/problem+json', path)
  }
}

// ---- From canary to 100 %, decided by clicks

async function go(rig, browser) {
  await rig.analyzers()
  await rig.rollout(quick)
  const windows = {}
  for (const person of ['Vera', 'Paul', 'Olga']) {
    windows[person] = await browser.window()
    await signIn(windows[person], rig.control, rig.tokens[person])
    await windows[person].getByRole('link', { name: person }).waitFor()
  }
  const { Vera, Paul, Olga } = windows
  const approve = async (page, stage) => {
    await page.goto(rig.control + '/#/')
    await page.getByRole('button', { name: `Approve ${stage}` }).click()
    await confirm(page, `Approve ${stage}`)
    await page.getByRole('button', { name: `Approve ${stage}` }).waitFor({ state: 'detached' })
  }
  await approve(Vera, 'canary')
  await eventually('the approval is in the journal', () => journalSays(rig, 'approve', 'Vera'))

  // Hold: nothing goes on; resume: it does.
  await Paul.getByRole('button', { name: 'Hold' }).click()
  await Paul.getByLabel('Reason').fill('the cake comes first')
  await confirm(Paul, 'Hold')
  await Paul.getByText('held by Paul').waitFor()
  await browser.screenshot(Paul, 'held')
  await eventually('the hold is in the journal', async () => JSON.stringify(await rig.journal()).includes('the cake comes first'))
  await Paul.getByRole('button', { name: 'Resume' }).click()
  await confirm(Paul, 'Resume')
  await Paul.getByText('held by Paul').waitFor({ state: 'detached' })

  // A dialog can be left without consequence.
  await Paul.getByRole('button', { name: 'Abort …' }).click()
  await browser.screenshot(Paul, 'abort-asked')
  assert.deepEqual(await findings(Paul), [], 'axe on the dialog')
  await Paul.keyboard.press('Escape')
  await Paul.getByRole('dialog').waitFor({ state: 'detached' })

  // An incident, acknowledged and resolved.
  await rig.post('Vera', '/v1/rollout/incidents', { severity: 'high', title: 'learners report odd cohorts' })
  await Olga.goto(rig.control + '/#/incidents')
  // Others may be open beside it: what the machine itself found.
  const incident = Olga.locator('.incident').filter({ hasText: 'learners report odd cohorts' })
  await incident.waitFor()
  // The steps so far, with their times: opened, and who was called.
  const steps = incident.getByRole('listitem')
  await steps.filter({ hasText: /^Called\s*\d\d:\d\d:\d\d\s*\S+/ }).first().waitFor()
  await browser.screenshot(Olga, 'incident-open')
  await incident.getByRole('button', { name: 'Acknowledge' }).click()
  await confirm(Olga, 'Acknowledge')
  await incident.getByText('by Olga').waitFor()
  await eventually('it is acknowledged in the journal', () => journalSays(rig, 'acknowledge', 'Olga'))
  await incident.getByRole('button', { name: 'Resolve' }).click()
  await confirm(Olga, 'Resolve')
  await eventually('it is resolved', async () => (await rig.status()).incidents.every((i) => i.resolved))

  for (const stage of ['ramp', 'rollout']) for (const page of [Vera, Paul, Olga]) await approve(page, stage)
  await eventually('the canary runs', async () => (await rig.status()).phases[0].status !== 'waiting', 240)
  await Vera.goto(rig.control + '/#/live')
  await Vera.getByText('Tail latency').waitFor()

  // The connection drops and comes back; whoever was signed in is asked again.
  await rig.end('control')
  await Vera.getByText('Connection lost.').waitFor()
  await browser.screenshot(Vera, 'connection-lost')
  assert.deepEqual(await findings(Vera), [], 'axe on figures that are old')
  await rig.startControlAgain()
  await Vera.locator('.banner').waitFor({ state: 'detached', timeout: 60_000 * kPatience })
  await Vera.getByRole('link', { name: 'Sign in' }).waitFor()
  // What a browser says of a server that is gone, and of one that is about to be (503).
  browser.complaints = browser.complaints.filter((c) =>
    !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|status of 503/.test(c))

  await eventually('everybody is on the candidate', async () => (await rig.status()).situation === 'finished', 400)
  await Vera.goto(rig.control + '/#/')
  await Vera.getByText('The calendar is over: 100 % of learners').waitFor()
  await browser.screenshot(Vera, 'finished')
  await Vera.goto(rig.control + '/#/live')
  await Vera.getByText('Marked on the time axis').waitFor()
  await Vera.waitForTimeout(1_500)
  await browser.screenshot(Vera, 'finished-live')
  await Vera.goto(rig.control + '/#/reports/stage/ramp')
  await Vera.frameLocator('iframe').getByText('ramp').first().waitFor()
  await browser.screenshot(Vera, 'finished-report')

  // Zoom by keyboard, and the way back to now.
  await Paul.goto(rig.control + '/#/live')
  await Paul.getByRole('button', { name: 'Zoom in' }).focus()
  await Paul.keyboard.press('Enter')
  await Paul.getByRole('button', { name: 'Earlier' }).click()
  await Paul.getByRole('button', { name: 'Now' }).click()
  await Paul.getByText('to now UTC').waitFor()
}

// ---- Aborted by a click; rolled back by the machine

async function abort(rig, browser) {
  await rig.analyzers()
  await rig.rollout((text) => quick(text).replaceAll('length: 10s', 'length: 60s').replaceAll('checkpoints: [5s, 10s]', 'checkpoints: [20s, 60s]')
    .replace('2025-10-31T12:00:34Z', '2025-10-31T12:02:34Z').replace('2025-10-31T12:00:30Z', '2025-10-31T12:02:30Z')
    .replace('2025-10-31T12:00:48Z', '2025-10-31T12:04:48Z').replace('2025-10-31T12:00:44Z', '2025-10-31T12:04:44Z'))
  await approved(rig, 'canary', 'Vera')
  const page = await browser.window()
  await signIn(page, rig.control, rig.tokens.Vera)
  await page.goto(rig.control + '/#/')
  await until('the canary runs', async () => (await rig.status()).situation === 'running', 240)
  await page.getByRole('button', { name: 'Abort …' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Abort and roll back' }).click()
  await page.getByText('Say why').waitFor()
  await page.getByLabel('Reason').fill('smoke in the server room')
  await confirm(page, 'Abort and roll back')
  await page.getByText('Everybody is on baseline analyzer again').waitFor({ timeout: 60_000 * kPatience })
  const aborted = JSON.stringify(await rig.journal())
  assert.ok(aborted.includes('smoke in the server room') && aborted.includes('"Vera"'), 'who aborted, and why, is in the journal')
  await browser.screenshot(page, 'aborted')
  await page.context().close()

  // Again from the start, with a candidate that errs: the page shows the roll back within 5 s of it.
  await rig.endRollout()
  await rig.rollout((text) => quick(text).replaceAll('length: 10s', 'length: 60s').replaceAll('checkpoints: [5s, 10s]', 'checkpoints: [20s, 60s]')
    .replace('2025-10-31T12:00:34Z', '2025-10-31T12:02:34Z').replace('2025-10-31T12:00:30Z', '2025-10-31T12:02:30Z')
    .replace('2025-10-31T12:00:48Z', '2025-10-31T12:04:48Z').replace('2025-10-31T12:00:44Z', '2025-10-31T12:04:44Z'))
  await approved(rig, 'canary', 'Vera')
  const watcher = await browser.window()
  await watcher.goto(rig.control + '/#/')
  await until('the canary runs', async () => (await rig.status()).situation === 'running', 240)
  rig.drill('errors=50%')
  const shown = watcher.getByText(/Learners are being sent back|Everybody is on baseline/).waitFor({ timeout: 120_000 * kPatience }).then(() => Date.now())
  const decision = await until('it is rolled back', async () =>
    (await rig.status()).decisions.find((d) => d.decision === 'roll_back'), 120)
  const late = ((await shown) - Date.parse(decision.at)) / 1000
  console.log(`a roll back was on the page ${late.toFixed(2)} s after its decision`)
  assert.ok(late < 5, `${late} s`)
  await watcher.waitForTimeout(3_000)
  await browser.screenshot(watcher, 'rolled-back')
  await watcher.goto(rig.control + '/#/live')
  await watcher.getByText('Marked on the time axis').waitFor()
  await watcher.waitForTimeout(1_500)
  await browser.screenshot(watcher, 'rolled-back-live')
}

// ---- Streams that break in the ways of a network, and a page left open

/** What a page holds, once nothing more can be thrown away. */
async function held(page, cdp) {
  await page.waitForTimeout(1_500)
  for (let i = 0; i < 3; ++i) await cdp.send('HeapProfiler.collectGarbage')
  const { metrics } = await cdp.send('Performance.getMetrics')
  const of = (name) => metrics.find((m) => m.name === name).value
  return { heap: of('JSHeapUsedSize'), nodes: of('Nodes'), listeners: of('JSEventListeners'), documents: of('Documents') }
}
/** What has grown between two looks by more than noise, in words. */
function growth(before, after) {
  const out = []
  if (after.heap > before.heap * 1.15 + 500_000) out.push(`heap ${before.heap} -> ${after.heap}`)
  if (after.nodes > before.nodes * 1.1 + 100) out.push(`nodes ${before.nodes} -> ${after.nodes}`)
  if (after.listeners > before.listeners + 20) out.push(`listeners ${before.listeners} -> ${after.listeners}`)
  if (after.documents > before.documents) out.push(`documents ${before.documents} -> ${after.documents}`)
  return out
}

async function leftOpen(fake, browser) {
  const page = await browser.window()
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Performance.enable')
  await cdp.send('HeapProfiler.enable')
  const look = async (pushes) => {
    for (let i = 0; i < pushes; ++i) {
      fake.push()
      if (i % 10 === 9) await pause(40)
    }
    await page.getByText('A rollout that is none').or(page.locator('h1')).first().waitFor()
    return held(page, cdp)
  }
  for (const [path, text] of [['#/', 'Candidate beside baseline'], ['#/live', 'Tail latency'], ['#/incidents', 'On call now']]) {
    await page.goto('about:blank')
    await page.goto(`${fake.address}/${path}`)
    await page.getByText(text).first().waitFor()
    await look(300)
    // The same state of the page at both looks: a multiple of what the fake's incidents repeat by.
    const before = await look(200)
    const after = await look(1_000)
    console.log(`${path}: ${JSON.stringify(before)} -> ${JSON.stringify(after)} after 1,000 statuses`)
    assert.deepEqual(growth(before, after), [], `${path} grows while it is open`)
  }
  // The measure itself: a page that keeps what it was sent is found out.
  const before = await look(100)
  await page.evaluate(() => {
    window.kept = Array.from({ length: 500 }, () => {
      const node = document.createElement('p')
      node.addEventListener('click', () => node)
      return { node, figures: Float64Array.from({ length: 500 }, Math.random), texts: Array.from({ length: 100 }, (_, i) => `${i} ${Math.random()}`) }
    })
  })
  const found = growth(before, await look(100)).join()
  assert.match(found, /heap.*nodes.*listeners/, 'a leak is noticed')
  await page.context().close()
}

async function stream(rig, browser) {
  const fake = await new Fake('control').start()
  rig.also(fake)
  const page = await browser.window()
  await page.goto(fake.address + '/')
  const banner = page.locator('.banner')
  const fresh = page.locator('.fresh')
  await page.getByText('Candidate beside baseline').waitFor()
  assert.equal(await banner.count(), 0)
  assert.match(await fresh.innerText(), /old/)

  // Criteria: a latency in the unit of its limit, a line where there are readings, a word where there are none.
  const criterion = (name) => page.locator('.criteria > li').filter({ hasText: name })
  await criterion('P99').locator('.value').filter({ hasText: /^\d+(\.\d+)? ms 0\.1 % slower than 50 ms/ }).waitFor()
  await criterion('P99').locator('.spark .limit').waitFor({ state: 'attached' })
  await criterion('Critical incidents').locator('.spark .limit').waitFor({ state: 'attached' })
  await criterion('Churn').getByText('no line').waitFor()
  // The calendar: phases as long as they last, and now among them.
  const bars = page.locator('.scale-bar .span .whole')
  const widths = await bars.evaluateAll((all) => all.map((bar) => bar.getBoundingClientRect().width))
  assert.ok(Math.abs(widths[1] / widths[0] - 2) < 0.05, `20 h beside 10 h: ${widths}`)
  await page.locator('.scale-bar .now text').waitFor()

  // None ever came: that is wrong, and looks so.
  for (const [age, text] of [[null, 'None has ever come'], [75, 'The newest figures are 1 min']]) {
    fake.telemetryAge = age
    fake.push()
    await banner.filter({ hasText: 'No telemetry.' }).filter({ hasText: text }).waitFor()
    assert.match(await fresh.getAttribute('class'), /bad/)
    assert.match(await fresh.innerText(), /✕/)
    for (const theme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: theme })
      assert.deepEqual(await findings(page), [], `axe on the stale page, ${theme}`)
      await browser.screenshot(page, `stale-${age === null ? 'never' : 'telemetry'}-${theme}`)
    }
  }
  await page.emulateMedia({ colorScheme: 'light' })
  fake.telemetryAge = 0.4
  fake.push()
  await banner.waitFor({ state: 'detached' })

  // Quiet, but there: nothing is wrong. Telemetry may be three slots old.
  fake.slot = 60
  await page.reload()
  await page.getByText('Candidate beside baseline').waitFor()
  const begun = fake.streamsBegun
  for (let i = 0; i < 8; ++i) {
    await pause(2_000)
    fake.alive()
    assert.equal(await banner.count(), 0, 'alive is enough')
  }
  assert.equal(fake.streamsBegun, begun)

  // Half open: nothing comes, nothing ends. The connection is to blame, and another is opened.
  const beats = setInterval(() => fake.push(), 1_000)
  fake.silent = true
  await banner.filter({ hasText: 'Connection lost.' }).waitFor({ timeout: 30_000 * kPatience })
  assert.equal(await page.getByText('No telemetry.').count(), 0)
  assert.match(await fresh.innerText(), /offline/)
  await browser.screenshot(page, 'stale-connection')
  await until('another stream is tried', () => fake.streamsBegun > begun, 60)
  fake.silent = false
  await banner.waitFor({ state: 'detached', timeout: 60_000 * kPatience })
  clearInterval(beats)

  // Silent from the start: said, not waited through for ever.
  fake.mute = true
  const mute = await browser.window()
  await mute.goto(fake.address + '/')
  await mute.getByText('Not connected: the server takes the connection, but sends nothing').waitFor()
  fake.mute = false
  await mute.getByText('Candidate beside baseline').waitFor({ timeout: 90_000 * kPatience })
  await mute.context().close()

  // One viewer too many: told why, and shown the rollout all the same.
  fake.refuses = '64 watch already, as many as may'
  const late = await browser.window()
  const lateBeats = setInterval(() => fake.push(), 500)
  await late.goto(fake.address + '/')
  await late.locator('.banner.note').filter({ hasText: '64 watch already' }).waitFor()
  await late.getByText('Candidate beside baseline').waitFor()
  assert.deepEqual(await findings(late), [], 'axe on the page that asks')
  await browser.screenshot(late, 'one-too-many')
  const newest = () => late.locator('.decisions .cause').first().innerText()
  const seen = await newest()
  await until('it asks again', async () => (await newest()) !== seen, 30)
  assert.equal(await late.getByText('Connection lost.').count(), 0)
  fake.refuses = ''
  await late.locator('.banner').waitFor({ state: 'detached', timeout: 60_000 * kPatience })
  clearInterval(lateBeats)
  await late.context().close()
  await page.context().close()
  browser.complaints = browser.complaints.filter((c) => !/status of 503/.test(c))

  // An incident's steps name who was called then, not who would be now.
  const night = await browser.window()
  await night.goto(fake.address + '/#/incidents')
  for (let i = 0; i < 5 && (await night.locator('.incident').count()) === 0; ++i) {
    fake.push()
    await pause(300)
  }
  const incident = night.locator('.incident').first()
  await incident.locator('li').filter({ hasText: /^Called.*Olga/ }).waitFor()
  await incident.locator('li').filter({ hasText: /^Escalated.*to Vera, 10 min after it opened/ }).waitFor()
  assert.match(await incident.locator('.escalation').innerText(), /Vera was called at/)
  await browser.screenshot(night, 'incident-steps')
  await night.context().close()

  // What a status has no room for comes from the journal.
  for (let i = 0; i < 60; ++i) fake.push()
  const whole = await browser.window()
  await whole.goto(fake.address + '/')
  await whole.getByRole('button', { name: 'All of them' }).click()
  await until('older decisions are listed', async () => (await whole.locator('.decisions li').count()) > 60, 30)
  assert.match(await whole.locator('.decisions .cause').last().innerText(), /^look 1$/)

  // What people decide on reports, and what experiments say.
  assert.match(await whole.locator('section[aria-labelledby=gates]').innerText(), /Week one[^]*Olga[^]*week-1\.html[^]*NO-GO[^]*two complaints are open/)
  assert.match(await whole.locator('section[aria-labelledby=impacts]').innerText(), /Revenue[^]*\+1\.2[^]*it ended yesterday/)
  assert.deepEqual(await findings(whole), [], 'axe on gates and experiments')
  await browser.screenshot(whole, 'gates-and-experiments')
  fake.who = { person: 'Paul', role: 'product_lead' }
  await whole.reload()
  await whole.getByRole('button', { name: 'GO …', exact: true }).click()
  await whole.getByRole('button', { name: 'GO', exact: true }).click()
  await whole.getByText('Name the report').waitFor()
  await whole.getByLabel(/^Report/).fill('week-1.html')
  await whole.getByRole('button', { name: 'GO', exact: true }).click()
  await until('GO arrives', () => fake.sent.length === 1, 10)
  assert.deepEqual(fake.sent, [{ stage: 'week_one', attempt: 1, report: 'week-1.html' }])
  fake.who = { person: null, role: null }
  await whole.context().close()

  fake.slot = 1
  await leftOpen(fake, browser)
  await analyzerAway(rig, browser)
}

/** Cohorts and experiments keep what they know, and say how old it is; a report that is read stays where it is. */
async function analyzerAway(rig, browser) {
  const fake = await new Fake('analyzer').start()
  rig.also(fake)
  // A browser whose frames come late has its first answer before the page listens.
  const slow = await browser.window()
  await slow.addInitScript(() => {
    const timeout = window.setTimeout
    window.requestAnimationFrame = (draw) => timeout(() => draw(performance.now()), 1_000)
    window.setTimeout = (work, ms, ...rest) => timeout(work, ms <= 100 ? 1_000 : ms, ...rest)
  })
  await slow.goto(fake.address + '/')
  await slow.getByText('How they differ').waitFor()
  await slow.context().close()
  const page = await browser.window()
  await page.goto(fake.address + '/')
  await page.getByText('How they differ').waitFor()
  assert.equal(await page.locator('.banner').count(), 0)
  fake.dead = true
  await page.locator('.banner').filter({ hasText: 'Connection lost.' }).waitFor({ timeout: 60_000 * kPatience })
  await page.getByText('How they differ').waitFor()
  await page.locator('main.stale').waitFor()
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme })
    assert.deepEqual(await findings(page), [], `axe on old cohorts, ${theme}`)
    await browser.screenshot(page, `stale-cohorts-${theme}`)
  }
  fake.dead = false
  await page.locator('.banner').waitFor({ state: 'detached', timeout: 60_000 * kPatience })
  browser.complaints = browser.complaints.filter((c) => !/ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|ERR_CONNECTION_CLOSED/.test(c))

  await page.goto(fake.address + '/#/experiments')
  await page.frameLocator('iframe').getByText('analysis 1').waitFor()
  const reports = () => fake.asked.get('/v1/experiments/ab')
  assert.equal(reports(), 1)
  fake.analyse()
  await page.getByText('verdict 2').waitFor()
  await page.getByRole('button', { name: 'Show the new one' }).waitFor()
  await browser.screenshot(page, 'experiment-newer')
  assert.equal(reports(), 1, 'what is being read stays')
  await page.getByRole('button', { name: 'Show the new one' }).click()
  await page.frameLocator('iframe').getByText('analysis 2').waitFor()
  await page.context().close()
}

const kScenarios = { pages, go, abort, stream }
const [name, covey] = process.argv.slice(2)
if (!(name in kScenarios) || !covey) {
  console.error('usage: node web/test/dashboard_test.mjs pages|go|abort|stream COVEY')
  process.exit(2)
}
const rig = new Rig(process.env.COVEY_BINARY || covey)
let browser
const stop = async () => {
  await browser?.stop().catch(() => {})
  await rig.stop()
}
process.on('SIGTERM', () => void stop().then(() => process.exit(1)))
process.on('SIGINT', () => void stop().then(() => process.exit(1)))
let failed = null
try {
  browser = await Browser.start()
  await kScenarios[name](rig, browser)
  assert.deepEqual(browser.complaints, [], 'the console has no error')
} catch (error) {
  failed = error
  if (browser) await browser.autopsy(name)
  for (const process of ['control', 'load', 'baseline', 'candidate']) {
    if (rig.log(process)) console.error(`-- ${process}:\n${rig.log(process).slice(-2_000)}`)
  }
}
await stop()
if (failed) {
  console.error(failed)
  process.exit(1)
}
console.log(`${name}: as it must be`)
