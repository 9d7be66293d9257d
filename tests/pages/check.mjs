// What independent programs say about pages: vnu, html-validate, and axe-core in a real Chromium, light and dark, narrow and wide.
//
// Standard input: {"chromium": path, "pages": {name: url}, "shots": folder or null}. Standard output: {"faults": [..], "pages": {name: facts}}.
// Does not judge: the caller decides what may be.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HtmlValidate } from 'html-validate';
import { chromium } from 'playwright-core';

const require = createRequire(import.meta.url);
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const SIZES = { narrow: { width: 320, height: 640 }, wide: { width: 1280, height: 900 } };

const asked = JSON.parse(readFileSync(0, 'utf8'));
const faults = [];
const facts = {};
const folder = mkdtempSync(join(tmpdir(), 'mesh-pages-'));

// What the servers send, and how much of it travels.
for (const [name, url] of Object.entries(asked.pages)) {
  // Node asks the system's resolver, which may not know that names under localhost are this machine.
  const here = Object.assign(new URL(url), { hostname: '127.0.0.1' });
  const answer = await fetch(here, { headers: { accept: 'text/html' }, redirect: 'manual' });
  const html = await answer.text();
  facts[name] = { status: answer.status, bytes: Buffer.byteLength(html) };
  writeFileSync(join(folder, `${name}.html`), html);
}

// The Nu Html Checker.
const files = Object.keys(asked.pages).map((name) => join(folder, `${name}.html`));
const vnu = spawnSync('java', ['-Xss8m', '-jar', require.resolve('vnu-jar/build/dist/vnu.jar'), '--format', 'json', '--stdout', '--exit-zero-always', ...files], { encoding: 'utf8', maxBuffer: 1 << 26 });
if (vnu.error || !vnu.stdout) throw new Error(`vnu did not run: ${vnu.error ?? vnu.stderr}`);
for (const message of JSON.parse(vnu.stdout).messages) {
  if (message.type !== 'error') continue;
  faults.push(`vnu: ${message.url?.split('/').pop()} ${message.lastLine}:${message.lastColumn} ${message.message}`);
}

// html-validate. Off is only what is taste: our line ends, void elements and casing are the templates' own.
const validator = new HtmlValidate({
  extends: ['html-validate:recommended', 'html-validate:document'],
  rules: { 'long-title': 'off', 'no-trailing-whitespace': 'off', 'require-sri': 'off' },
});
for (const file of files) {
  const report = await validator.validateFile(file);
  for (const result of report.results) {
    for (const message of result.messages.filter((message) => message.severity === 2)) {
      faults.push(`html-validate: ${file.split('/').pop()} ${message.line}:${message.column} ${message.ruleId}: ${message.message}`);
    }
  }
}

// A real browser.
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const context = await chromium.launchPersistentContext(join(folder, 'profile'), { executablePath: asked.chromium, args: FLAGS, headless: true, bypassCSP: true });
for (const [name, url] of Object.entries(asked.pages)) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark']) {
      const where = `${name}, ${size}, ${colorScheme}`;
      const page = await context.newPage();
      page.on('dialog', (dialog) => { faults.push(`browser: ${where}: a dialog: ${dialog.message()}`); dialog.dismiss(); });
      page.on('pageerror', (error) => faults.push(`browser: ${where}: ${error}`));
      page.on('request', (request) => { if (new URL(request.url()).origin !== new URL(url).origin) faults.push(`browser: ${where}: asks ${request.url()}`); });
      page.on('response', (response) => { if (response.status() >= 400 && response.url() !== url) faults.push(`browser: ${where}: ${response.status()} ${response.url()}`); });
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await page.goto(url, { waitUntil: 'load' });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (overflow > 0) faults.push(`browser: ${where}: ${overflow} pixels wider than the window`);
      const ran = await page.evaluate(() => globalThis.hostile);
      if (ran !== undefined) faults.push(`browser: ${where}: a script of the page ran`);
      if (asked.shots) await page.screenshot({ path: join(asked.shots, `${name}-${size}-${colorScheme}.png`), fullPage: true });
      await page.evaluate(axe);
      const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
      for (const violation of found.violations) {
        faults.push(`axe: ${where}: ${violation.id}: ${violation.nodes.map((node) => node.target.join(' ')).slice(0, 3).join(', ')}`);
      }
      await page.close();
    }
  }
}
await context.close();
rmSync(folder, { recursive: true, force: true });
process.stdout.write(JSON.stringify({ faults, pages: facts }));
