import { UnsupportedLoraError } from '../errors';
import { float32ToHalf, toFloat32 } from '../half';
import { float32, type Tensor } from '../tensor';

/** The LoRA of one layer: ΔW = (alpha / rank) · up · down. */
export interface LoraMatrices {
  /** A: `[rank, in]`, or `[rank, in, kernel, kernel]` for a convolution. */
  readonly down: Tensor<'float32'>;
  /** B: `[out, rank]`, or `[out, rank, 1, 1]`. */
  readonly up: Tensor<'float32'>;
  readonly alpha: number;
}

/**
 * A LoRA by the names of the layers it attaches to: component and module path as diffusers has them, such as
 * `unet.mid_block.attentions.0.proj_in` or `text_encoder.text_model.encoder.layers.0.mlp.fc1`.
 */
export type LoraLayers = ReadonlyMap<string, LoraMatrices>;

/** How files name a component's layers. kohya's prefix for a text encoder depends on whether there is a second. */
const components = {
  unet: { kohya: 'lora_unet', suffix: 'lora' },
  text_encoder: { kohya: 'lora_te', kohyaBesideSecond: 'lora_te1', suffix: 'lora_linear_layer' },
  text_encoder_2: { kohya: 'lora_te2', suffix: 'lora_linear_layer' },
} as const;
type ComponentName = keyof typeof components;
/** The components of a model whose layers a LoRA file can name. */
export const loraComponents = Object.keys(components) as ComponentName[];

type Part = 'down' | 'up' | 'alpha';

/** The ends of keys, of all spellings, and which part of a layer each is. */
const partOfEnding: readonly (readonly [ending: RegExp, part: Part])[] = [
  [/\.lora_down\.weight$/, 'down'],
  [/\.lora_up\.weight$/, 'up'],
  [/\.lora\.down\.weight$/, 'down'],
  [/\.lora\.up\.weight$/, 'up'],
  [/\.lora_linear_layer\.down\.weight$/, 'down'],
  [/\.lora_linear_layer\.up\.weight$/, 'up'],
  [/\.lora_A(\.\w+)?\.weight$/, 'down'],
  [/\.lora_B(\.\w+)?\.weight$/, 'up'],
  [/_lora\.down\.weight$/, 'down'],
  [/_lora\.up\.weight$/, 'up'],
  [/\.alpha$/, 'alpha'],
];

/** Module paths of other ages and writers, as they are now; applied in order. */
const pathRenames: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/^base_model\.model\./, ''],
  // Files of the attention processors' days had the UNet only, and often no prefix.
  [/^(down_blocks|mid_block|up_blocks)\./, 'unet.$1.'],
  [/\.processor\.to_(q|k|v)$/, '.to_$1'],
  [/\.processor\.to_out$/, '.to_out.0'],
  [/^(text_encoder(?:_2)?)\.(?!text_model\.)/, '$1.text_model.'],
];

/** Kinds of file that are no plain LoRA, by what their keys contain. */
const otherKinds: readonly (readonly [pattern: RegExp, name: string])[] = [
  [/dora_scale|lora_magnitude_vector/, 'DoRA'],
  [/\bhada_/, 'LoHa'],
  [/\blokr_/, 'LoKr'],
  [/\boft_|oft_blocks/, 'OFT'],
  [/\.lora_mid\./, 'LoCon with a middle matrix (Tucker)'],
  [/\.on_input$/, '(IA)³'],
  [/\.diff(_b)?$/, 'a full difference of weights'],
  [/^bundle_emb/, 'a LoRA with textual-inversion embeddings'],
];

export interface LoraFileOptions {
  /** Element type of the written tensors; default float32. */
  readonly dtype?: 'float32' | 'float16';
}

