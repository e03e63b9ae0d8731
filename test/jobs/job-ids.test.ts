import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';

const drawn = vi.hoisted(() => ({ bytes: 0 }));
vi.mock('node:crypto', async (original) => ({
  ...(await original<typeof import('node:crypto')>()),
  // Of two bytes always the same, as where nearly all are given.
  randomBytes(size: number) {
    if (++drawn.bytes > 10_000) throw new Error('it never ends');
    return Buffer.alloc(size, 7);
  },
}));

test('a job gets an id also where the short ones are given', async () => {
  const { createDrawing } = await import('../../sdk/jobs/jobs');
  const { openHome } = await import('../../sdk/subjects/home');
  const home = openHome(mkdtempSync(join(tmpdir(), 'dreambooth-')));
  mkdirSync(join(home.jobs, 'draw-0707'), { recursive: true });
  const placement = { owner: 'a', scope: null, host: 'mcp', attended: false, turn: 0, replyTo: null };
  const { id } = createDrawing(home, { prompt: 'a dog', seed: 1, count: 1, request: {} }, {}, placement);
  expect(id).toMatch(/^draw-(07){3,}$/);
  rmSync(home.folder, { recursive: true });
});
