/** A network is another one by its weights, and where its pictures are prepared otherwise: measures of the first are not those of the second. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { networkFingerprint } from '../../sdk/checkpoint/fingerprint';

const folder = mkdtempSync(join(tmpdir(), 'network-fingerprint-'));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ['an ONNX file', 'a/model.onnx', 'a'],
  ['an ONNX file in a folder of its own', 'b/onnx/model.onnx', 'b'],
  ['a file of weights', 'c/model.safetensors', 'c'],
  ['a folder', 'd/model.safetensors', 'd'],
])('%s and the preprocessor_config.json that holds for it', (what, file, beside) => {
  const network = join(folder, file);
  mkdirSync(dirname(network), { recursive: true });
  writeFileSync(network, 'weights');
  const path = what === 'a folder' ? dirname(network) : network;
  const bare = networkFingerprint(path);
  const preprocessor = join(folder, beside, 'preprocessor_config.json');
  writeFileSync(preprocessor, '{"image_mean": [0.5, 0.5, 0.5]}');
  const first = networkFingerprint(path);
  expect(first).not.toBe(bare);
  writeFileSync(preprocessor, '{"image_mean": [0.4, 0.4, 0.4]}');
  expect(networkFingerprint(path)).not.toBe(first);
  rmSync(preprocessor);
  expect(networkFingerprint(path)).toBe(bare);
});

test.each(['model.onnx.data', 'model.onnx_data'])('a large ONNX model keeps its weights in %s', (name) => {
  const network = join(folder, name, 'model.onnx');
  mkdirSync(dirname(network));
  writeFileSync(network, 'graph');
  const weights = join(folder, name, name);
  writeFileSync(weights, 'of one');
  const first = networkFingerprint(network);
  writeFileSync(weights, 'of two');
  expect(networkFingerprint(network)).not.toBe(first);
});
