// What deploy/ holds is accepted by the tools that will read it.
//
//   node tests/deploy/lint_test.mjs COVEY
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runbooksPage } from '../../web/runbooks.mjs'
import { fetchTools, kTools } from './tools.mjs'

const kRoot = join(dirname(fileURLToPath(import.meta.url)), '../..')
const deploy = join(kRoot, 'deploy')
const covey = resolve(process.argv[2])

function run(program, ...words) {
  const done = spawnSync(program, words, { encoding: 'utf8' })
  assert.equal(done.status, 0, `${program} ${words.join(' ')}:\n${done.stdout}${done.stderr}`)
  return done.stdout
}

function prometheus(yaml) {
  const at = join(deploy, 'prometheus')
  run('promtool', 'check', 'config', join(at, 'prometheus.yml'))
  run('promtool', 'check', 'rules', join(at, 'recording.yml'), join(at, 'alerts.yml'))
  run('promtool', 'test', 'rules', join(at, 'tests.yml'))
  run('amtool', 'check-config', join(deploy, 'alertmanager/alertmanager.yml'))
  for (const file of ['prometheus.yml', 'kubernetes.yml']) {
    const { global } = yaml.parse(readFileSync(join(at, file), 'utf8'))
    assert.match(global.external_labels.covey_url, /^https?:\/\/[^/]+$/, `${file} says where the runbooks are`)
  }
}

/** Alerts without a test that they fire, or without one that they stay quiet. */
function untested(alerts, tests) {
  const cases = tests.tests.flatMap((t) => t.alert_rule_test ?? [])
  const has = (name, fires) => cases.some((c) => c.alertname === name && (c.exp_alerts.length > 0) === fires)
  return alerts.flatMap(({ alert }) => [true, false].filter((fires) => !has(alert, fires)).map((fires) => `${alert}: none that it ${fires ? 'fires' : 'stays quiet'}`))
}

/** Every alert has its tests, and leads to a heading that is there; no runbook is left without its alert. */
function alertsAndRunbooks(yaml) {
  const read = (file) => yaml.parse(readFileSync(join(deploy, 'prometheus', file), 'utf8'))
  const alerts = read('alerts.yml').groups.flatMap((g) => g.rules)
  const tests = read('tests.yml')
  assert.deepEqual(untested(alerts, tests), [], 'alerts without a test in tests.yml')
  // The check itself must be able to fail.
  assert.equal(untested([{ alert: 'CoveyNew' }], tests).length, 2)
  const page = runbooksPage(readFileSync(join(kRoot, 'docs/operations.md'), 'utf8'))
  const headings = [...page.matchAll(/<h3 id="(\w+)">(Covey\w+)<\/h3>/g)]
  for (const alert of alerts) {
    const [, , id] = /^(\{\{ \$externalLabels\.covey_url \}\})\/runbooks#(\w+)$/.exec(alert.annotations.runbook_url) ?? assert.fail(`${alert.alert}: ${alert.annotations.runbook_url}`)
    assert.ok(headings.some((h) => h[1] === id && h[2] === alert.alert), `${alert.alert} has its runbook at #${id}`)
    assert.match(alert.labels.severity, /^(critical|high|medium)$/)
  }
  assert.deepEqual(headings.map((h) => h[2]).sort(), alerts.map((a) => a.alert).sort(), 'a runbook for each alert')
}

/**
 * The scrape jobs for Kubernetes, by Prometheus itself: which pods are scraped, under which labels.
 * Debian's Prometheus is built without discovery in Kubernetes: pods as it would find them stand in its
 * place, everything behind it is as written. What is not tried is the discovery.
 */
