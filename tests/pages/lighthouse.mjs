// Lighthouse on pages, mobile, in a real Chromium: prints {name: {category: score}}. Standard input: {"chromium": path, "pages": {name: url}}.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import lighthouse from 'lighthouse';

const asked = JSON.parse(readFileSync(0, 'utf8'));
const folder = mkdtempSync(join(tmpdir(), 'mesh-lighthouse-'));
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', `--user-data-dir=${folder}`, '--remote-debugging-port=0', 'about:blank'];
const browser = spawn(asked.chromium, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
const port = await new Promise((found, failed) => {
  let said = '';
  browser.stderr.on('data', (data) => {
    said += data;
    const match = /DevTools listening on ws:\/\/[^:]+:(\d+)\//.exec(said);
    if (match) found(Number(match[1]));
  });
  browser.on('exit', () => failed(new Error(`the browser ended: ${said}`)));
});
const scores = {};
for (const [name, url] of Object.entries(asked.pages)) {
  const { audits, categories, environment } = (await lighthouse(url, { port, logLevel: 'error', output: 'json' })).lhr;
  const lost = Object.values(audits).filter((audit) => audit.score !== null && audit.score < 0.9 && ['binary', 'numeric'].includes(audit.scoreDisplayMode)).map((audit) => audit.id);
  // How fast the machine was just now tells what the first mark is worth.
  scores[name] = { ...Object.fromEntries(Object.values(categories).map((category) => [category.id, category.score])), lost, machine: Math.round(environment.benchmarkIndex) };
}
browser.removeAllListeners('exit');
browser.kill();
browser.once('exit', () => {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  process.stdout.write(JSON.stringify(scores));
});
