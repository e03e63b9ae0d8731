/** A browser of a test's own, spoken to over its DevTools protocol. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import WebSocket from 'ws';

export interface LookedAt {
  /** The value of each expression in the page, by its name. */
  readonly values: Readonly<Record<string, unknown>>;
  /** What the page wrote to its console or threw. */
  readonly complaints: readonly string[];
  /** What it asked for beside itself. */
  readonly requests: readonly string[];
  /** The whole page. */
  readonly png: Uint8Array;
}

export interface Viewing {
  readonly scheme: 'light' | 'dark';
  /** Of the window, in pixels. */
  readonly width: number;
  readonly expressions?: Readonly<Record<string, string>>;
}

const program = process.env['CHROMIUM'] ?? 'chromium';

/** Whether Debian's `chromium` is there; where all tests have to run, it has to be. */
export function hasChromium(): boolean {
  if (spawnSync(program, ['--version']).status === 0) return true;
  if (process.env['DREAMBOOTH_REQUIRE_ALL_TESTS'])
    throw new Error('chromium is not installed: apt-get install chromium, or name its program in CHROMIUM');
  return false;
}

/** What is used of the protocol's answers. */
interface Answer {
  readonly targetId?: string;
  readonly sessionId?: string;
  readonly result?: { readonly value?: unknown };
  readonly exceptionDetails?: { readonly text: string };
  readonly cssContentSize?: { readonly height: number };
  readonly data?: string;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: { readonly request?: { readonly url: string } };
  readonly result?: Answer;
  readonly error?: { readonly message: string };
}

/** Opens a file as often as it is to be viewed; the browser is gone afterwards. Rejects when it does not start. */
export async function look(file: string, viewings: readonly Viewing[]): Promise<LookedAt[]> {
  const profile = mkdtempSync(join(tmpdir(), 'dreambooth-chromium-'));
  const browser = spawn(
    program,
    [
      '--headless',
      // Containers run as root, where Chromium has no sandbox; what is opened is ours.
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      'about:blank',
    ],
    // A group of its own, so that its helpers, which write to the profile too, can be ended with it.
    { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
  );
  const end = () => {
    try {
      if (browser.pid !== undefined) process.kill(-browser.pid, 'SIGKILL');
    } catch {
      // The whole group is gone.
    }
  };
  process.once('exit', end);
  // Not 'exit': its helpers hold its output open until they are gone.
  const gone = new Promise<void>((resolve) => browser.once('close', () => resolve()));
  try {
    const address = await new Promise<string>((resolve, reject) => {
      let said = '';
      browser.once('error', reject);
      browser.once('exit', () => reject(new Error(`chromium ended: ${said}`)));
      browser.stderr.on('data', (data) => {
        said += data;
        const [, found] = /DevTools listening on (ws:\S+)/.exec(said) ?? [];
        if (found !== undefined) resolve(found);
      });
    });
    const looked: LookedAt[] = [];
    for (const viewing of viewings) looked.push(await lookOnce(address, file, viewing));
    return looked;
  } finally {
    end();
    process.off('exit', end);
    await gone;
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

async function lookOnce(
  address: string,
  file: string,
  { scheme, width, expressions = {} }: Viewing,
): Promise<LookedAt> {
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const answers = new Map<number, (message: Message) => void>();
  const events: Message[] = [];
  const waiting = new Map<string, () => void>();
  socket.on('message', (data) => {
    const message = JSON.parse(String(data)) as Message;
    if (message.id !== undefined) answers.get(message.id)?.(message);
    else {
      events.push(message);
      waiting.get(message.method!)?.();
    }
  });
  socket.on('close', () => {
    for (const answer of answers.values()) answer({ error: { message: 'chromium is gone' } });
  });
  let count = 0;
  let sessionId: string | undefined;
  const ask = (method: string, params: object = {}) =>
    new Promise<Answer>((resolve, reject) => {
      const id = ++count;
      answers.set(id, ({ result, error }) =>
        error === undefined ? resolve(result ?? {}) : reject(new Error(`${method}: ${error.message}`)),
      );
      socket.send(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }));
    });

  const { targetId } = await ask('Target.createTarget', { url: 'about:blank' });
  const attached = await ask('Target.attachToTarget', { targetId, flatten: true });
  sessionId = attached.sessionId;
  for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await ask(`${domain}.enable`);
  await ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  await ask('Emulation.setDeviceMetricsOverride', {
    width,
    height: 900,
    deviceScaleFactor: 1,
    mobile: false,
  });
  const url = pathToFileURL(file).href;
  const loaded = new Promise<void>((resolve) => waiting.set('Page.loadEventFired', resolve));
  await ask('Page.navigate', { url });
  await loaded;
  const values: Record<string, unknown> = {};
  for (const [name, expression] of Object.entries(expressions)) {
    const { result, exceptionDetails } = await ask('Runtime.evaluate', { expression, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${exceptionDetails.text}`);
    values[name] = result?.value;
  }
  const { cssContentSize } = await ask('Page.getLayoutMetrics');
  const { data } = await ask('Page.captureScreenshot', {
    captureBeyondViewport: true,
    clip: { x: 0, y: 0, width, height: Math.min(cssContentSize!.height, 16_000), scale: 1 },
  });
  socket.close();
  const of = (method: string) => events.filter((event) => event.method === method);
  const complaints = ['Runtime.consoleAPICalled', 'Runtime.exceptionThrown', 'Log.entryAdded']
    .flatMap(of)
    .map(({ params }) => JSON.stringify(params));
  const requests = of('Network.requestWillBeSent')
    .map(({ params }) => params!.request!.url)
    .filter((one) => one !== url && !one.startsWith('data:'));
  return { values, complaints, requests, png: Buffer.from(data!, 'base64') };
}
