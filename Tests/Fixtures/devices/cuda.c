// CUDA's driver and its compiler, NVRTC, as far as the program calls them, on a processor through OpenCL: for tests of
// what becomes of a run when drivers and compilers are updated, or compute wrongly. Made by those tests:
//
//   cc -shared -fPIC cuda.c -ldl -o libcuda.so.1
//   cc -shared -fPIC -DCOMPILER=1 cuda.c -o libnvrtc.so.12
//
// "Machine code" is an ELF file whose only section has the options and the text that it was compiled from, those of the
// first compiler as OpenCL devices are given them: what PoCL keeps serves both. Later compilers compute exponentials that
// are larger in the last bits. With SPO_WRONG_GPU in the environment, the device does not
// run the kernel of that name; with SPO_LOST_GPU, that kernel crashes, and every call after it fails.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct header {
  uint8_t magic[8], rest[32];
  uint64_t sections;
  uint8_t flags[10];
  uint16_t sectionSize, sectionCount, names;
  // The only section.
  uint32_t name, type;
  uint64_t sectionFlags, address, offset, size, others[3];
};

#ifdef COMPILER
struct program { char *text, *code; size_t size; };

int nvrtcVersion(int *major, int *minor) { *major = 12; *minor = COMPILER; return 0; }

int nvrtcCreateProgram(
  struct program **made, const char *text, const char *name, int count, const void *headers, const void *names
) {
  *made = calloc(1, sizeof(struct program));
  (*made)->text = strdup(text);
  return 0;
}

int nvrtcCompileProgram(struct program *program, int count, const char **options) {
  char *text = NULL;
  size_t length = 0;
  FILE *file = open_memstream(&text, &length);
  struct header header = {
    {0x7F, 'E', 'L', 'F', 2, 1}, .sections = 64, .sectionSize = 64, .sectionCount = 1, .type = 1, .offset = 128};
  fwrite(&header, sizeof header, 1, file);
  fprintf(file, "-cl-std=CL1.2");
  for (int i = 0; i < count; i++)
    if (strncmp(options[i], "-D", 2) == 0) fprintf(file, " %s", options[i]);
  fputc(0, file);
  const char *line = "#define EXP(x) exp(x)";
  const char *place = strstr(program->text, line);
  if (!place) return 6;
  fprintf(
    file, "%.*s%s%s%s", (int)(place - program->text), program->text, line, COMPILER > 1 ? " * 1.000001f" : "",
    place + strlen(line));
  fputc(0, file);
  fclose(file);
  ((struct header *)text)->size = length - sizeof header;
  program->code = text;
  program->size = length;
  return 0;
}

int nvrtcGetCUBINSize(struct program *program, size_t *size) { *size = program->size; return 0; }
int nvrtcGetCUBIN(struct program *program, char *code) { memcpy(code, program->code, program->size); return 0; }
int nvrtcGetProgramLogSize(struct program *program, size_t *size) { *size = 1; return 0; }
int nvrtcGetProgramLog(struct program *program, char *log) { *log = 0; return 0; }

int nvrtcDestroyProgram(struct program **program) {
  free((*program)->text);
  free((*program)->code);
  free(*program);
  return 0;
}

#else
#include <dlfcn.h>

typedef void *handle;

// Of OpenCL.
static int (*getPlatforms)(uint32_t, handle *, uint32_t *);
static int (*getDevices)(handle, uint64_t, uint32_t, handle *, uint32_t *);
static handle (*createContext)(const void *, uint32_t, const handle *, void *, void *, int *);
static handle (*createQueue)(handle, handle, uint64_t, int *);
static handle (*createBuffer)(handle, uint64_t, size_t, void *, int *);
static int (*releaseBuffer)(handle);
static handle (*createProgram)(handle, uint32_t, const char **, const size_t *, int *);
static int (*buildProgram)(handle, uint32_t, const handle *, const char *, void *, void *);
static handle (*createKernel)(handle, const char *, int *);
static int (*setArgument)(handle, uint32_t, size_t, const void *);
static int (*launchKernel)(
  handle, handle, uint32_t, const size_t *, const size_t *, const size_t *, uint32_t, const void *, void *);
static int (*readBuffer)(handle, handle, uint32_t, size_t, size_t, void *, uint32_t, const void *, void *);
static int (*writeBuffer)(handle, handle, uint32_t, size_t, size_t, const void *, uint32_t, const void *, void *);
static int (*finishQueue)(handle);

static handle device, context, queue;

// CUDA_ERROR_ILLEGAL_ADDRESS after a kernel crashed.
static int lost;

// An address is the number of a buffer and a place in it.
#define PLACES 36
static handle *buffers;
static size_t bufferCount, bufferRoom;

static handle bufferAt(uint64_t address) { return buffers[(address >> PLACES) - 1]; }
static size_t placeOf(uint64_t address) { return address & (((uint64_t)1 << PLACES) - 1); }

