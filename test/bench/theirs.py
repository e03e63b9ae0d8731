"""diffusers' and PyTorch's side of a case, in a process of its own: theirs.py CASE.json CHECKPOINT INPUTS."""
import json
import sys
import time

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file

case = json.load(open(sys.argv[1]))
torch.set_num_threads(case["threads"])
started = time.perf_counter()
unet = UNet2DConditionModel.from_pretrained(sys.argv[2], subfolder="unet", torch_dtype=torch.float32)
inputs = load_file(sys.argv[3])


def train():
    if case["trained"] == "lora":
        from peft import LoraConfig

        unet.requires_grad_(False)
        targets = ["to_q", "to_k", "to_v", "to_out.0"]
        unet.add_adapter(LoraConfig(r=case["rank"], lora_alpha=case["rank"], target_modules=targets))
        for name, parameter in unet.named_parameters():
            for ours, theirs in (("down", ".lora_A."), ("up", ".lora_B.")):
                if theirs in name:
                    parameter.data.copy_(inputs[f"{name.split(theirs)[0]}.{ours}"])
    parameters = [p for p in unet.parameters() if p.requires_grad]
    unet.train()
    optimizer = torch.optim.AdamW(parameters, lr=case["learningRate"], weight_decay=1e-2)
    results = []

    def step():
        prediction = unet(inputs["sample"], inputs["timesteps"], inputs["text"]).sample
        loss = torch.nn.functional.mse_loss(prediction, inputs["target"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        results.append(loss.item())

    step()
    first = time.perf_counter() - started
    times = []
    for _ in range(case["steps"]):
        begun = time.perf_counter()
        step()
        times.append((time.perf_counter() - begun) * 1000)
    return first, times, results


@torch.inference_mode()
def sample():
    scheduler = DDIMScheduler.from_pretrained(sys.argv[2], subfolder="scheduler")
    scheduler.set_timesteps(case["steps"])
    unet.eval()
    latents = inputs["sample"]

    def predict(latents, timestep):
        output = unet(torch.cat([latents, latents]), timestep, inputs["text"]).sample
        away, towards = output.chunk(2)
        return away + 7.5 * (towards - away)

    predict(latents, torch.tensor(999))
    first = time.perf_counter() - started
    times = []
    for timestep in scheduler.timesteps:
        begun = time.perf_counter()
        output = predict(latents, timestep)
        times.append((time.perf_counter() - begun) * 1000)
        latents = scheduler.step(output, timestep, latents).prev_sample
    return first, times, latents.flatten()[:16].tolist()


first, times, results = train() if case["kind"] == "training" else sample()
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"first": first * 1000, "times": times, "results": results, "peakBytes": peak}))
