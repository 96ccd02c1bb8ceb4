// What NVIDIA's libraries say through ONNX Runtime: the texts as its CUDA provider writes them ("CUDA failure 35: … ; GPU=0
// ; hostname=… ; expr=…"), and what stands in the way when a card can't be used at all.

/** A failed call into one of NVIDIA's libraries. */
export interface CudaFailure {
  /** `CUDA`, `CUDNN`, `CUBLAS`, … */
  readonly library: string;
  readonly number: number;
  readonly text: string;
  /** The call that failed, without its parameters; empty if it is not told. */
  readonly call: string;
}

const FAILURE = /\b((?:CU[A-Z]+)(?:_FE)?) failure (\d+): ([^;\n]*?)\s*(?:;|\n|$)/;

/** The failed call that a message tells of, or null. */
export function cudaFailure(message: string): CudaFailure | null {
  const match = FAILURE.exec(message);
  if (match === null) return null;
  const call = /\bexpr=([\w:]+)/.exec(message)?.[1] ?? '';
  return { library: match[1]!, number: Number(match[2]), text: match[3]!, call };
}

/** True if the failure means that the card's memory was not enough. Libraries that can't make their handle seldom say so. */
export function isOutOfCardMemory({ library, number, text, call }: CudaFailure): boolean {
  if (library === 'CUDA') return number === 2;
  if (/ALLOC(ATION)?_FAILED/.test(text)) return true;
  return call.endsWith('Create') && /NOT_INITIALIZED|INTERNAL_ERROR/.test(text);
}

// After these nothing more is to be had from this process: the context is broken, or the card is not there any more.
const LOST = new Set([3, 4, 46, 100, 101, 201, 214, 219, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719]);
const UNKNOWN_ERROR = 999;

/** True if only a new process can use the card again. */
export function isCardLost({ library, number }: CudaFailure): boolean {
  return library === 'CUDA' && (LOST.has(number) || number === UNKNOWN_ERROR);
}

const BY_NUMBER: Readonly<Record<number, string>> = {
  2: 'it has no memory left for a worker',
  3: 'its driver does not start; `nvidia-modprobe -u -c=0` or a restart of the machine may help',
  35: 'its driver is too old for CUDA 12; version 525.60.13 or newer is needed',
  46: 'another process has it for itself (exclusive compute mode), or it is in trouble; see nvidia-smi',
  100: 'the driver shows no card to this process; check CUDA_VISIBLE_DEVICES, and in a container --gpus',
  101: 'the driver does not show it to this process; check CUDA_VISIBLE_DEVICES, and in a container --gpus',
  209: 'ONNX Runtime was not built for cards of its compute capability',
  802: 'the system of its driver is not ready; with NVSwitch (HGX, DGX) the service nvidia-fabricmanager has to run',
  803: 'its driver and the installed libraries of the driver are of different versions; restart the machine',
  804: 'the compatibility libraries of CUDA do not go with it; remove them, or update the driver',
  999: 'its driver does not start; `nvidia-modprobe -u -c=0` or a restart of the machine may help',
};

/** What keeps a card from being used, with what to do, as the end of a sentence; null if the message is none of those known. */
export function cardObstacle(message: string): string | null {
  const missing = /\b(lib[\w.+-]+\.so[\w.]*): cannot open shared object file/.exec(message)?.[1];
  if (missing !== undefined) return missingLibrary(missing);
  const symbol = /(version `[\w.]+' not found|undefined symbol: \w+)/.exec(message)?.[1];
  if (symbol !== undefined) return `its libraries do not fit together or this system (${symbol})`;
  const failure = cudaFailure(message);
  if (failure === null) return null;
  if (failure.library === 'CUDA') return BY_NUMBER[failure.number] ?? null;
  if (failure.library === 'CUDNN' && /NOT_INITIALIZED|VERSION_MISMATCH/.test(failure.text)) {
    return 'cuDNN does not start; another version than 9 for CUDA 12 may be on the library path';
  }
  return null;
}

function missingLibrary(name: string): string {
  const advice = 'install it, or add its folder to LD_LIBRARY_PATH';
  if (name.startsWith('libcudnn')) return `cuDNN 9 for CUDA 12 is missing (${name}); ${advice}`;
  if (/^lib(cublas|cudart|cufft|curand|nvrtc|cusparse|cusolver|nvJitLink)/.test(name)) {
    return `the CUDA 12 runtime is missing (${name}); ${advice}`;
  }
  if (name.startsWith('libcuda.so')) return `the NVIDIA driver's own library is missing (${name}); install the driver`;
  if (name.startsWith('libonnxruntime_providers')) return `${name} is missing; run \`gpufaas setup cuda --force\``;
  return `a library is missing (${name}); ${advice}`;
}
