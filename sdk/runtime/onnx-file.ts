/** A model that somebody else wrote, as an ONNX file: one picture input, one output. */
import { existsSync } from 'node:fs';
import * as ort from 'onnxruntime-node';
import { InvalidOptionError, MissingFileError, UnsupportedModelError } from '../errors';

export interface OnnxFile {
  /** The sides of a picture that it takes; null where any are. */
  readonly side: number | null;
  /** Planes of pictures [N, 3, side, side], to a row of numbers each. */
  run(planes: Float32Array, count: number, side: number): Promise<Float32Array[]>;
  release(): Promise<void>;
}

/** Outputs that are a picture's embedding, by the names that exporters give them; else the first. */
const embeddings = ['image_embeds', 'embedding', 'last_hidden_state'];

/** Throws MissingFileError, UnsupportedModelError for what is no such model. */
export async function openOnnxFile(path: string, threads: number | null): Promise<OnnxFile> {
  if (!existsSync(path))
    throw new MissingFileError(path, `There is no encoder at ${path}: give an ONNX file or a folder.`);
  const session = await ort.InferenceSession.create(path, {
    logSeverityLevel: 3,
    ...(threads === null ? {} : { intraOpNumThreads: threads }),
  }).catch((cause: unknown) => {
    throw new UnsupportedModelError(
      `${path} is no ONNX model that onnxruntime can load (${(cause as Error).message.split('\n')[0]}): export it again.`,
      { cause },
    );
  });
  const input = session.inputNames.includes('pixel_values') ? 'pixel_values' : session.inputNames[0]!;
  const output = embeddings.find((name) => session.outputNames.includes(name)) ?? session.outputNames[0]!;
  const described = session.inputMetadata.find(({ name }) => name === input);
  const shape = described?.isTensor ? described.shape : [];
  const side = typeof shape[2] === 'number' && shape[2] > 0 ? shape[2] : null;
  return {
    side,
    async run(planes, count, size) {
      if (side !== null && side !== size)
        throw new InvalidOptionError(
          'encoder',
          `${path} takes pictures of ${side} × ${side} pixels, and they are prepared as ${size} × ${size}: give an encoder of the published size, or a preprocessor_config.json beside it.`,
        );
      const tensor = new ort.Tensor('float32', planes, [count, 3, size, size]);
      const result = (await session.run({ [input]: tensor }, [output]))[output]!;
      const length = result.dims.at(-1)!;
      const each = result.data.length / count;
      // Of tokens the first stands for the picture.
      return Array.from({ length: count }, (_, n) =>
        Float32Array.from((result.data as Float32Array).subarray(n * each, n * each + length)),
      );
    },
    release: () => session.release(),
  };
}