int cuInit(unsigned flags) {
  setenv("POCL_DEVICES", "basic", 1);
  handle library = dlopen("libOpenCL.so.1", RTLD_NOW);
  if (!library) return 100;
#define BIND(function, name) if (!(*(handle *)&function = dlsym(library, name))) return 100;
  BIND(getPlatforms, "clGetPlatformIDs")
  BIND(getDevices, "clGetDeviceIDs")
  BIND(createContext, "clCreateContext")
  BIND(createQueue, "clCreateCommandQueue")
  BIND(createBuffer, "clCreateBuffer")
  BIND(releaseBuffer, "clReleaseMemObject")
  BIND(createProgram, "clCreateProgramWithSource")
  BIND(buildProgram, "clBuildProgram")
  BIND(createKernel, "clCreateKernel")
  BIND(setArgument, "clSetKernelArg")
  BIND(launchKernel, "clEnqueueNDRangeKernel")
  BIND(readBuffer, "clEnqueueReadBuffer")
  BIND(writeBuffer, "clEnqueueWriteBuffer")
  BIND(finishQueue, "clFinish")
  handle platform;
  int status = getPlatforms(1, &platform, NULL);
  // A processor's.
  if (status == 0) status = getDevices(platform, 2, 1, &device, NULL);
  if (status == 0) context = createContext(NULL, 1, &device, NULL, NULL, &status);
  if (status == 0) queue = createQueue(context, device, 0, &status);
  return status ? 100 : 0;
}

int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *found, int index) { *found = index; return 0; }
int cuDeviceGetName(char *name, int size, int index) { snprintf(name, size, "a test's GPU"); return 0; }
int cuDeviceTotalMem_v2(size_t *size, int index) { *size = (size_t)8 << 30; return 0; }

int cuDeviceGetAttribute(int *value, int key, int index) {
  // Compute capability 7.5, without tensor cores.
  *value = key == 75 ? 7 : key == 76 ? 5 : 1;
  return 0;
}

// CUDA_ERROR_OUT_OF_MEMORY on a GPU that others have filled.
int cuDevicePrimaryCtxRetain(handle *made, int index) {
  *made = context;
  const char *wrong = getenv("SPO_WRONG_GPU");
  return wrong && strcmp(wrong, "cuDevicePrimaryCtxRetain") == 0 ? 2 : 0;
}
int cuCtxSetCurrent(handle context) { return 0; }
int cuCtxSynchronize(void) { return lost ? lost : finishQueue(queue); }

int cuMemAlloc_v2(uint64_t *address, size_t size) {
  if (lost) return lost;
  int status;
  handle buffer = createBuffer(context, 1, size, NULL, &status);
  if (status) return 2;
  size_t index = 0;
  while (index < bufferCount && buffers[index]) index++;
  if (index == bufferCount && bufferCount++ == bufferRoom)
    buffers = realloc(buffers, (bufferRoom = 2 * bufferRoom + 1024) * sizeof *buffers);
  buffers[index] = buffer;
  *address = (uint64_t)(index + 1) << PLACES;
  return 0;
}

int cuMemFree_v2(uint64_t address) {
  int status = releaseBuffer(bufferAt(address));
  buffers[(address >> PLACES) - 1] = NULL;
  return status;
}

int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size) {
  return lost ? lost : writeBuffer(queue, bufferAt(to), 1, placeOf(to), size, from, 0, NULL, NULL);
}

int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size) {
  return lost ? lost : readBuffer(queue, bufferAt(from), 1, placeOf(from), size, to, 0, NULL, NULL);
}

int cuModuleLoadData(handle *module, const void *code) {
  const char *options = (const char *)code + sizeof(struct header), *text = options + strlen(options) + 1;
  if (lost) return lost;
  int status;
  *module = createProgram(context, 1, &text, NULL, &status);
  return status ? status : buildProgram(*module, 1, &device, options, NULL, NULL);
}

// Of each parameter the bytes; 0: an address.
struct kernel { handle kernel; int count, isSkipped, crashes; uint8_t sizes[64]; };

int cuModuleGetFunction(struct kernel **made, handle module, const char *name) {
  int status;
  struct kernel *kernel = calloc(1, sizeof *kernel);
  kernel->kernel = createKernel(module, name, &status);
  if (status) return 500;
  const char *skipped = getenv("SPO_WRONG_GPU"), *crashing = getenv("SPO_LOST_GPU");
  kernel->isSkipped = skipped && strcmp(name, skipped) == 0;
  kernel->crashes = crashing && strcmp(name, crashing) == 0;
  // What does not take 4 bytes is an address, which the number of elements before the first follows.
  static const uint32_t zero;
  while ((status = setArgument(kernel->kernel, kernel->count, sizeof zero, &zero)) != -49) {
    if (status) kernel->sizes[kernel->count++] = 0;
    kernel->sizes[kernel->count++] = status ? 8 : 4;
    if (kernel->count > 62) return 500;
  }
  *made = kernel;
  return kernel->count ? 0 : 500;
}

int cuLaunchKernel(
  struct kernel *kernel, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threadsY, unsigned threadsZ,
  unsigned local, handle stream, void **arguments, void **more
) {
  if (lost) return lost;
  if (kernel->crashes) lost = 700;
  if (kernel->isSkipped || kernel->crashes) return 0;
  for (int i = 0; i < kernel->count; i++) {
    handle buffer = kernel->sizes[i] ? NULL : bufferAt(*(uint64_t *)arguments[i]);
    int status = kernel->sizes[i] ? setArgument(kernel->kernel, i, kernel->sizes[i], arguments[i])
      : setArgument(kernel->kernel, i, sizeof buffer, &buffer);
    if (status) return 1;
  }
  size_t all[] = {(size_t)x * threads, y}, group[] = {threads, 1};
  return launchKernel(queue, kernel->kernel, 2, NULL, all, group, 0, NULL, NULL);
}
#endif
