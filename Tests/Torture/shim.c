// A library for LD_PRELOAD that makes one call of the file system fail, be short, or be the moment of death.
//
//   FAULT=OPERATION:N:ACTION
//     OPERATION  write fsync rename open read mkdir unlink truncate
//     N          the N-th such call on a regular file or a folder, from 1; "N+" that and all later ones
//     ACTION     an error (ENOSPC EIO EMFILE EDQUOT EROFS EINTR), SHORT (half of the bytes), TORN (half of
//                the bytes, then death), KILL (death before the call), KILLAFTER
//   FAULT_LOG=FILE
//     a line for each call that succeeded: "fsync PATH", "rename OLD NEW" and so on
//
// Calls are counted over all threads. Standard streams are left alone.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum action { NONE, FAIL, SHORT, TORN, KILL, KILLAFTER };

static char operation[32];
static enum action action = NONE;
static int error_number, lasting, log_file = -1;
static long place, seen;

static const struct { const char *name; int number; } errors[] = {
  {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EMFILE", EMFILE},
  {"EDQUOT", EDQUOT}, {"EROFS", EROFS}, {"EINTR", EINTR},
};

static enum action parse_action(const char *text) {
  if (!strcmp(text, "SHORT")) return SHORT;
  if (!strcmp(text, "TORN")) return TORN;
  if (!strcmp(text, "KILL")) return KILL;
  if (!strcmp(text, "KILLAFTER")) return KILLAFTER;
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (!strcmp(text, errors[i].name)) {
      error_number = errors[i].number;
      return FAIL;
    }
  return NONE;
}

#define REAL(name)                               \
  static __typeof__(name) *real;                 \
  if (!real) real = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void) {
  char number[32], what[32];
  const char *fault = getenv("FAULT");
  if (fault && sscanf(fault, "%31[^:]:%31[^:]:%31s", operation, number, what) == 3) {
    place = atol(number);
    lasting = strchr(number, '+') != 0;
    action = parse_action(what);
  }
  const char *log = getenv("FAULT_LOG");
  int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
  if (log) log_file = real_open(log, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0644);
}

// The path of a descriptor of a regular file or folder; 0 for anything else, and for the log.
static int path_of(int descriptor, char *path) {
  struct stat status;
  char link[64];
  if (descriptor <= 2 || descriptor == log_file || fstat(descriptor, &status)) return 0;
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t count = readlink(link, path, 4095);
  if (count < 0) return 0;
  path[count] = 0;
  return 1;
}

// Whether the fault belongs to this call.
static int is_place(const char *name) {
  if (action == NONE || strcmp(name, operation)) return 0;
  long count = __sync_add_and_fetch(&seen, 1);
  int hit = count == place || (lasting && count > place);
  if (hit && action == KILL) kill(getpid(), SIGKILL);
  return hit;
}

static void after(int hit, int succeeded, const char *name, const char *path, const char *other) {
  if (hit && action == KILLAFTER) kill(getpid(), SIGKILL);
  if (log_file < 0 || !succeeded) return;
  char line[8300];
  int count = snprintf(line, sizeof line, "%s\t%s\t%s\n", name, path, other ? other : "");
  ssize_t (*real_write)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  if (real_write(log_file, line, count) != count) abort();
}

#define FAILING                       \
  if (hit && action == FAIL) {        \
    errno = error_number;             \
    return -1;                        \
  }

// Reads and writes: a number of bytes at a descriptor.
#define TRANSFER(name, kind, PARAMETERS, ARGUMENTS, HALF)                    \
  ssize_t name PARAMETERS {                                                           \
    REAL(name);                                                                       \
    char path[4096];                                                                  \
    if (!path_of(descriptor, path)) return real ARGUMENTS;                            \
    int hit = is_place(kind);                                                         \
    FAILING                                                                           \
    if (hit && action == SHORT && count > 1) return real HALF;                        \
    if (hit && action == TORN) {                                                      \
      real HALF;                                                                      \
      kill(getpid(), SIGKILL);                                                        \
    }                                                                                 \
    ssize_t result = real ARGUMENTS;                                                  \
    after(hit, result >= 0, kind, path, 0);                                           \
    return result;                                                                    \
  }

TRANSFER(write, "write", (int descriptor, const void *bytes, size_t count),
         (descriptor, bytes, count), (descriptor, bytes, count / 2))
TRANSFER(pwrite, "write",
         (int descriptor, const void *bytes, size_t count, off_t offset),
         (descriptor, bytes, count, offset), (descriptor, bytes, count / 2, offset))
TRANSFER(pwrite64, "write",
         (int descriptor, const void *bytes, size_t count, off64_t offset),
         (descriptor, bytes, count, offset), (descriptor, bytes, count / 2, offset))
TRANSFER(read, "read", (int descriptor, void *bytes, size_t count),
         (descriptor, bytes, count), (descriptor, bytes, count / 2))
TRANSFER(pread, "read", (int descriptor, void *bytes, size_t count, off_t offset),
         (descriptor, bytes, count, offset), (descriptor, bytes, count / 2, offset))
TRANSFER(pread64, "read", (int descriptor, void *bytes, size_t count, off64_t offset),
         (descriptor, bytes, count, offset), (descriptor, bytes, count / 2, offset))

// Other calls on a descriptor.
#define ON_DESCRIPTOR(name, kind, PARAMETERS, ARGUMENTS) \
  int name PARAMETERS {                                  \
    REAL(name);                                          \
    char path[4096];                                     \
    if (!path_of(descriptor, path)) return real ARGUMENTS; \
    int hit = is_place(kind);                            \
    FAILING                                              \
    int result = real ARGUMENTS;                         \
    after(hit, result == 0, kind, path, 0);              \
    return result;                                       \
  }

ON_DESCRIPTOR(fsync, "fsync", (int descriptor), (descriptor))
ON_DESCRIPTOR(fdatasync, "fsync", (int descriptor), (descriptor))
ON_DESCRIPTOR(ftruncate, "truncate", (int descriptor, off_t size), (descriptor, size))
ON_DESCRIPTOR(ftruncate64, "truncate", (int descriptor, off64_t size), (descriptor, size))

// Calls on a path.
#define ON_PATH(name, kind, PARAMETERS, ARGUMENTS, other) \
  int name PARAMETERS {                                   \
    REAL(name);                                           \
    int hit = is_place(kind);                             \
    FAILING                                               \
    int result = real ARGUMENTS;                          \
    after(hit, result == 0, kind, path, other);           \
    return result;                                        \
  }

ON_PATH(rename, "rename", (const char *path, const char *target), (path, target), target)
ON_PATH(unlink, "unlink", (const char *path), (path), 0)
ON_PATH(rmdir, "unlink", (const char *path), (path), 0)
ON_PATH(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode), 0)

#define OPEN(name)                                                     \
  int name(const char *path, int flags, ...) {                         \
    static int (*real)(const char *, int, ...);                        \
    if (!real) real = dlsym(RTLD_NEXT, #name);                         \
    mode_t mode = 0;                                                   \
    if (flags & (O_CREAT | O_TMPFILE)) {                               \
      va_list list;                                                    \
      va_start(list, flags);                                           \
      mode = va_arg(list, mode_t);                                     \
      va_end(list);                                                    \
    }                                                                  \
    int hit = is_place("open");                                        \
    FAILING                                                            \
    int result = real(path, flags, mode);                              \
    after(hit, result >= 0, "open", path, 0);                          \
    return result;                                                     \
  }

OPEN(open)
OPEN(open64)
