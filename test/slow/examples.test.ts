/** The examples on the embedded base model, by the package as it is built: as they stand, where they train in few steps. */
import { execFile } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { writePng } from '../../sdk/images/png';
import { toyPhotos } from '../../sdk/toybox/toy-subject';
import { startFakeDiscord } from '../discord/fake-discord';
import { hasRedis, startRedis } from '../jobs/redis-server';

const root = join(import.meta.dirname, '../..');
let folder: string;
let photos: string[];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dreambooth-'));
  process.env['DREAMBOOTH_HOME'] = join(folder, 'home');
  mkdirSync(join(folder, 'photos', 'rex'), { recursive: true });
  photos = toyPhotos({ class: 'dog', seed: 3 }).map((_, i) => join(folder, 'photos', 'rex', `${i + 1}.png`));
  for (const [i, data] of toyPhotos({ class: 'dog', seed: 3 }).entries())
    await writePng(photos[i]!, { width: 64, height: 64, data });
  // As `npx` finds it in a project.
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  symlinkSync(join(root, 'dist/adapters/cli.js'), join(folder, 'node_modules/.bin/dreambooth'));
  symlinkSync(root, join(folder, 'node_modules/dreambooth'));
  symlinkSync(
    join(root, 'node_modules/@modelcontextprotocol'),
    join(folder, 'node_modules/@modelcontextprotocol'),
  );
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
});
afterAll(() => {
  delete process.env['DREAMBOOTH_HOME'];
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** A copy in the user's project, with one thing said otherwise where `change` is given. */
async function run(
  name: string,
  parameters: readonly string[],
  change?: readonly [from: string, to: string],
): Promise<string> {
  const text = readFileSync(join(root, 'examples', name), 'utf8');
  if (change !== undefined) expect(text).toContain(change[0]);
  writeFileSync(join(folder, name), change === undefined ? text : text.replace(...change));
  const program = [join(folder, name), ...parameters];
  const options = { cwd: folder, timeout: 10 * 60_000 };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), ...program],
    options,
  );
  return stdout;
}

describe('examples', () => {
  test('first-subject: ten lines from photos to a picture, then a batch and a route that find the subject', async () => {
    await run('first-subject.ts', photos, ["{ name: 'rex' }", "{ name: 'rex', steps: 40, classImages: 8 }"]);
    expect((await sharp(join(folder, 'rex-in-the-snow.png')).metadata()).width).toBe(64);
    expect(await run('batch.ts', [join(folder, 'photos'), 'dog'])).toContain('rex.png');
    expect(existsSync(join(folder, 'photos/rex.png'))).toBe(true);
    const { app } = await import('../../examples/hono-route');
    const drawn = await app.request('/draw?prompt=@rex+in+the+snow');
    expect(drawn.headers.get('content-type')).toBe('image/png');
    expect((await sharp(new Uint8Array(await drawn.arrayBuffer())).metadata()).height).toBe(64);
    const refused = await app.request('/draw?prompt=@mia');
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ code: 'unknown-subject' });
  });

  test('mcp-client: the whole conversation over standard input and output', async () => {
    const own = join(folder, 'mcp-photos');
    mkdirSync(own);
    for (const [i, photo] of photos.entries()) copyFileSync(photo, join(own, `${i}.png`));
    const given = readdirSync(own).map((name) => join(own, name));
    const few = ["class: 'dog'", "class: 'dog', steps: 40"] as const;
    const said = await run('mcp-client.ts', [own, ...given], few);
    expect(said).toMatch(/@rex is learned/);
    expect(said).toMatch(/image\/png, dreambooth:\/\/pictures\/draw-/);
  });

  test.runIf(hasRedis())('two-workers: four pictures by two workers', async () => {
    const redis = await startRedis();
    try {
      const said = await run('two-workers.ts', [redis.url]);
      expect(said.match(/draw-\w+\.1 /g)).toHaveLength(4);
    } finally {
      await redis.kill();
    }
  });

  test('discord-bot: the bot comes, and answers', async () => {
    const discord = await startFakeDiscord('a-token');
    vi.doMock('../../adapters/discord/index', async (original) => {
      const real = await original<typeof import('../../adapters/discord/index')>();
      return {
        startBot: (host: never, options: object) =>
          real.startBot(host, { ...options, api: discord.api } as never),
      };
    });
    process.env['DISCORD_TOKEN'] = 'a-token';
    const listeners = process.listeners('SIGINT');
    await import('../../examples/discord-bot');
    await discord.command('ann', 'subjects').shows(/@rex|no subjects/);
    const [stop] = process
      .listeners('SIGINT')
      .filter((listener) => !listeners.includes(listener))
      .slice(-1);
    await stop!('SIGINT');
    vi.doUnmock('../../adapters/discord/index');
    await discord.close();
  });

  test('every example is here', () => {
    expect(readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'))).toEqual([
      'batch.ts',
      'discord-bot.ts',
      'first-subject.ts',
      'hono-route.ts',
      'mcp-client.ts',
      'stop-and-resume.ts',
      'two-subjects.ts',
      'two-workers.ts',
    ]);
  });
});
