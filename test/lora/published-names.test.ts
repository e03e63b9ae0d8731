/** kohya's names of the layers of the published models at their true size, as kohya counts them and others look them up. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ldmUNetModules, renamer } from '../../sdk/checkpoint/ldm-keys';
import { kohyaNaming } from '../../sdk/lora/kohya-names';
import { loraTargets } from '../../sdk/lora/lora';
import { familyOfModel } from '../../sdk/lora/lora-family';
import { loraComponents } from '../../sdk/lora/lora-layers';
import { loraModel, publishedXlModules } from '../../sdk/lora/lora-model';
import { weightsDeclaredBy } from '../../sdk/models/declared-weights';
import type { StoredTensor } from '../../sdk/tensor';

const published = join(import.meta.dirname, '../../fixtures/published');

function model(architecture: string) {
  const tensors = new Map(
    loraComponents.flatMap((component) => {
      const file = join(published, architecture, component, 'config.json');
      if (!existsSync(file)) return [];
      const declared = weightsDeclaredBy(component, JSON.parse(readFileSync(file, 'utf8')));
      const stored = declared.map(({ key, shape }): [string, StoredTensor] => [
        key,
        { dtype: 'float32', shape, file: '', offset: 0, length: 0 },
      ]);
      return [[component, new Map(stored)] as const];
    }),
  );
  const targets = loraComponents.flatMap((component) =>
    loraTargets(tensors.get(component) ?? new Map(), ['*'], 4).map(({ path }) => `${component}.${path}`),
  );
  return { tensors, targets, read: loraModel((component) => tensors.get(component)) };
}

/** What kohya's networks.lora trains: every matrix and one-pixel kernel of the transformers; text attention and MLP. */
const kohyas = /^unet\..*\.attentions\.\d+\.|^text_encoder(_2)?\.text_model\.encoder\.layers\./;

/** From a prefix, as ComfyUI and AUTOMATIC1111 know CLIP's layers. */
const clipNames = (prefix: string, layers: number) =>
  Array.from({ length: layers }, (_, i) =>
    [
      'mlp_fc1',
      'mlp_fc2',
      'self_attn_k_proj',
      'self_attn_q_proj',
      'self_attn_v_proj',
      'self_attn_out_proj',
    ].map((module) => `${prefix}_text_model_encoder_layers_${i}_${module}`),
  ).flat();

describe.each([
  { architecture: 'sd15', family: 'Stable Diffusion 1', unet: 192, text: [72], prefixes: ['lora_te'] },
  { architecture: 'sd21', family: 'Stable Diffusion 2', unet: 192, text: [138], prefixes: ['lora_te'] },
  {
    architecture: 'sdxl',
    family: 'Stable Diffusion XL',
    unet: 722,
    text: [72, 192],
    prefixes: ['lora_te1', 'lora_te2'],
  },
])('$architecture', ({ architecture, family, unet, text, prefixes }) => {
  const { tensors, targets, read } = model(architecture);
  const naming = kohyaNaming(read);
  const trained = targets.filter((name) => kohyas.test(name)).map(naming);

  test('as many modules as kohya’s scripts train', () => {
    expect(familyOfModel(read)).toBe(family);
    expect(trained.filter((name) => name.startsWith('lora_unet_'))).toHaveLength(unet);
    for (const [i, prefix] of prefixes.entries())
      expect(trained.filter((name) => name.startsWith(`${prefix}_`))).toHaveLength(text[i]!);
    expect(new Set(targets.map(naming)).size).toBe(targets.length);
  });

  test('every name is in ComfyUI’s map', () => {
    // It knows the UNet's modules flat in diffusers' names and flat in the original code's.
    const original = renamer(read.unetModules, 'ldm');
    const modules = [...tensors.get('unet')!.keys()].map((key) => key.replace(/\.weight$/, ''));
    const flat = (path: string) => `lora_unet_${path.replaceAll('.', '_')}`;
    const map = new Set([
      ...modules.map(flat),
      ...modules.map((path) => flat(original(path))),
      ...prefixes.flatMap((prefix, i) => clipNames(prefix, text[i]! / 6)),
    ]);
    expect(trained.filter((name) => !map.has(name))).toEqual([]);
    const rest = targets.filter((name) => name.startsWith('unet.')).map(naming);
    expect(rest.filter((name) => !map.has(name))).toEqual([]);
  });

  test('every name becomes one of the original code’s modules in AUTOMATIC1111', () => {
    const original = renamer(read.unetModules, 'ldm');
    const modules = new Set(
      [...tensors.get('unet')!.keys()].map((key) =>
        `diffusion_model_${original(key.replace(/\.weight$/, ''))}`.replaceAll('.', '_'),
      ),
    );
    const strange = targets
      .filter((name) => name.startsWith('unet.'))
      .map((name) => automatic1111(naming(name)))
      .filter((name) => !modules.has(name));
    expect(strange).toEqual([]);
  });
});

