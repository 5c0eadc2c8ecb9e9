// Builds the dashboard and writes it as a C++ source that the program carries.
//
//   node web/build.mjs --tools DIR --out FILE.cpp
//
// DIR gets node_modules (by package-lock.json, once) and dist/, the files as a browser gets them.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { runbooksPage } from './runbooks.mjs'

const kCompressedMax = 150_000 // bytes, of all files together

const { values } = parseArgs({ options: { tools: { type: 'string' }, out: { type: 'string' } } })
if (!values.tools || !values.out) {
  console.error('usage: node web/build.mjs --tools DIR --out FILE.cpp')
  process.exit(2)
}
const web = dirname(fileURLToPath(import.meta.url))
const tools = resolve(values.tools)
const modules = join(tools, 'node_modules')

function fetchTools() {
  const wanted = readFileSync(join(web, 'package-lock.json'), 'utf8')
  const stamp = join(tools, 'installed.json')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  mkdirSync(tools, { recursive: true })
  for (const name of ['package.json', 'package-lock.json']) cpSync(join(web, name), join(tools, name))
  // Not `npm ci`: it insists on the entries of other platforms, which a mirror need not have.
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: tools, stdio: ['ignore', 'inherit', 'inherit'],
  })
  writeFileSync(stamp, wanted)
}

function checkTypes() {
  execFileSync(process.execPath, [join(modules, 'typescript/bin/tsc'), '-p', join(web, 'tsconfig.json')],
    { stdio: ['ignore', 'inherit', 'inherit'] })
}

async function bundle() {
  const esbuild = createRequire(join(tools, 'package.json'))('esbuild')
  const made = await esbuild.build({
    entryPoints: { app: join(web, 'src/app.tsx') },
    bundle: true, minify: true, write: false, outdir: '/', format: 'esm', target: 'es2022',
    jsx: 'automatic', jsxImportSource: 'preact', nodePaths: [modules], legalComments: 'none',
    logLevel: 'warning',
  })
  const files = [{ path: '/', type: 'text/html; charset=utf-8', bytes: readFileSync(join(web, 'src/index.html')) }]
  for (const file of made.outputFiles) {
    const css = file.path.endsWith('.css')
    files.push({ path: css ? '/app.css' : '/app.js', type: css ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8',
      bytes: Buffer.from(file.contents) })
  }
  files.push({ path: '/runbooks', type: 'text/html; charset=utf-8', bytes: Buffer.from(runbooksPage(readFileSync(join(web, '../docs/operations.md'), 'utf8'))) })
  files.push({ path: '/runbooks.css', type: 'text/css; charset=utf-8', bytes: readFileSync(join(web, 'src/runbooks.css')) })
  files.push({ path: '/icon.svg', type: 'image/svg+xml', bytes: readFileSync(join(web, 'src/icon.svg')) })
  return files
}

/** A C++ string of any bytes: three octal digits can't run into what follows. */
function literal(bytes) {
  const lines = []
  for (let at = 0; at < bytes.length; at += 4000) {
    let text = ''
    for (const byte of bytes.subarray(at, at + 4000)) {
      const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c && byte !== 0x3f
      text += plain ? String.fromCharCode(byte) : '\\' + byte.toString(8).padStart(3, '0')
    }
    lines.push(`    "${text}"`)
  }
  return lines.join('\n')
}

function write(files) {
  let total = 0
  let data = ''
  let table = ''
  mkdirSync(join(tools, 'dist'), { recursive: true })
  files.forEach((file, i) => {
    const gzip = gzipSync(file.bytes, { level: 9 })
    total += gzip.length
    writeFileSync(join(tools, 'dist', file.path === '/' ? 'index.html' : file.path.slice(1)), file.bytes)
    data += `constexpr char kPlain${i}[] =\n${literal(file.bytes)};\nconstexpr char kGzip${i}[] =\n${literal(gzip)};\n`
    table += `    {"${file.path}", "${file.type}", {kPlain${i}, sizeof kPlain${i} - 1}, {kGzip${i}, sizeof kGzip${i} - 1}},\n`
  })
  if (total > kCompressedMax) {
    throw new Error(`the dashboard is ${total} bytes compressed; at most ${kCompressedMax} are allowed`)
  }
  const source = `// Written by web/build.mjs.\n#include "pages/assets.h"\n\nnamespace covey::pages {\nnamespace {\n${data}` +
    `constexpr Asset kTable[] = {\n${table}};\n}  // namespace\n\nconst std::span<const Asset> kAssets = kTable;\n\n}  // namespace covey::pages\n`
  // Whole or not at all: a build cut off here must not leave half a file that looks new.
  writeFileSync(values.out + '.part', source)
  renameSync(values.out + '.part', values.out)
  console.log(`dashboard: ${(total / 1000).toFixed(1)} kB compressed`)
}

fetchTools()
checkTypes()
write(await bundle())