function scrapesInKubernetes(yaml) {
  const config = yaml.parse(readFileSync(join(deploy, 'prometheus/kubernetes.yml'), 'utf8'))
  const pods = [['covey-analyzer-0', 'http', 8080], ['covey-analyzer-1', 'http', 8080], ['covey-control-0', 'http', 8090],
    ['covey-control-0', 'learners', 8000], ['other-0', 'http', 8080]]
  for (const job of config.scrape_configs) {
    assert.deepEqual(job.kubernetes_sd_configs, [{ role: 'pod', namespaces: { names: ['covey'] } }])
    delete job.kubernetes_sd_configs
    job.static_configs = pods.map(([name, port, number], i) => ({ targets: [`10.0.0.${i}:${number}`], labels: {
      __meta_kubernetes_pod_name: name, __meta_kubernetes_pod_label_app: name.replace(/-\d$/, ''), __meta_kubernetes_pod_container_port_name: port } }))
  }
  const folder = mkdtempSync(join(kRoot, 'build/scrape-'))
  try {
    for (const rules of ['recording.yml', 'alerts.yml']) writeFileSync(join(folder, rules), readFileSync(join(deploy, 'prometheus', rules)))
    const file = join(folder, 'prometheus.yml')
    writeFileSync(file, yaml.stringify(config))
    run('promtool', 'check', 'config', file)
    const scraped = config.scrape_configs.flatMap((job) =>
      JSON.parse(run('promtool', 'check', 'service-discovery', '--timeout=1s', file, job.job_name))
        .map(({ labels }) => labels).filter((labels) => labels?.job)
        .map(({ job, instance, arm, __address__ }) => [job, instance, arm ?? null, __address__]))
    assert.deepEqual(scraped.sort(), [['covey-analyzer', 'covey-analyzer-0', 'baseline', '10.0.0.0:8080'],
      ['covey-analyzer', 'covey-analyzer-1', 'candidate', '10.0.0.1:8080'], ['covey-control', 'covey-control-0', null, '10.0.0.2:8090']])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What a manifest's values fail by the schema of its kind: types, required fields, quantities. */
function schemaFaults(models, document) {
  try {
    new models[document.kind](document).validate()
    return null
  } catch (error) {
    return error.message
  }
}

/**
 * The manifests against Kubernetes' API, twice, for neither reader does both: its JSON schemas
 * (kubernetes-models) refuse a value of the wrong type, a required field that lacks and a quantity that is
 * none; its types (kubernetes-types) refuse a field misspelt or out of place. Neither knows the rules that
 * an API server applies beyond its schema, such as ranges of ports, nor whether the image starts: what must
 * fit together inside a manifest is checked below, and the program reads its own arguments.
 */
async function kubernetes(yaml) {

  const kKinds = {
    Service: ['core/v1', 'Service'], StatefulSet: ['apps/v1', 'StatefulSet'],
    PodDisruptionBudget: ['policy/v1', 'PodDisruptionBudget'],
  }
  const models = {}
  for (const [name, [module]] of Object.entries(kKinds)) {
    models[name] = (await import(join(kTools, 'node_modules/kubernetes-models', module.replace('core/', ''), 'index.js')))[name]
  }
  const folder = join(kTools, 'manifests')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  let documents = 0
  const check = (name, texts) => {
    let source = ''
    for (const [module, kind] of Object.values(kKinds)) source += `import type { ${kind} } from 'kubernetes-types/${module}'\n`
    texts.forEach((document, i) => {
      assert.ok(document.kind in kKinds, `${name}: kind ${document.kind}`)
      source += `export const d${i}: ${kKinds[document.kind][1]} = ${JSON.stringify(document, null, 1)}\n`
    })
    writeFileSync(join(folder, `${name}.ts`), source)
    return spawnSync(process.execPath, [join(kTools, 'node_modules/typescript/bin/tsc'), '--noEmit', '--strict', '--skipLibCheck',
      '--module', 'esnext', '--moduleResolution', 'bundler', join(folder, `${name}.ts`)], { encoding: 'utf8', cwd: kTools })
  }
  for (const file of readdirSync(join(deploy, 'kubernetes'))) {
    const all = yaml.parseAllDocuments(readFileSync(join(deploy, 'kubernetes', file), 'utf8')).map((d) => d.toJS())
    documents += all.length
    const done = check(file.replace('.yaml', ''), all)
    assert.equal(done.status, 0, `${file}: ${done.stdout}`)
    for (const d of all) assert.equal(schemaFaults(models, d), null, `${file}: ${d.kind} ${d.metadata.name}`)
    for (const d of all.filter((d) => d.kind === 'StatefulSet')) {
      assert.deepEqual(d.spec.selector.matchLabels, d.spec.template.metadata.labels, `${d.metadata.name} selects its own pods`)
      for (const c of d.spec.template.spec.containers) {
        const ports = c.ports.map((p) => p.name)
        for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) assert.ok(ports.includes(c[probe].httpGet.port), probe)
        assert.ok(c.resources.limits.memory && c.resources.requests.cpu, 'limits')
        const volumes = [...d.spec.template.spec.volumes, ...d.spec.volumeClaimTemplates.map((v) => v.metadata)].map((v) => v.name)
        for (const mount of c.volumeMounts) assert.ok(volumes.includes(mount.name), `volume ${mount.name}`)
        // The program itself reads the arguments: an unknown one is refused, a missing folder comes later.
        const help = run(covey, ...c.args, '--help')
        for (const word of c.args.filter((w) => w.startsWith('--'))) assert.ok(help.includes(word.split('=')[0]), `covey has no ${word}`)
      }
    }
  }
  assert.ok(documents >= 7)
  // Both readers must be able to fail.
  const service = (spec) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'x' }, spec })
  assert.notEqual(check('wrong', [service({ prots: [] })]).status, 0, 'a misspelt field is found')
  assert.equal(schemaFaults(models, service({ ports: [{ port: 80 }] })), null)
  assert.match(schemaFaults(models, service({ ports: [{ port: '80' }] })), /must be integer/)
  assert.match(schemaFaults(models, service({ ports: [{ name: 'http' }] })), /required property '?port/)
  assert.match(schemaFaults(models, { kind: 'StatefulSet', apiVersion: 'apps/v1', metadata: { name: 'x' }, spec: { selector: {}, serviceName: 'x',
    template: { spec: { containers: [{ name: 'x', resources: { limits: { memory: '8 gigs' } } }] } } } }), /quantity/)
}

