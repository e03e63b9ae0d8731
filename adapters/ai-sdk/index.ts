/** An image model for the AI SDK (`generateImage` of the package `ai`, 6 or later). */
import { DreamBoothError, type Engine, type GenerateRequest, generate, schedulerNames } from 'dreambooth';
import { z } from 'zod';

export interface ImageModelOptions {
  /** Holds subjects and caches; default `$DREAMBOOTH_HOME`, then the platform's folder. Not with `engine`. */
  readonly home?: string;
  /** An engine of your own; default: the process behind `generate`. */
  readonly engine?: Engine | 'process' | 'in-process';
  /** Default: that of the subjects, else `toybox`. */
  readonly base?: string;
}

/** What `providerOptions: { dreambooth: … }` may say; the AI SDK hands it through. */
const providerOptions = z.strictObject({
  negativePrompt: z.string().optional(),
  steps: z.number().int().optional(),
  guidanceScale: z.number().optional(),
  scheduler: z.enum(schedulerNames).optional(),
  strength: z.number().optional(),
  batch: z.number().int().optional(),
});

interface File {
  readonly type: 'file' | 'url';
  readonly data?: string | Uint8Array;
  readonly url?: string;
}

/** The AI SDK's ImageModelV3, written out so that the types of this module need no other package. */
export interface DreamBoothImageModel {
  readonly specificationVersion: 'v3';
  readonly provider: 'dreambooth';
  readonly modelId: string;
  readonly maxImagesPerCall: number;
  doGenerate(options: {
    readonly prompt: string | undefined;
    readonly n: number;
    readonly size: `${number}x${number}` | undefined;
    readonly aspectRatio: `${number}:${number}` | undefined;
    readonly seed: number | undefined;
    readonly files: readonly File[] | undefined;
    readonly mask: File | undefined;
    readonly providerOptions: Readonly<Record<string, unknown>>;
    readonly abortSignal?: AbortSignal | undefined;
  }): Promise<{
    images: Uint8Array[];
    warnings: { type: 'unsupported'; feature: string; details?: string }[];
    providerMetadata: { dreambooth: { images: { seed: number; width: number; height: number }[] } };
    response: { timestamp: Date; modelId: string; headers: undefined };
  }>;
}

/**
 * The model that `subject` stands for: `dreamboothImageModel('rex')` draws prompts of @rex, also where they do not
 * mention it; without one, prompts mention whom they like. A photo to begin from is the first of the call's images; a
 * mask is white where to draw anew. Calls reject with DreamBoothError, which the AI SDK does not try again.
 */
export function dreamboothImageModel(
  subject?: string,
  options: ImageModelOptions = {},
): DreamBoothImageModel {
  const name = subject?.replace(/^@/, '');
  const modelId = name ?? 'dreambooth';
  return {
    specificationVersion: 'v3',
    provider: 'dreambooth',
    modelId,
    maxImagesPerCall: 8,
    async doGenerate({
      prompt,
      n,
      size,
      aspectRatio,
      seed,
      files,
      mask,
      providerOptions: given,
      abortSignal,
    }) {
      const own = providerOptions.safeParse(given['dreambooth'] ?? {});
      if (!own.success) {
        throw new DreamBoothError(
          'invalid-option',
          `providerOptions.dreambooth is not understood (${z.prettifyError(own.error)}): it may have ${Object.keys(providerOptions.shape).join(', ')}.`,
        );
      }
      const [width, height] = size?.split('x').map(Number) ?? [];
      const [image, ...others] = files ?? [];
      const request: Omit<GenerateRequest, 'prompt'> = JSON.parse(
        JSON.stringify({ ...own.data, width, height, seed }),
      );
      const images = await generate(mentioning(prompt ?? '', name), {
        ...request,
        count: n,
        ...(image === undefined ? {} : { image: bytesOf(image) }),
        ...(mask === undefined ? {} : { mask: bytesOf(mask) }),
        ...(options.base === undefined ? {} : { base: options.base }),
        ...(options.home === undefined ? {} : { home: options.home }),
        ...(options.engine === undefined ? {} : { engine: options.engine }),
        signal: abortSignal,
      });
      return {
        images: images.map(({ png }) => png),
        warnings: [
          ...(aspectRatio === undefined
            ? []
            : [{ type: 'unsupported' as const, feature: 'aspectRatio', details: 'give size, as 512x768' }]),
          ...(others.length === 0
            ? []
            : [{ type: 'unsupported' as const, feature: 'images', details: 'the first is used' }]),
        ],
        providerMetadata: {
          dreambooth: {
            images: images.map((one) => ({ seed: one.seed, width: one.width, height: one.height })),
          },
        },
        response: { timestamp: new Date(), modelId, headers: undefined },
      };
    },
  };
}

function mentioning(prompt: string, name: string | undefined): string {
  if (name === undefined || new RegExp(`@${name}(?![\\w-])`, 'i').test(prompt)) return prompt;
  return prompt.trim() === '' ? `a photo of @${name}` : `a photo of @${name}, ${prompt}`;
}

function bytesOf({ data, url }: File): Uint8Array {
  if (data instanceof Uint8Array) return data;
  if (data !== undefined) return Buffer.from(data, 'base64');
  throw new DreamBoothError(
    'invalid-option',
    `${url} is an address: nothing is fetched here. Give the picture's bytes.`,
  );
}
