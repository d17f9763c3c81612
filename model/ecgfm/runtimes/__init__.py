"""The engines that run a bundle's network, behind one small interface, named and bounded here.

| name          | engine                                | needs                         | precision        |
|---------------|---------------------------------------|-------------------------------|------------------|
| auto          | the fastest exact one of this machine | a short measurement           | float32 (exact)  |
| torch         | torch, CPU or CUDA                    | nothing more                  | float32 (exact)  |
| torch-bf16    | torch                                 | a CPU or GPU with bfloat16    | bfloat16         |
| torch-fp16    | torch                                 | CUDA                          | float16          |
| onnx          | ONNX Runtime: CPU or CUDA             | the `onnx` or `gpu` extra     | float32 (exact)  |
| tensorrt      | ONNX Runtime by TensorRT              | the `gpu` extra and TensorRT  | float32 or TF32  |
| openvino      | OpenVINO, weights packed when opened  | the `openvino` extra          | float32 (exact)  |
| openvino-bf16 | the same                              | and a CPU with bfloat16       | bfloat16         |
"""

EXACT = 1e-5  #: largest change of a probability allowed to a float32 runtime
FAST = 1e-2  #: … to a runtime of reduced precision
LIMITS = {
    "torch-bf16": FAST,
    "torch-fp16": FAST,
    "onnx": EXACT,
    "tensorrt": FAST,
    "openvino": EXACT,
    "openvino-bf16": FAST,
}

NAMES = ("torch", *LIMITS)
AUTO = "auto"  #: not a runtime but the choice of one (`choosing`)
