/** A model that somebody else wrote, as an ONNX file: one picture input, one output. */
import { existsSync } from 'node:fs';
import * as ort from 'onnxruntime-node';
import { InvalidOptionError, MissingFileError, UnsupportedModelError } from '../errors';

export interface OnnxFile {
  /** The sides of a picture that it takes; null where any are. */
  readonly height: number | null;
  readonly width: number | null;
  /**
   * Planes of a picture [3, height, width], to its row of numbers. Rejects with InvalidOptionError for other sides, and
   * UnsupportedModelError where what comes out is no such row.
   */
  run(planes: Float32Array, height: number, width: number): Promise<Float32Array>;
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
  const output = embeddings.find((name) => session.outputNames.includes(name)) ?? session.outputNames[0]!;
  const { height, width } = pictureSides(session, output, path);
  return {
    height,
    width,
    async run(planes, rows, columns) {
      if ((height ?? rows) !== rows || (width ?? columns) !== columns)
        throw new InvalidOptionError(
          'encoder',
          `${path} takes pictures of ${width ?? 'any'} × ${height ?? 'any'} pixels, and this one has ${columns} × ${rows}: give pictures of its size, or an encoder exported for any.`,
        );
      const tensor = new ort.Tensor('float32', planes, [1, 3, rows, columns]);
      const results = await session
        .run({ [session.inputNames[0]!]: tensor }, [output])
        .catch((cause: unknown) => {
          throw new UnsupportedModelError(
            `${path} does not run on a picture of ${columns} × ${rows} pixels (${(cause as Error).message.split('\n')[0]}): export it for pictures of that size.`,
            { cause },
          );
        });
      const { data, dims } = results[output]!;
      const length = dims.at(-1);
      if (dims[0] !== 1 || (dims.length !== 2 && dims.length !== 3) || length === undefined)
        throw new UnsupportedModelError(
          `${path} gives ${output} of [${dims.join(', ')}], not an embedding of [1, numbers] or [1, tokens, numbers]: export the network up to one, by the name of ${embeddings.join(' or ')}.`,
        );
      // Of tokens the first stands for the picture.
      return (data as Float32Array).slice(0, length);
    },
    release: () => session.release(),
  };
}

/** Height and width of the one picture that a model takes, null where any. Throws UnsupportedModelError for another. */
function pictureSides(session: ort.InferenceSession, output: string, path: string) {
  const { inputMetadata: inputs } = session;
  const [input] = inputs;
  const found = inputs.map((one) =>
    one.isTensor ? `${one.name} of ${one.type} [${one.shape.join(', ')}]` : one.name,
  );
  const wanted = 'one input of float32 [1, 3, height, width]';
  const refuse = (what: string): never => {
    throw new UnsupportedModelError(
      `${path} ${what}: export the network that looks at pictures alone, in float32.`,
    );
  };
  if (inputs.length !== 1 || !input?.isTensor || input.type !== 'float32' || input.shape.length !== 4)
    return refuse(`takes ${found.join(' and ')}, not ${wanted}`);
  // A side of any length has a name.
  const sizes = input.shape.map((size) => (Number(size) > 0 ? Number(size) : null));
  const [count = null, channels = null, height = null, width = null] = sizes;
  if ((count ?? 1) !== 1 || (channels ?? 3) !== 3) return refuse(`takes ${found[0]}, not ${wanted}`);
  const gives = session.outputMetadata.find(({ name }) => name === output);
  if (!gives?.isTensor || gives.type !== 'float32')
    return refuse(`gives ${output} as ${gives?.isTensor ? gives.type : 'no tensor'}, not as float32`);
  return { height, width };
}
