import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openSafetensors, readFloat32, readTensor, writeSafetensors } from '../../sdk/checkpoint/safetensors';
import { BrokenFileError, DiskFullError, MissingFileError, UnsupportedModelError } from '../../sdk/errors';
import { float32, type Tensor } from '../../sdk/tensor';

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return { ...fs, writeSync: vi.fn(fs.writeSync) };
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'safetensors-'));
});
afterEach(() => {
  vi.mocked(writeSync).mockClear();
  rmSync(folder, { recursive: true });
});

const fileOf = (header: unknown, data: Uint8Array = new Uint8Array(0)): string => {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const path = join(folder, 'made.safetensors');
  writeFileSync(path, Buffer.concat([length, json, data]));
  return path;
};

test('what is written is read back: every element type, scalars, empty tensors, metadata', () => {
  const path = join(folder, 'all.safetensors');
  const tensors = new Map<string, Tensor>([
    ['bytes', { dtype: 'uint8', shape: [3], data: Uint8Array.of(1, 2, 255) }],
    ['flags', { dtype: 'bool', shape: [1], data: Uint8Array.of(1) }],
    ['half', { dtype: 'float16', shape: [2], data: Uint16Array.of(0x3c00, 0xc000) }],
    ['brain', { dtype: 'bfloat16', shape: [2], data: Uint16Array.of(0x3f80, 0xc000) }],
    ['single', float32([2, 2], [1, -2.5, 3e-40, 4])],
    ['double', { dtype: 'float64', shape: [], data: Float64Array.of(0.1) }],
    ['long', { dtype: 'int64', shape: [2], data: BigInt64Array.of(-1n, 2n ** 60n) }],
    ['int', { dtype: 'int32', shape: [1, 1], data: Int32Array.of(-7) }],
    ['none', float32([0, 4], [])],
  ]);
  writeSafetensors(path, tensors, { format: 'pt', note: 'ünïcode' });

  const { metadata, tensors: stored } = openSafetensors(path);
  expect(metadata).toEqual({ format: 'pt', note: 'ünïcode' });
  expect(new Set(stored.keys())).toEqual(new Set(tensors.keys()));
  for (const [name, tensor] of tensors) {
    expect(readTensor(stored.get(name)!), name).toEqual(tensor);
    expect(stored.get(name)!.offset % tensor.data.BYTES_PER_ELEMENT, `${name} is aligned`).toBe(0);
  }
  expect(readFloat32(stored.get('half')!)).toEqual(Float32Array.of(1, -2));
  expect(readFloat32(stored.get('brain')!)).toEqual(Float32Array.of(1, -2));
  expect(readFloat32(stored.get('double')!)).toEqual(Float32Array.of(0.1));
  expect(readFloat32(stored.get('long')!)[0]).toBe(-1);
});

test('a tensor points into the file behind a symbolic link', () => {
  const path = join(folder, 'blob');
  writeSafetensors(path, [['a', float32([1], [7])]]);
  symlinkSync('blob', join(folder, 'model.safetensors'));
  const stored = openSafetensors(join(folder, 'model.safetensors')).tensors.get('a')!;
  expect(stored.file).toBe(realpathSync(path));
  expect(readFileSync(stored.file).readFloatLE(stored.offset)).toBe(7);
});

