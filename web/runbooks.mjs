// docs/operations.md as the page /runbooks, which alerts link to: http://CONTROL/runbooks#coveydown.
//
// Knows the Markdown which that page uses and throws on what it does not know, so that nothing is
// shown garbled at the moment somebody needs it.

const kEscapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escape = (text) => text.replace(/[&<>"]/g, (c) => kEscapes[c])

/** Heading text -> fragment, as in the alerts' `runbook_url`: "### CoveyDown" is #coveydown. */
export const fragment = (heading) => heading.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-')

/** Code, bold, italics and links of one paragraph. */
function inline(text) {
  return text.split(/(`[^`]+`)/).map((part) => {
    if (part.startsWith('`')) return `<code>${escape(part.slice(1, -1))}</code>`
    if (/`|!\[|<[a-z]/.test(part)) throw new Error(`runbooks: can't read: ${part}`)
    return escape(part)
      .replace(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>')
      .replace(/(?<![\w*])\*([^*]+)\*(?![\w*])/g, '<em>$1</em>')
      // Other pages of docs/ are not served: their names are all there is to say.
      .replace(/\[([^\]]+)\]\(([^)]+)\)/g, (_, name, to) =>
        to.startsWith('#') ? `<a href="${to}">${name}</a>` : `<code>docs/${to}</code>`)
  }).join('')
}

const cells = (row) => row.replace(/^\||\|$/g, '').split('|').map((cell) => inline(cell.trim()))

function block(text) {
  const lines = text.split('\n')
  const heading = /^(#{1,3}) (.+)$/.exec(text)
  if (heading) {
    const level = heading[1].length
    return `<h${level} id="${fragment(heading[2])}">${inline(heading[2])}</h${level}>`
  }
  if (lines[0].startsWith('|')) {
    if (!/^\|[-| ]+\|$/.test(lines[1] ?? '')) throw new Error(`runbooks: no table: ${text}`)
    const row = (line, tag) => `<tr>${cells(line).map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`
    return `<div class="wide"><table><thead>${row(lines[0], 'th')}</thead><tbody>${lines.slice(2).map((line) => row(line, 'td')).join('')}</tbody></table></div>`
  }
  if (lines[0].startsWith('- ')) {
    return `<ul>${text.slice(2).split('\n- ').map((item) => `<li>${inline(item.replace(/\n\s*/g, ' '))}</li>`).join('')}</ul>`
  }
  if (lines[0].startsWith('```')) {
    if (lines.length < 3 || lines.at(-1) !== '```') throw new Error(`runbooks: a code block with an empty line: ${text}`)
    return `<pre>${escape(lines.slice(1, -1).join('\n'))}</pre>`
  }
  if (/^(#|>|\d+\. |\s|\* )/.test(text)) throw new Error(`runbooks: can't read: ${text}`)
  return `<p>${inline(lines.join(' '))}</p>`
}

export function runbooksPage(markdown) {
  const body = markdown.trim().split(/\n{2,}/).map(block)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Covey: operations and runbooks</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/runbooks.css">
</head>
<body>
<p><a href="/">Dashboard</a></p>
<main>
${body.join('\n')}
</main>
</body>
</html>
`
}
