/* Lets what a process does to a file fail with EIO. For `tests.simulation.failing_files`, by LD_PRELOAD.

   The file that FAILING_FLAG names says which, while it is there: a letter (r: reads, w: writes, a: all), a space, and a
   part of their paths. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int fd, char kind) {
  const char *flag = getenv("FAILING_FLAG");
  if (!flag) return 0;
  int file = syscall(SYS_openat, AT_FDCWD, flag, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char wanted[512], link[64], path[4096];
  long size = syscall(SYS_read, file, wanted, sizeof wanted - 1);
  syscall(SYS_close, file);
  if (size < 4) return 0;
  wanted[size] = 0;
  if (wanted[0] != 'a' && wanted[0] != kind) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return 0;
  path[size] = 0;
  return strstr(path, wanted + 2) != 0;
}

#define FAILING(result, name, kind, takes, given)                   \
  result name takes {                                               \
    static result(*real) takes;                                     \
    if (!real) real = dlsym(RTLD_NEXT, #name);                      \
    if (!fails(fd, kind)) return real given;                        \
    errno = EIO;                                                    \
    return -1;                                                      \
  }
FAILING(ssize_t, pread, 'r', (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
FAILING(ssize_t, pread64, 'r', (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
FAILING(ssize_t, pwrite, 'w', (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
FAILING(ssize_t, pwrite64, 'w', (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
FAILING(ssize_t, write, 'w', (int fd, const void *from, size_t size), (fd, from, size))
FAILING(int, fsync, 'w', (int fd), (fd))
FAILING(int, fdatasync, 'w', (int fd), (fd))
FAILING(int, ftruncate, 'w', (int fd, off_t size), (fd, size))
FAILING(int, ftruncate64, 'w', (int fd, off64_t size), (fd, size))
FAILING(int, flock, 'r', (int fd, int how), (fd, how))
