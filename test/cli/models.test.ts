/** `dreambooth models` as people and programs meet it, with a hub on this machine. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { bytesOf, id, plain, tinyOnHub } from '../library/tiny-on-hub';
import { call, callIn, events } from './command-line';

const tiny = tinyOnHub();
const home = () => ['--home', join(tiny.root, 'home')];

/** Nothing of this machine's own models. */
function inEmptyPlaces(): void {
  vi.stubEnv('HOME', join(tiny.root, 'user'));
  vi.stubEnv('COMFYUI_PATH', undefined);
}

test('fetches a model, lists it and finds it again', async () => {
  inEmptyPlaces();
  const none = await call('models', ...home());
  expect(none).toMatchObject({ code: 0, out: '' });
  expect(none.err).toMatch(/No base models were found\. Looked in:\n {2}.*cache-1\n[\s\S]*models pull ID/);

  const pulled = await call('models', 'pull', id, ...home());
  expect(pulled).toMatchObject({ code: 0, out: `${tiny.snapshot}\n` });
  expect(pulled.err).toMatch(/^org\/tiny at [0-9a-f]{7}: \d+ files, 5\.0 MB\n/);
  expect(pulled.err).toContain(`Licence: creativeml-openrail-m; see ${tiny.hub.url}/${id}\n`);
  expect(pulled.err).toMatch(/Fetching 5\.0 MB of 5\.0 MB\n/);
  expect(pulled.err).toMatch(/SD 1, float32\. Next: dreambooth personalize .* --base org\/tiny\n$/);

  const listed = await call('models', 'list', ...home());
  expect(listed.out).toMatch(/^org\/tiny {2}SD 1 +diffusers +float32 +4\.9 MB {2}Hugging Face cache\n$/);
  const [row] = events((await call('models', '--json', ...home())).out);
  expect(row).toMatchObject({
    id,
    family: 'SD 1',
    layout: 'diffusers',
    state: 'usable',
    path: tiny.snapshot,
  });
  expect((await call('doctor', '--base', id, ...home())).out).toMatch(
    /\nmodels +1 found \(dreambooth models lists them\)/,
  );
});

test('what cannot be used is kept back until it is asked for, what is broken is not', async () => {
  const folder = join(tiny.root, 'others');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'old.ckpt'), '');
  writeFileSync(join(folder, 'cut.safetensors'), 'x');
  const listed = await call('models', '--in', folder, ...home());
  expect(listed.out).toMatch(/^\S+cut\.safetensors +broken: .* has 1 bytes; [^\n]*\n$/);
  expect(listed.err).toMatch(/1 more cannot be a base here: dreambooth models list --all says why/);
  const all = await call('models', 'list', '--in', folder, '--all', ...home());
  expect(all.out).toMatch(/old\.ckpt +unsupported: .*pickle/);
});

test('for programs: what began, bytes as they come, what is there and its licence', async () => {
  const { code, out, err } = await call('models', 'pull', id, '--json', ...home());
  const [first, ...rest] = events(out);
  const bytes = bytesOf(plain);
  expect({ code, err, first }).toEqual({ code: 0, err: '', first: { event: 'started', job: null } });
  expect(rest[0]).toMatchObject({ event: 'progress', phase: 'download', step: 0, steps: bytes });
  expect(rest.at(-2)).toMatchObject({ event: 'progress', step: bytes, secondsLeft: 0 });
  expect(rest.at(-1)).toMatchObject({
    event: 'done',
    files: [tiny.snapshot],
    id,
    licence: 'creativeml-openrail-m',
    bytes,
  });
});

test('an interrupt stops it, and says how to go on', async () => {
  tiny.hub.fault(/bytes\/unet/, { slow: 30 });
  let interrupt = () => {};
  const running = callIn(
    {
      onInterrupt(listener) {
        interrupt = listener;
        return () => {};
      },
    },
    'models',
    'pull',
    id,
    ...home(),
  );
  await vi.waitFor(() => expect(tiny.incomplete()).toHaveLength(1), 10_000);
  interrupt();
  const { code, err } = await running;
  expect(code).toBe(130);
  expect(err).toMatch(
    /What has arrived is kept\. Go on with: dreambooth models pull org\/tiny\nStopped\.\n$/,
  );
});

test('wrong use and refusals: exit codes, and what to do', async () => {
  expect(await call('models', 'pull', 'tiny')).toMatchObject({
    code: 2,
    err: expect.stringMatching(/organisation\/name/),
  });
  expect(await call('models', 'pull', id, '--variant', 'bf16')).toMatchObject({ code: 2 });
  expect(await call('models', 'pull', 'org/other')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/Error \(unknown-model\): There is no public model org\/other/),
  });
  const missing = await call('generate', 'a dog', '--base', 'org/other', ...home());
  expect(missing).toMatchObject({ code: 1, err: expect.stringMatching(/dreambooth models pull org\/other/) });
});