/** The tensors of a kohya file, which every program that knows LoRA reads. `alpha` is a scalar beside each pair. */
export function toKohya(
  layers: LoraLayers,
  { dtype = 'float32' }: LoraFileOptions = {},
): Map<string, Tensor> {
  const besideSecond = [...layers.keys()].some((name) => componentOf(name) === 'text_encoder_2');
  const tensors = new Map<string, Tensor>();
  for (const [name, { down, up, alpha }] of layers) {
    const flat = kohyaName(name, besideSecond);
    tensors.set(`${flat}.alpha`, withType(float32([], [alpha]), dtype));
    tensors.set(`${flat}.lora_down.weight`, withType(down, dtype));
    tensors.set(`${flat}.lora_up.weight`, withType(up, dtype));
  }
  return tensors;
}

/**
 * The tensors of a diffusers file (`pytorch_lora_weights.safetensors`). This naming has no alpha and readers take
 * it to be the rank, so where it differs `up` is multiplied by alpha / rank.
 */
export function toDiffusers(
  layers: LoraLayers,
  { dtype = 'float32' }: LoraFileOptions = {},
): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
  for (const [name, { down, up, alpha }] of layers) {
    const { suffix } = components[componentOf(name)];
    const scale = alpha / down.shape[0]!;
    const scaled =
      scale === 1
        ? up
        : float32(
            up.shape,
            up.data.map((value) => value * scale),
          );
    tensors.set(`${name}.${suffix}.down.weight`, withType(down, dtype));
    tensors.set(`${name}.${suffix}.up.weight`, withType(scaled, dtype));
  }
  return tensors;
}

/**
 * Reads the tensors of a LoRA file in any of its namings: kohya's, diffusers' (today's and that of attention
 * processors) and PEFT's. `modulePaths` are the names of all layers of the model, with their component, as in
 * `LoraLayers`: kohya's names do not say where a dot was. `metadata` is the file's; diffusers may keep alpha there.
 * Throws UnsupportedLoraError for another kind of file (DoRA, LoHa, LoKr…, by name), for layers that the model
 * does not have, and for halves that are missing or do not fit.
 */
export function fromFile(
  tensors: ReadonlyMap<string, Tensor>,
  modulePaths: Iterable<string>,
  metadata: Readonly<Record<string, string>> = {},
): LoraLayers {
  refuseOtherKinds(tensors.keys());
  const settings = adapterSettings(metadata);
  const resolve = moduleResolver(modulePaths);
  const unknown: string[] = [];
  const parts = new Map<string, Partial<Record<Part, Tensor>>>();
  for (const [key, tensor] of tensors) {
    const [path, part] = splitKey(key);
    const name = path && resolve(path);
    if (!name || !part) {
      unknown.push(key);
      continue;
    }
    parts.set(name, { ...parts.get(name), [part]: tensor });
  }
  if (unknown.length > 0 || parts.size === 0) throw unknownKeys(unknown, tensors.size);
  return new Map([...parts].map(([name, found]) => [name, matricesOf(name, found, settings)]));
}

/** The kohya name of a layer: its component's prefix, then its path with `_` for every dot. */
function kohyaName(name: string, besideSecond: boolean): string {
  const component = componentOf(name);
  const names = components[component];
  const prefix = besideSecond && 'kohyaBesideSecond' in names ? names.kohyaBesideSecond : names.kohya;
  return `${prefix}_${name.slice(component.length + 1).replaceAll('.', '_')}`;
}

function componentOf(name: string): ComponentName {
  const component = loraComponents.find((candidate) => name.startsWith(`${candidate}.`));
  if (component === undefined) {
    throw new RangeError(
      `A LoRA layer's name starts with ${loraComponents.join('., ')}., not ${JSON.stringify(name)}.`,
    );
  }
  return component;
}

function withType(tensor: Tensor<'float32'>, dtype: 'float32' | 'float16'): Tensor {
  return dtype === 'float32' ? tensor : { dtype, shape: tensor.shape, data: float32ToHalf(tensor.data) };
}