describe('a file that is not whole says what was found and wanted', () => {
  const entry = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  const bytes = new Uint8Array(8);

  const refused = (
    path: string,
    message: RegExp,
    type: abstract new (...given: never[]) => Error = BrokenFileError,
  ) => {
    expect(() => openSafetensors(path)).toThrow(type);
    expect(() => openSafetensors(path)).toThrow(message);
  };

  test('a folder', () => refused(folder, /is a folder/));
  test('missing', () => refused(join(folder, 'nowhere.safetensors'), /no file .*nowhere/, MissingFileError));
  test('0 bytes', () => {
    writeFileSync(join(folder, 'empty'), '');
    refused(join(folder, 'empty'), /empty has 0 bytes.*at least 8/);
  });
  test('another kind of file', () => {
    writeFileSync(join(folder, 'page'), '<!DOCTYPE html><html></html>');
    refused(join(folder, 'page'), /page is not a \.safetensors file/);
  });
  test.each([
    [
      'a Git LFS pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
      /git lfs pull/,
      BrokenFileError,
    ],
    ['a web page', '<!DOCTYPE html><html>', /a web page/, BrokenFileError],
    ['a JSON text', '{ "error": "gated" }', /a JSON text/, BrokenFileError],
    ['GGUF', 'GGUF\u0003\0\0\0\0\0', /a GGUF file/, UnsupportedModelError],
    [
      'a zip',
      'PK\u0003\u0004\0\0\u0008\u0008\0\0',
      /zip archive.*pickle.*\.safetensors/,
      UnsupportedModelError,
    ],
    ['a pickle', Buffer.from('80028a0a6cfc9c46f920', 'hex'), /Python pickle/, UnsupportedModelError],
  ])('%s under the name', (_, bytes, message, type) => {
    const path = join(folder, 'foreign.safetensors');
    writeFileSync(path, bytes);
    refused(path, message, type);
  });
  test('a tensor that is twice in the header', () => {
    const entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
    const json = `{"__metadata__":{"a":"\\"b\\": {"},"a":${entry},"b":${entry.replace('[0,4]', '[4,8]')},"a":${entry}}`;
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(BigInt(json.length));
    const path = join(folder, 'twice.safetensors');
    writeFileSync(path, Buffer.concat([head, Buffer.from(json), Buffer.alloc(8)]));
    refused(path, /Tensor a is twice in the header/);
  });
  test('a header beyond the end', () => {
    writeFileSync(join(folder, 'short'), Uint8Array.of(100, 0, 0, 0, 0, 0, 0, 0, 0x7b));
    refused(join(folder, 'short'), /9 bytes found, 108 wanted/);
  });
  test('a header that is no JSON object', () => {
    const picture = join(folder, 'picture');
    writeFileSync(picture, Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'));
    refused(picture, /picture is not a \.safetensors file but a picture/);
    refused(fileOf('nonsense'), /header is not a JSON object/);
    refused(fileOf([1]), /header is not a JSON object/);
  });
  test('data cut short', () => {
    const path = fileOf({ weight: entry }, bytes.subarray(0, 5));
    const size = readFileSync(path).length;
    refused(path, new RegExp(`cut short: tensor weight needs bytes up to ${size + 3}.* ${size} found`));
  });
  test('bytes left over', () =>
    refused(fileOf({ weight: entry }, new Uint8Array(9)), /but its tensors end at/));
  test('a length that is not the shape’s', () => {
    refused(
      fileOf({ w: { ...entry, shape: [3] } }, bytes),
      /Tensor w .*: 8 bytes found, 12 wanted for float32 \[3\]/,
    );
  });
  test('overlapping tensors', () =>
    refused(fileOf({ a: entry, b: entry }, bytes), /Tensor b .* starts at byte/));
  test('a gap', () => {
    refused(
      fileOf({ a: { ...entry, data_offsets: [4, 12] } }, new Uint8Array(12)),
      /Tensor a .* starts at byte/,
    );
  });
  test('an unknown type', () => {
    refused(
      fileOf({ w: { ...entry, dtype: 'F8_E4M3' } }, bytes),
      /Tensor w .* F8_E4M3 is not one of F32, F16/,
    );
  });
  test('nonsense entries', () => {
    refused(fileOf({ w: 3 }), /Tensor w .* not an object/);
    refused(fileOf({ w: { ...entry, shape: [-2] } }, bytes), /shape \[-2\] is not/);
    refused(fileOf({ w: { ...entry, data_offsets: [8, 0] } }, bytes), /not a range of bytes/);
  });
});

test('a file that shrank after it was opened', () => {
  const path = fileOf({ w: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } }, new Uint8Array(8));
  const stored = openSafetensors(path).tensors.get('w')!;
  writeFileSync(path, readFileSync(path).subarray(0, -2));
  expect(() => readTensor(stored)).toThrow(/ends at byte/);
});

describe('a tensor that is made when its turn comes', () => {
  test('is written like one that is there, and made once', () => {
    const path = join(folder, 'made.safetensors');
    let made = 0;
    const make = () => {
      made += 1;
      return Float32Array.of(1, 2, 3);
    };
    writeSafetensors(path, [
      ['late', { dtype: 'float32', shape: [3], make }],
      ['early', float32([1], [7])],
    ]);
    expect(made).toBe(1);
    const { tensors } = openSafetensors(path);
    expect([...readFloat32(tensors.get('late')!)]).toEqual([1, 2, 3]);
    expect([...readFloat32(tensors.get('early')!)]).toEqual([7]);
  });

  test('of another length than its shape leaves the old file', () => {
    const path = join(folder, 'wrong.safetensors');
    writeSafetensors(path, [['a', float32([1], [5])]]);
    const wrong = { dtype: 'float32', shape: [2], make: () => Float32Array.of(1) } as const;
    expect(() => writeSafetensors(path, [['a', wrong]])).toThrow(/a has 1 elements.*wants 2/);
    expect([...readFloat32(openSafetensors(path).tensors.get('a')!)]).toEqual([5]);
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  });
});

describe('writing is all or nothing', () => {
  test('a full disk leaves the old file and nothing else', () => {
    const path = join(folder, 'model.safetensors');
    writeSafetensors(path, [['a', float32([1], [1])]]);
    const before = readFileSync(path);
    vi.mocked(writeSync).mockImplementationOnce(() => {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    });
    expect(() => writeSafetensors(path, [['a', float32([1], [2])]])).toThrow(DiskFullError);
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  test('a tensor of another size than its shape is refused before anything is written', () => {
    const path = join(folder, 'model.safetensors');
    expect(() => writeSafetensors(path, [['a', float32([2], [1])]])).toThrow(/a has 1 elements.*wants 2/);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('writes that the system cuts into pieces are finished', () => {
    const path = join(folder, 'model.safetensors');
    const real = vi.mocked(writeSync).getMockImplementation() as (...call: unknown[]) => number;
    vi.mocked(writeSync).mockImplementationOnce((file, bytes, start) => real(file, bytes, start, 5));
    writeSafetensors(path, [['a', float32([2], [3, 4])]]);
    expect(readFloat32(openSafetensors(path).tensors.get('a')!)).toEqual(Float32Array.of(3, 4));
  });
});
