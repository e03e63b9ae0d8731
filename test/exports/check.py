"""Loads what write.ts exported with diffusers and draws with it: latents must be those of this package.

    npx tsx test/exports/write.ts OUT && python test/exports/check.py OUT [sd15-tiny …]

Prints a line a file: the largest difference as a share of the largest latent (1e-4 allowed), and what diffusers
warned of. Of a single file also: its keys against diffusers' own conversion back to diffusers' keys.
Exit status 1 where a file does not load, warns, or draws something else.
"""

import logging
import sys
import warnings
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file

out = Path(sys.argv[1])
bases = Path(__file__).parents[2] / "fixtures" / "golden"
torch.set_grad_enabled(False)

warned = []


class Collect(logging.Handler):
    def emit(self, record):
        if record.levelno >= logging.WARNING:
            warned.append(record.getMessage().split("\n")[0][:150])


warnings.showwarning = lambda message, *_: warned.append(str(message)[:150])

for library in ["diffusers", "transformers", "peft"]:
    logger = logging.getLogger(library)
    logger.addHandler(Collect())
    logger.propagate = False


def pipeline_class(name):
    return StableDiffusionXLPipeline if name.startswith("sdxl") else StableDiffusionPipeline


def open_base(name, folder):
    extra = {} if name.startswith("sdxl") else {"safety_checker": None}
    return pipeline_class(name).from_pretrained(folder, **extra)


def draw(pipe, noise):
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    return pipe(
        prompt="a photo of olis dog",
        negative_prompt="blurry",
        latents=noise.clone(),
        num_inference_steps=5,
        guidance_scale=5.0,
        output_type="latent",
    ).images


failed = False


def check(name, what, make, drawn):
    global failed
    warned.clear()
    try:
        latents = draw(make(), drawn["noise"])
        apart = ((latents - drawn["latents"]).abs().max() / drawn["latents"].abs().max()).item()
        verdict = f"{apart:.1e}"
        good = apart <= 1e-4 and not warned
    except Exception as error:
        verdict, good = f"{type(error).__name__}: {str(error)[:300]}", False
    failed = failed or not good
    print(f"{name:10} {what:30} {verdict:10} {'ok' if good else 'FAIL'} {'; '.join(dict.fromkeys(warned))}", flush=True)


for name in sys.argv[2:] or ["sd15-tiny", "sd21-tiny", "sdxl-tiny"]:
    for layers in ["transformers", "all"]:
        folder = out / name
        drawn = load_file(folder / f"{layers}-drawn.safetensors")

        def with_lora(naming):
            pipe = open_base(name, bases / name)
            pipe.load_lora_weights(folder, weight_name=f"{layers}.{naming}.safetensors")
            return pipe

        check(name, f"{layers} diffusers LoRA", lambda: with_lora("diffusers"), drawn)
        check(name, f"{layers} kohya LoRA", lambda: with_lora("kohya"), drawn)
        check(name, f"{layers} folder", lambda: open_base(name, folder / f"{layers}-folder"), drawn)
        check(
            name,
            f"{layers} single file",
            lambda: pipeline_class(name).from_single_file(
                str(folder / f"{layers}.safetensors"), config=str(bases / name), local_files_only=True
            ),
            drawn,
        )

sys.exit(1 if failed else 0)
