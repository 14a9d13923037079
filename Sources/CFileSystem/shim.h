// The number by which Linux tells one kind of file system from another, of the one that holds a path; 0 if it
// does not tell. Swift's Glibc has no statfs.
#include <sys/vfs.h>
static inline unsigned int spo_file_system_type(const char *path) {
  struct statfs status;
  return statfs(path, &status) == 0 ? (unsigned int)status.f_type : 0;
}