function refuseOtherKinds(keys: Iterable<string>): void {
  for (const key of keys) {
    const kind = otherKinds.find(([pattern]) => pattern.test(key))?.[1];
    if (kind !== undefined) {
      throw new UnsupportedLoraError(
        `This file is ${kind} (it holds ${key}), which is not supported; plain LoRA is. Train or export it as LoRA.`,
      );
    }
  }
}

function splitKey(key: string): [path: string, part: Part] | [] {
  for (const [ending, part] of partOfEnding) {
    if (!ending.test(key)) continue;
    return [
      pathRenames.reduce((path, [pattern, to]) => path.replace(pattern, to), key.replace(ending, '')),
      part,
    ];
  }
  return [];
}

/** From a path as a file has it, dotted or kohya's, to the name of a layer of the model. */
function moduleResolver(modulePaths: Iterable<string>): (path: string) => string | undefined {
  const known = new Map<string, string>();
  for (const name of modulePaths) {
    known.set(name, name);
    for (const besideSecond of [false, true]) {
      const flat = kohyaName(name, besideSecond);
      known.set(flat, name);
      // Some writers lost the first word of a text encoder's paths.
      known.set(flat.replace(/^(lora_te\d?)_text_model_/, '$1_'), name);
    }
  }
  return (path) => known.get(path);
}

function unknownKeys(unknown: readonly string[], count: number): UnsupportedLoraError {
  const some = unknown.slice(0, 3).join(', ');
  return new UnsupportedLoraError(
    count === 0
      ? 'The LoRA file has no tensors.'
      : `${unknown.length} of the ${count} keys of the LoRA file name no layer of this base model (${some}${unknown.length > 3 ? ', …' : ''}): it was made for another model, or is no LoRA.`,
  );
}

interface AdapterSettings {
  alphaOf(name: string): number | undefined;
}

/** PEFT's settings, which diffusers may write into the metadata as JSON, by component. */
function adapterSettings(metadata: Readonly<Record<string, string>>): AdapterSettings {
  const text = metadata['lora_adapter_metadata'];
  if (text === undefined) return { alphaOf: () => undefined };
  const settings = parseSettings(text);
  for (const component of loraComponents) {
    if (settings[`${component}.use_dora`] === true) refuseOtherKinds(['lora_magnitude_vector']);
  }
  return {
    alphaOf(name) {
      const component = componentOf(name);
      const pattern = settings[`${component}.alpha_pattern`];
      const special = Object.entries(typeof pattern === 'object' && pattern !== null ? pattern : {}).find(
        ([module]) => name === module || name.endsWith(`.${module}`),
      )?.[1];
      const alpha: unknown = special ?? settings[`${component}.lora_alpha`];
      return typeof alpha === 'number' ? alpha : undefined;
    },
  };
}

function parseSettings(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) ?? {};
  } catch (cause) {
    throw new UnsupportedLoraError(
      'The LoRA file keeps settings in lora_adapter_metadata that are not valid JSON.',
      {
        cause,
      },
    );
  }
}

function matricesOf(
  name: string,
  { down, up, alpha }: Partial<Record<Part, Tensor>>,
  settings: AdapterSettings,
): LoraMatrices {
  if (down === undefined || up === undefined) {
    throw new UnsupportedLoraError(
      `The LoRA of ${name} lacks its ${down === undefined ? 'down' : 'up'} matrix.`,
    );
  }
  const rank = down.shape[0];
  if (rank === undefined || rank !== up.shape[1] || down.shape.length !== up.shape.length) {
    throw new UnsupportedLoraError(
      `The LoRA of ${name} has matrices of [${down.shape}] and [${up.shape}]: their ranks differ.`,
    );
  }
  return {
    down: float32(down.shape, toFloat32(down)),
    up: float32(up.shape, toFloat32(up)),
    alpha: alpha === undefined ? (settings.alphaOf(name) ?? rank) : toFloat32(alpha)[0]!,
  };
}
