/**
 * The guidance scale as waves, for UNets that were distilled to take it as an input instead of being evaluated twice
 * (Meng et al. 2023; latent consistency models, Luo et al. 2023). diffusers' `get_guidance_scale_embedding`.
 */
export function guidanceEmbedding(guidanceScale: number, features: number): Float32Array {
  const half = Math.floor(features / 2);
  const embedding = new Float32Array(features);
  for (let i = 0; i < half; i++) {
    const angle = (guidanceScale - 1) * 1000 * Math.exp((-Math.log(10_000) * i) / (half - 1));
    embedding[i] = Math.sin(angle);
    embedding[half + i] = Math.cos(angle);
  }
  return embedding;
}