test('without the base at hand the modules of XL are the published ones', () => {
  const { tensors, read } = model('sdxl');
  const [own, known] = [read.unetModules, publishedXlModules].map((pairs) => renamer(pairs, 'ldm'));
  for (const key of tensors.get('unet')!.keys()) expect(known!(key)).toBe(own!(key));
  const config = JSON.parse(readFileSync(join(published, 'sdxl', 'unet', 'config.json'), 'utf8'));
  const byConfig = renamer(ldmUNetModules(config), 'ldm');
  for (const key of tensors.get('unet')!.keys()) expect(byConfig(key)).toBe(own!(key));
});

/** How its LoRA extension takes a UNet's name: blocks by number (three modules each), the insides of some by a table. */
function automatic1111(name: string): string {
  const insides: readonly (readonly [string, string])[] = [
    ['conv1', 'in_layers_2'],
    ['conv2', 'out_layers_3'],
    ['time_emb_proj', 'emb_layers_1'],
    ['conv_shortcut', 'skip_connection'],
  ];
  const inside = (kind: string, rest: string) =>
    kind === 'attentions' ? rest : (insides.find(([ours]) => ours === rest)?.[1] ?? rest);
  const part = (kind: string) => (kind === 'attentions' ? 1 : 0);
  const alone: Readonly<Record<string, string>> = {
    conv_in: 'input_blocks_0_0',
    conv_out: 'out_2',
    time_embedding_linear_1: 'time_embed_0',
    time_embedding_linear_2: 'time_embed_2',
  };
  const path = name.slice('lora_unet_'.length);
  const numbers = (pattern: RegExp) => pattern.exec(path)?.slice(1);
  let found = numbers(/^down_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)$/);
  const at = (side: string) => {
    const [block, kind, layer, rest] = found as [string, string, string, string];
    const number = Number(block) * 3 + Number(layer) + (side === 'input' ? 1 : 0);
    return `diffusion_model_${side}_blocks_${number}_${part(kind)}_${inside(kind, rest)}`;
  };
  if (found) return at('input');
  found = numbers(/^up_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)$/);
  if (found) return at('output');
  found = numbers(/^mid_block_(attentions|resnets)_(\d+)_(.+)$/);
  if (found) {
    const [kind, layer, rest] = found as [string, string, string];
    const number = kind === 'attentions' ? 1 : 2 * Number(layer);
    return `diffusion_model_middle_block_${number}_${inside(kind, rest)}`;
  }
  found = numbers(/^down_blocks_(\d+)_downsamplers_0_conv$/);
  if (found) return `diffusion_model_input_blocks_${3 + Number(found[0]) * 3}_0_op`;
  found = numbers(/^up_blocks_(\d+)_upsamplers_0_conv$/);
  if (found)
    return `diffusion_model_output_blocks_${2 + Number(found[0]) * 3}_${found[0] === '0' ? 1 : 2}_conv`;
  return `diffusion_model_${alone[path] ?? path}`;
}
