/**
 * Work that learns and draws nothing but behaves, as the class name or prompt says: "slow" heeds a stop and
 * checkpoints, "careful" is as slow and checkpoints at every step, "stuck" never listens, "crash" ends its process, "diverge" fails. Steps take 5 ms ("slow": 30).
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let loads = 0;

export async function runPersonalization(job, context) {
  const { folder, onProgress, onWarning, signal } = context;
  const steps = job.settings.steps ?? 10;
  const checkpoint = join(folder, 'checkpoint.json');
  const first = existsSync(checkpoint) ? JSON.parse(readFileSync(checkpoint, 'utf8')).step : 0;
  for (const { file, name } of job.photos) {
    if (readFileSync(file).length === 0) throw fail('UnreadableImageError', 'unreadable-image', `${name} is empty`, { image: name });
  }
  onProgress({ phase: 'train', step: first, steps });
  if (job.className === 'warned') onWarning('a warning of the work');
  for (let step = first + 1; step <= steps; step++) {
    await wait(['slow', 'careful'].includes(job.className) ? 30 : 5);
    if (job.className === 'careful') writeFileSync(checkpoint, JSON.stringify({ step: step - 1 }));
    if (job.className === 'stuck') for (;;);
    if (job.className === 'diverge') throw fail('TrainingDivergedError', 'training-diverged', 'the loss is NaN', { step });
    if (step === 3 && first === 0 && job.className === 'crash') {
      writeFileSync(checkpoint, JSON.stringify({ step: 2 }));
      process.stderr.write('std::bad_alloc\n');
      process.kill(process.pid, 'SIGABRT');
      await wait(10_000);
    }
    if (signal.aborted) {
      writeFileSync(checkpoint, JSON.stringify({ step: step - 1 }));
      signal.throwIfAborted();
    }
    onProgress({ phase: 'train', step, steps, loss: 1 / step, imagesPerStep: 2 });
  }
  const draft = join(folder, 'draft');
  mkdirSync(draft, { recursive: true });
  writeFileSync(join(draft, 'lora.safetensors'), `resumed from ${first}`);
  const identifier = job.identifier ?? 'olis';
  return {
    folder: draft,
    kind: 'lora',
    identifier,
    instancePrompt: `a photo of ${identifier} ${job.className}`,
    baseFingerprint: job.basePath,
    settings: { steps, rank: 4 },
    steps,
  };
}

export async function runGeneration(request, { onProgress, onPicture, signal, loadedModels }) {
  await loadedModels.get(request.basePath, async () => {
    loads++;
    return { release: async () => {} };
  });
  const steps = request.steps ?? 4;
  const pictureOf = (seed) => ({
    png: new TextEncoder().encode(`${request.text} ${seed}`),
    width: request.width ?? 64,
    height: request.height ?? 64,
    seed,
    prompt: request.prompt,
    settings: { steps, scheduler: request.scheduler, loads, process: process.pid },
  });
  if (request.prompt.includes('one after another')) {
    const made = [];
    for (const seed of request.seeds) {
      signal.throwIfAborted();
      made.push(pictureOf(seed));
      onPicture(made.at(-1));
      await wait(30);
    }
    return made;
  }
  for (let step = 0; step <= steps; step++) {
    if (request.prompt.includes('crash')) process.kill(process.pid, 'SIGKILL');
    if (request.prompt.includes('block')) {
      const end = Date.now() + 150;
      while (Date.now() < end);
    }
    await wait(request.prompt.includes('slow') ? 30 : 1);
    signal.throwIfAborted();
    onProgress({ phase: 'sample', step, steps });
  }
  for (const seed of request.seeds) onPicture(pictureOf(seed));
  return request.seeds.map(pictureOf);
}

function fail(name, code, message, fields) {
  return Object.assign(new Error(message), { name, code, ...fields });
}
