// Every screen on real data, in a real browser. PLIMSOLL_URL names the server, CHROMIUM the browser (empty: Playwright's own).
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const base = process.env.PLIMSOLL_URL.replace(/\/$/, '');
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const RANGE = 'start=-2h&end=now';
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-quic'];
// Slow machines build and test at once: this bounds a hang, it measures nothing.
const PATIENCE = 60_000;

let browser;
before(async () => {
  const named = process.env.CHROMIUM ? (process.env.CHROMIUM.includes('/') ? process.env.CHROMIUM : `/usr/bin/${process.env.CHROMIUM}`) : undefined;
  browser = await chromium.launch({ executablePath: named, args: FLAGS });
});
after(() => browser?.close());

/** Opens a page that notes everything that should not happen. */
async function open(path, { mayRefuse = false } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const problems = [];
  page.on('console', (m) => m.type() === 'error' && !(mayRefuse && m.text().includes('400')) && problems.push(`console: ${m.text()}`));
  page.on('pageerror', (e) => problems.push(`script: ${e.message}`));
  page.on('request', (r) => !r.url().startsWith(base) && !r.url().startsWith('blob:') && problems.push(`elsewhere: ${r.url()}`));
  await page.goto(base + path);
  return { page, close: async () => { await context.close(); assert.deepEqual(problems, []); } };
}

/** Whether something appears within a moment. */
const shows = (locator) => locator.waitFor({ timeout: 2_000 }).then(() => true, () => false);

/** Tries something again until it holds, or patience ends. */
async function until(holds) {
  for (const began = Date.now(); !(await holds()); ) assert.ok(Date.now() - began < PATIENCE, 'it never came');
}

/** No violation that bars somebody from using the screen. */
async function accessible(page) {
  // By the debugger's door, which the content security policy does not bar.
  await page.evaluate((await import('node:fs')).readFileSync(axe, 'utf8'));
  const found = await page.evaluate(async () => (await globalThis.axe.run()).violations.filter((v) => v.impact === 'critical' || v.impact === 'serious').map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3).join(', ')}`));
  assert.deepEqual(found, []);
}

async function someTrace(query = '') {
  const answer = await fetch(`${base}/api/v1/search?${RANGE}&limit=1${query}`);
  return (await answer.json()).traces[0];
}

test('the load line tells goodput by stage, and its numbers lead to traces', async () => {
  const { page, close } = await open(`/?${RANGE}`);
  const stages = page.getByRole('table').first();
  await stages.waitFor();
  await page.getByText('execute').first().waitFor();
  await accessible(page);
  const link = page.locator('main table a[href*="/explore"]').first();
  await link.click();
  await page.waitForURL(/\/explore/);
  await page.locator('a[href^="/trace/"]').first().click();
  await page.waitForURL(/\/trace\/[0-9a-f]{32}/);
  await page.getByRole('treegrid').waitFor();
  await close();
});

test('explore shows the heatmap and the traces', async () => {
  const { page, close } = await open(`/explore?${RANGE}`);
  await page.locator('a[href^="/trace/"]').first().waitFor();
  await page.locator('canvas').first().waitFor();
  await accessible(page);
  await close();
});

test('a trace shows its spans, attempts and attributes', async () => {
  const trace = await someTrace('&sort=wasted');
  const { page, close } = await open(`/trace/${trace.trace_id}`);
  const grid = page.getByRole('treegrid');
  await grid.waitFor();
  assert.equal(Number(await grid.getAttribute('aria-rowcount')), trace.span_count);
  await page.getByText(/try 1\/\d/).first().waitFor();
  await page.keyboard.press('e');
  await page.keyboard.press('Enter');
  await page.getByRole('complementary').getByText('Attributes').waitFor();
  await accessible(page);
  await page.reload();
  await page.getByRole('treegrid').waitFor();
  await close();
});

test('a part of a trace is dragged open, and its address shows it again', async () => {
  const trace = await someTrace('&sort=duration');
  const { page, close } = await open(`/trace/${trace.trace_id}`);
  const strip = page.locator('.minimap-strip');
  await strip.waitFor();
  const box = await strip.boundingBox();
  await page.mouse.move(box.x + box.width * 0.25, box.y + 10);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 10, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/zoom=\d+-\d+/);
  const [from, to] = new URL(page.url()).searchParams.get('zoom').split('-').map(Number);
  assert.ok(Math.abs(from / trace.duration_ns - 0.25) < 0.05 && Math.abs(to / trace.duration_ns - 0.5) < 0.05, `${from}-${to} of ${trace.duration_ns}`);
  await page.reload();
  await page.getByRole('button', { name: /Show all/ }).waitFor();
  await accessible(page);
  await page.keyboard.press('0');
  await page.getByText('Drag to zoom').waitFor();
  assert.ok(!page.url().includes('zoom='));
  await close();
});

test('the editor completes, runs, and marks a mistake', async () => {
  const { page, close } = await open('/sql', { mayRefuse: true });
  const editor = page.getByRole('textbox', { name: 'SQL statement' });
  await editor.click();
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type('SELECT no_such_column FROM traces');
  await page.keyboard.press('Escape');
  await page.keyboard.press('ControlOrMeta+Enter');
  await page.getByText(/there is no column "no_such_column"/).waitFor();
  assert.equal(await page.locator('.cm-mistake').textContent(), 'no_such_column');
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type("SELECT stage, runs FROM queueing('-2h', 'now', 'stage')");
  await page.keyboard.press('Escape');
  await page.keyboard.press('ControlOrMeta+Enter');
  await page.getByText(/\d+ rows in/).waitFor();
  assert.equal(await page.locator('.cm-mistake').count(), 0);
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type('SELECT * FROM stage_r');
  // Suggestions come by themselves; where the columns were not there yet, or the page was too slow, one asks for them.
  const suggested = page.locator('.cm-tooltip-autocomplete').getByText('stage_runs');
  await until(async () => {
    if (await shows(suggested)) return true;
    await page.keyboard.press('Control+Space');
    return shows(suggested);
  });
  await page.keyboard.press('Escape');
  await accessible(page);
  await close();
});

test('SQL answers, and its address answers again', async () => {
  const sql = encodeURIComponent('SELECT trace_id, duration_ns FROM traces ORDER BY duration_ns DESC LIMIT 3');
  const { page, close } = await open(`/sql?sql=${sql}`);
  await page.getByText(/3 rows/).waitFor();
  await page.reload();
  await page.getByText(/3 rows/).waitFor();
  assert.equal(await page.locator('td a[href*="/trace/"]').count(), 3);
  await accessible(page);
  await close();
});

test('a storm names its trigger, draws its edges, and leads to traces', async () => {
  const { page, close } = await open(`/storms?${RANGE}`);
  await page.getByRole('table').first().waitFor();
  const rows = page.locator('table.storms tbody tr');
  assert.ok((await rows.count()) >= 1);
  await page.getByText('trigger', { exact: true }).first().waitFor();
  assert.ok((await page.locator('.storm-edge.is-storming').count()) >= 1);
  await accessible(page);
  await rows.last().locator('th a').click();
  await page.waitForURL(/storm=\d+/);
  // A permalink of it survives a reload.
  await page.reload();
  await page.locator('tr.is-chosen').waitFor();
  await page.getByRole('link', { name: 'Look at traces' }).click();
  await page.waitForURL(/\/explore/);
  await page.locator('a[href^="/trace/"]').first().waitFor();
  await close();
});