function systemd() {
  const folder = mkdtempSync(join(kRoot, 'build/units-'))
  try {
    for (const file of readdirSync(join(deploy, 'systemd'))) {
      const text = readFileSync(join(deploy, 'systemd', file), 'utf8')
      const command = /ExecStart=\/usr\/bin\/covey ((?:.|\\\n)*?)\n(?!\s)/.exec(text)[1].replaceAll('\\\n', ' ')
      const help = run(covey, command.split(/\s+/)[0], '--help')
      // A denied call kills, and threads step back by setpriority, which is one of @resources.
      assert.doesNotMatch(text, /^SystemCallFilter=~.*@resources/m, file)
      for (const [word] of command.matchAll(/--[a-z-]+/g)) assert.ok(help.includes(word), `covey has no ${word}`)
      writeFileSync(join(folder, file), text.replaceAll('/usr/bin/covey', covey))
      const unit = join(folder, file.replace('@', '@8081'))
      if (file.includes('@')) writeFileSync(unit, text.replaceAll('/usr/bin/covey', covey))
      run('systemd-analyze', 'verify', '--man=no', unit)
      run('systemd-analyze', 'security', '--offline=true', '--threshold=25', '--no-pager', unit)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Debian packages that are there once `names` are installed. */
function closure(names) {
  const depends = new Map(), provided = new Map()
  const list = run('dpkg-query', '-W', '-f=${Package}\t${Provides}\t${Pre-Depends}, ${Depends}\n')
  for (const line of list.split('\n').filter(Boolean)) {
    const [name, provides, needs] = line.split('\t')
    // "a (>= 1) | b": whichever is installed here.
    depends.set(name, needs.split(',').map((need) => need.split('|').map((one) => one.trim().split(/[ :(]/)[0])).filter(([first]) => first))
    for (const one of provides.split(',')) if (one.trim()) provided.set(one.trim().split(' ')[0], name)
  }
  const found = new Set()
  const wanted = [...names]
  while (wanted.length > 0) {
    const name = wanted.pop()
    if (found.has(name)) continue
    found.add(name)
    for (const choices of depends.get(name) ?? []) {
      const there = choices.map((one) => (depends.has(one) ? one : provided.get(one))).find(Boolean)
      if (there) wanted.push(there)
    }
  }
  return found
}

/** The Debian packages of the libraries that a program loads. */
function packagesOf(program) {
  const out = new Map()
  for (const [, library, path] of run('ldd', program).matchAll(/^\s*(\S+) => (\/\S+)/gm)) {
    // dpkg knows a file by one of two names: /lib is a link to /usr/lib.
    const owner = [path, `/usr${path}`].map((p) => spawnSync('dpkg', ['-S', p], { encoding: 'utf8' })).find((d) => d.status === 0)
    assert.ok(owner, `no package has ${path}`)
    out.set(library, owner.stdout.split(':')[0])
  }
  return out
}

function container() {
  const file = join(deploy, 'container/Containerfile')
  const out = execFileSync(join(kTools, 'node_modules/.bin/dockerfilelint'), [file], { encoding: 'utf8' })
  assert.match(out, /Issues: None found/, out)

  // What the second stage installs is what the program loads, no more and no less.
  const text = readFileSync(file, 'utf8')
  const [, words] = /--no-install-recommends \\\n([^&]*?)\\\n/.exec(text)
  const installed = words.trim().split(/\s+/)
  const needed = packagesOf(covey)
  assert.ok(needed.size > 5, `ldd names the libraries: ${[...needed.keys()]}`)
  // debian:12-slim: what every system has, and apt.
  const required = run('dpkg-query', '-W', '-f=${Package} ${Priority}\n').split('\n').filter((l) => l.endsWith(' required')).map((l) => l.split(' ')[0])
  const lacking = (packages) => [...needed].filter(([, owner]) => !closure([...required, 'apt', ...packages]).has(owner)).map(([library]) => library)
  assert.deepEqual(lacking(installed), [], 'libraries that the image lacks')
  // A sanitized build brings its own allocator: clang's within the program.
  const sanitized = ['__asan_init', '__tsan_init'].some((name) => readFileSync(covey).includes(name))
  const elsewhere = sanitized ? ['haproxy', 'libjemalloc2'] : ['haproxy']
  for (const name of installed) assert.ok([...needed.values(), ...elsewhere].includes(name), `${name} is installed and not loaded`)
  // The check itself must be able to fail: without RocksDB the image lacks it, and what only it needs.
  assert.ok(lacking(installed.filter((name) => !name.startsWith('librocksdb'))).some((library) => library.startsWith('librocksdb')))

  // `COPY .` takes the sources, and neither what a build makes nor the history.
  const ignored = readFileSync(join(kRoot, '.containerignore'), 'utf8').split('\n').filter((l) => l && !l.startsWith('#'))
  for (const name of ['build', '.git', '**/node_modules']) assert.ok(ignored.includes(name), `.containerignore lacks ${name}`)
  for (const line of readFileSync(join(kRoot, '.gitignore'), 'utf8').split('\n').filter(Boolean)) {
    const name = line.replace(/^\/|\/$/g, '')
    assert.ok(ignored.some((i) => i.replace('**/', '') === name), `.containerignore lacks ${name}, which is made`)
  }
  // Nothing that a build reads is left out.
  for (const file of run('git', '-C', kRoot, 'ls-files').split('\n').filter(Boolean)) {
    const top = file.split('/')[0]
    assert.ok(!ignored.includes(top) || top === '.ci', `.containerignore leaves out ${file}`)
  }
}

fetchTools()
const yaml = createRequire(join(kTools, 'package.json'))('yaml')
prometheus(yaml)
alertsAndRunbooks(yaml)
scrapesInKubernetes(yaml)
await kubernetes(yaml)
systemd()
container()
console.log('deploy/: accepted')
