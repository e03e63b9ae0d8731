/** Which folder may import which: the layers, the folders that must run without Node, and the doors to native packages. */

/** From the ground up. A folder imports its own files and those of lower lines. */
const layers = [
  ['errors', 'tensor', 'random', 'half'],
  ['checkpoint'],
  ['graph', 'tokenizers', 'images', 'schedulers', 'toybox', 'reports'],
  ['autodiff', 'nn', 'runtime'],
  ['models', 'lora', 'optimizers', 'evaluation'],
  ['sampling'],
  ['training'],
  ['subjects'],
  ['work'],
  ['library'],
  ['jobs'],
  ['operations', 'protocols'],
  ['index'],
];
/** Folders that deal with files, processes and native packages. */
const nodeFolders = [
  'checkpoint',
  'images',
  'runtime',
  'subjects',
  'work',
  'library',
  'jobs',
  'operations',
  'protocols',
  'index',
];
const pureFolders = layers.flat().filter((name) => !nodeFolders.includes(name));

/** Files of theirs that are data and arithmetic alone, and may be imported where files may not be touched. */
const pureFiles = ['checkpoint/ldm-keys', 'checkpoint/file-kinds'];

const inside = (names) => `^sdk/(${names.join('|')})(/|\\.ts$)`;

const layerRules = layers.map((names, line) => ({
  name: `layer-of-${names[0]}`,
  comment: `${names.join(', ')} import only lower layers and themselves`,
  severity: 'error',
  from: { path: inside(names) },
  to: {
    path: '^sdk/',
    // The lowest line is single files, which may know each other.
    pathNot:
      line === 0
        ? [inside(names)]
        : ['^sdk/$1(/|\\.ts$)', ...(line > 0 ? [inside(layers.slice(0, line).flat())] : [])],
  },
}));

/** `package` is imported in `folder` alone. */
const onlyIn = (folder, name) => ({
  name: `${name}-only-in-${folder}`,
  severity: 'error',
  from: { path: '^(sdk|adapters|examples)/', pathNot: [`^sdk/${folder}/`] },
  to: { path: `(^|node_modules/)${name}(/|$)` },
});

/** What reaches other machines. */
const network =
  '(^|node_modules/)(@huggingface/hub|undici|openai)(/|$)|^(node:)?(http|https|http2|net|tls|dgram)$';

/** Folders of `kind` import the package by its name and their own files. */
const onlyThePackage = (kind) => ({
  name: `${kind}-import-the-package`,
  severity: 'error',
  from: { path: `^${kind}/` },
  to: { path: '^(sdk|dist)/', dependencyTypesNot: ['aliased', 'aliased-tsconfig', 'aliased-tsconfig-paths'] },
});

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'known-folders',
      comment: 'a new folder of sdk gets a line in `layers`',
      severity: 'error',
      from: { path: '^sdk/', pathNot: [inside(layers.flat())] },
      to: {},
    },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'pure-folders-without-node',
      comment: `${[...pureFolders, ...pureFiles].join(', ')} run in a browser, too`,
      severity: 'error',
      from: { path: inside([...pureFolders, ...pureFiles]) },
      to: {
        dependencyTypes: [
          'core',
          'npm',
          'npm-optional',
          'npm-peer',
          'npm-dev',
          'npm-no-pkg',
          'npm-unknown',
          'unknown',
        ],
      },
    },
    {
      name: 'pure-folders-without-files',
      comment: 'types of the folders that know Node may be named, their code may not be called',
      severity: 'error',
      from: { path: inside([...pureFolders, ...pureFiles]) },
      to: { path: inside(nodeFolders), pathNot: inside(pureFiles), dependencyTypesNot: ['type-only'] },
    },
    onlyIn('runtime', 'onnxruntime-node'),
    onlyIn('images', 'sharp'),
    {
      name: 'network-only-in-hub',
      comment: 'one command fetches and one asks a judge, and only when they are given',
      severity: 'error',
      from: {
        path: '^(sdk|adapters|examples)/',
        pathNot: [
          '^sdk/library/hub\\.ts$',
          '^sdk/protocols/dreambench/openai-judge\\.ts$',
          // These listen, on the loopback unless told otherwise.
          '^adapters/mcp/http\\.ts$',
          '^adapters/openai/',
        ],
      },
      to: { path: network },
    },
    onlyThePackage('adapters'),
    onlyThePackage('examples'),
    {
      name: 'adapters-apart',
      severity: 'error',
      from: { path: '^adapters/([^/]+)/' },
      // The command line starts the others, by their entries of the package.
      to: {
        path: '^adapters/',
        pathNot: ['^adapters/$1/'],
        dependencyTypesNot: ['aliased', 'aliased-tsconfig', 'aliased-tsconfig-paths'],
      },
    },
    {
      name: 'sdk-alone',
      severity: 'error',
      from: { path: '^sdk/' },
      to: { path: '^(adapters|examples|test|fixtures)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
  },
};
