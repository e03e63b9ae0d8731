/**
 * How single-file checkpoints (the original latent-diffusion code's, kohya's, what web interfaces use) name the modules
 * of diffusers' networks. Tables of pairs made from a config, so that they are read in either direction.
 */
import type { JsonObject } from './json-file';

/** A module's path in diffusers and in single files. */
export type ModulePair = readonly [diffusers: string, ldm: string];

/** The layers of a residual block; the others keep their names. */
const resnetLayers: readonly ModulePair[] = [
  ['norm1', 'in_layers.0'],
  ['conv1', 'in_layers.2'],
  ['time_emb_proj', 'emb_layers.1'],
  ['norm2', 'out_layers.0'],
  ['conv2', 'out_layers.3'],
  ['conv_shortcut', 'skip_connection'],
];

/** `config` is a UNet2DConditionModel's config.json. */
export function ldmUNetModules(config: JsonObject): ModulePair[] {
  const downTypes = config['down_block_types'] as readonly string[];
  const upTypes = config['up_block_types'] as readonly string[];
  const layers = (block: number): number => {
    const given = config['layers_per_block'] ?? 2;
    return Array.isArray(given) ? (given[block] as number) : (given as number);
  };
  const last = downTypes.length - 1;
  const pairs: ModulePair[] = [
    ['time_embedding.linear_1', 'time_embed.0'],
    ['time_embedding.linear_2', 'time_embed.2'],
    ['time_embedding.cond_proj', 'time_embed.cond_proj'],
    ['add_embedding.linear_1', 'label_emb.0.0'],
    ['add_embedding.linear_2', 'label_emb.0.2'],
    ['conv_in', 'input_blocks.0.0'],
    ['conv_norm_out', 'out.0'],
    ['conv_out', 'out.2'],
  ];
  const resnet = (diffusers: string, ldm: string) => {
    for (const [ours, theirs] of resnetLayers) pairs.push([`${diffusers}.${ours}`, `${ldm}.${theirs}`]);
  };

  let i = 1;
  downTypes.forEach((type, block) => {
    const at = `down_blocks.${block}`;
    for (let layer = 0; layer < layers(block); layer++, i++) {
      resnet(`${at}.resnets.${layer}`, `input_blocks.${i}.0`);
      if (attends(type)) pairs.push([`${at}.attentions.${layer}`, `input_blocks.${i}.1`]);
    }
    if (block < last) pairs.push([`${at}.downsamplers.0.conv`, `input_blocks.${i++}.0.op`]);
  });
  resnet('mid_block.resnets.0', 'middle_block.0');
  pairs.push(['mid_block.attentions.0', 'middle_block.1']);
  resnet('mid_block.resnets.1', 'middle_block.2');
  i = 0;
  upTypes.forEach((type, block) => {
    const at = `up_blocks.${block}`;
    const count = layers(last - block) + 1;
    for (let layer = 0; layer < count; layer++, i++) {
      resnet(`${at}.resnets.${layer}`, `output_blocks.${i}.0`);
      if (attends(type)) pairs.push([`${at}.attentions.${layer}`, `output_blocks.${i}.1`]);
      if (layer === count - 1 && block < last)
        pairs.push([`${at}.upsamplers.0.conv`, `output_blocks.${i}.${attends(type) ? 2 : 1}.conv`]);
    }
  });
  return pairs;
}

const attends = (blockType: string) => blockType.startsWith('CrossAttn');

/** What `ldmUNetModules` asks of a config, from the keys of a UNet in diffusers' names. */
export function unetBlocks(keys: Iterable<string>): JsonObject {
  const sides = { down: new Map<number, Set<string>>(), up: new Map<number, Set<string>>() };
  for (const key of keys) {
    const [, side, block, module] =
      /^(down|up)_blocks\.(\d+)\.((?:resnets|attentions)\.\d+)\./.exec(key) ?? [];
    if (side === undefined) continue;
    const blocks = sides[side as 'down' | 'up'];
    blocks.set(Number(block), (blocks.get(Number(block)) ?? new Set()).add(module!));
  }
  const ordered = (blocks: ReadonlyMap<number, Set<string>>) =>
    [...blocks].sort(([a], [b]) => a - b).map(([, modules]) => [...modules]);
  const type = (modules: readonly string[], rest: string) =>
    `${modules.some((module) => module.startsWith('attentions')) ? 'CrossAttn' : ''}${rest}`;
  const down = ordered(sides.down);
  return {
    down_block_types: down.map((modules) => type(modules, 'DownBlock2D')),
    up_block_types: ordered(sides.up).map((modules) => type(modules, 'UpBlock2D')),
    layers_per_block: down.map((modules) => modules.filter((module) => module.startsWith('resnets')).length),
  };
}

/** `config` is an AutoencoderKL's config.json. */
export function ldmAutoencoderModules(config: JsonObject): ModulePair[] {
  const blocks = (config['block_out_channels'] as readonly number[]).length;
  const layers = (config['layers_per_block'] as number | undefined) ?? 1;
  const pairs: ModulePair[] = [];
  for (const half of ['encoder', 'decoder']) {
    pairs.push(
      [`${half}.conv_norm_out`, `${half}.norm_out`],
      [`${half}.mid_block.resnets.0`, `${half}.mid.block_1`],
      [`${half}.mid_block.resnets.1`, `${half}.mid.block_2`],
    );
    const attention = [
      ['group_norm', 'norm'],
      ['to_q', 'q'],
      ['to_k', 'k'],
      ['to_v', 'v'],
      ['to_out.0', 'proj_out'],
    ] as const;
    for (const [ours, theirs] of attention)
      pairs.push([`${half}.mid_block.attentions.0.${ours}`, `${half}.mid.attn_1.${theirs}`]);
  }
  for (let block = 0; block < blocks; block++) {
    const up = blocks - 1 - block;
    for (let layer = 0; layer <= layers; layer++) {
      const down: ModulePair = [
        `encoder.down_blocks.${block}.resnets.${layer}`,
        `encoder.down.${block}.block.${layer}`,
      ];
      if (layer < layers) pairs.push(withShortcut(down), down);
      const above: ModulePair = [
        `decoder.up_blocks.${up}.resnets.${layer}`,
        `decoder.up.${block}.block.${layer}`,
      ];
      pairs.push(withShortcut(above), above);
    }
    pairs.push(
      [`encoder.down_blocks.${block}.downsamplers.0.conv`, `encoder.down.${block}.downsample.conv`],
      [`decoder.up_blocks.${up}.upsamplers.0.conv`, `decoder.up.${block}.upsample.conv`],
    );
  }
  return pairs;
}

const withShortcut = ([ours, theirs]: ModulePair): ModulePair => [
  `${ours}.conv_shortcut`,
  `${theirs}.nin_shortcut`,
];

/** Renames paths and keys by the pair of the longest module that they lie in; what is in none keeps its name. */
export function renamer(pairs: readonly ModulePair[], to: 'diffusers' | 'ldm'): (path: string) => string {
  const modules = new Map(pairs.map(([ours, theirs]) => (to === 'ldm' ? [ours, theirs] : [theirs, ours])));
  return (path) => {
    const parts = path.split('.');
    for (let length = parts.length; length > 0; length--) {
      const found = modules.get(parts.slice(0, length).join('.'));
      if (found !== undefined) return [found, ...parts.slice(length)].join('.');
    }
    return path;
  };
}
