/** What a base holds, against what its configs ask for. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSafetensors, readTensor, writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { reportBase } from '../../sdk/library/base-report';
import { float32, type Tensor } from '../../sdk/tensor';

const golden = join(import.meta.dirname, '../../fixtures/golden');

test.each([
  ['sd15-tiny', 'SD 1', 'epsilon', ['text_model.embeddings.position_ids']],
  ['sd21-tiny', 'SD 2', 'v_prediction', []],
  ['sdxl-tiny', 'SDXL', 'epsilon', []],
])('%s: every key once, and which are left over', (name, family, predictionType, leftOver) => {
  const report = reportBase(join(golden, name));
  expect(report).toMatchObject({ family, layout: 'diffusers', predictionType, leftOver, readTwice: [] });
  for (const { missing, misshapen, parameters, tensors, precisions } of report.components) {
    expect([missing, misshapen]).toEqual([[], []]);
    expect(parameters).toBeGreaterThan(tensors);
    expect(precisions).toEqual({ float32: tensors });
  }
});

test('a weight that is missing, one of another shape, and what nothing reads', () => {
  const folder = mkdtempSync(join(tmpdir(), 'base-report-'));
  cpSync(join(golden, 'sd21-tiny'), folder, { recursive: true });
  const file = join(folder, 'unet/diffusion_pytorch_model.safetensors');
  const tensors = new Map<string, Tensor>(
    [...openSafetensors(file).tensors].map(([key, stored]) => [key, readTensor(stored)]),
  );
  tensors.delete('conv_in.weight');
  tensors.set('conv_out.bias', float32([5], new Float32Array(5)));
  tensors.set('ema.decay', float32([1], Float32Array.of(1)));
  writeSafetensors(file, tensors);
  const report = reportBase(folder);
  expect(report.components.find(({ name }) => name === 'unet')).toMatchObject({
    missing: ['conv_in.weight'],
    misshapen: ['conv_out.bias [5], not [4]'],
  });
  expect(report.leftOver).toEqual(['ema.decay']);
  rmSync(folder, { recursive: true });
});
