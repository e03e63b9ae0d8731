/**
 * The guidance scale as waves, for UNets that were distilled to take it as an input instead of being evaluated twice
 * (Meng et al. 2023; latent consistency models, Luo et al. 2023). diffusers' `get_guidance_scale_embedding`.
 */
export function guidanceEmbedding(guidanceScale: number, features: number): Float32Array {
  const f = Math.fround;
  const half = Math.floor(features / 2);
  const embedding = new Float32Array(features);
  // Rounded as in diffusers: at so large an angle the last bits are in the fourth digit of the wave.
  const rate = f(f(Math.log(10_000)) / (half - 1));
  for (let i = 0; i < half; i++) {
    const angle = f(f(f(guidanceScale - 1) * 1000) * f(Math.exp(f(-rate * i))));
    embedding[i] = Math.sin(angle);
    embedding[half + i] = Math.cos(angle);
  }
  return embedding;
}
