#include "Observe/guest_names.h"

#include "Linux/process.h"
#include "Loader/symbols.h"
#include "Runtime/guest_memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

extern const uint8_t vdso_image[], vdso_image_end[];

/* A file that has been mapped once. Kept for ever: names point into it. */
struct file {
  struct file *next;
  dev_t device;
  ino_t inode;
  struct symbols *symbols; /* NULL: it has none that could be read */
  char *name;
};

/* Executable pages of a file, [low, last], as they are mapped now. */
struct module {
  guest_addr low, last;
  guest_addr bias; /* the file's address 0 */
  const struct file *file;
};

static struct {
  struct file *files;
  struct module *modules;
  unsigned count, room;
  uint32_t code_files; /* guest_memory_code_files() then */
  bool read;
  guest_addr vdso;
} names;

void guest_names_set_vdso(guest_addr vdso) { names.vdso = vdso; }

static int lock; /* process_lock() */

void guest_names_forked(void) {
  lock = 0;
  names.modules = NULL; /* it may have been changing */
  names.count = names.room = 0;
  names.read = false;
}

/* --- Files ------------------------------------------------------------------------------------------------
 */

static struct file *file_new(dev_t device, ino_t inode, const char *name, struct symbols *symbols) {
  struct file *file = malloc(sizeof *file);
  if (!file)
    return NULL;
  *file = (struct file){names.files, device, inode, symbols, strdup(name)};
  names.files = file;
  return file;
}

/* The file that is mapped is the one of that device and inode; the path may lead to another by now. */
static struct symbols *read_symbols(const char *path, dev_t device, ino_t inode) {
  struct symbols *symbols = NULL;
  struct stat status;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0)
    return NULL;
  if (fstat(fd, &status) == 0 && status.st_dev == device && status.st_ino == inode)
    symbols = symbols_read(fd);
  close(fd);
  return symbols;
}

static const struct file *file_of(const char *path, dev_t device, ino_t inode) {
  for (const struct file *file = names.files; file; file = file->next)
    if (file->device == device && file->inode == inode && inode)
      return file;
  const char *slash = strrchr(path, '/');
  return file_new(device, inode, slash ? slash + 1 : path, read_symbols(path, device, inode));
}

static const struct file *vdso_file(void) {
  static const struct file *vdso;
  if (!vdso)
    vdso = file_new(0, 0, "[vdso]", symbols_read_bytes(vdso_image, (size_t)(vdso_image_end - vdso_image)));
  return vdso;
}

/* --- What is mapped
 * ------------------------------------------------------------------------------------------ */

static void add_module(guest_addr low, guest_addr last, uint64_t offset, const struct file *file) {
  if (names.count == names.room) {
    const unsigned room = names.room ? 2 * names.room : 32;
    struct module *modules = realloc(names.modules, room * sizeof *modules);
    if (!modules)
      return;
    names.modules = modules;
    names.room = room;
  }
  uint32_t address;
  if (!file || !file->symbols || !symbols_address_of_offset(file->symbols, offset, &address))
    address = (uint32_t)offset;
  names.modules[names.count++] = (struct module){low, last, low - address, file};
}

static void add_line(const char *line) {
  uint64_t start, end, offset, inode;
  unsigned major, minor;
  char permissions[5];
  int path = 0;
  if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &start, &end, permissions,
             &offset, &major, &minor, &inode, &path) < 7 ||
      !path || line[path] != '/' || end > (uint64_t)UINT32_MAX + 1 || permissions[2] != 'x')
    return;
  add_module((guest_addr)start, (guest_addr)(end - 1), offset,
             file_of(line + path, makedev(major, minor), (ino_t)inode));
}

/* The kernel lists mappings by address: the guest's come first. */
static void read_maps(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  char *line = NULL;
  size_t room = 0;
  names.count = 0;
  if (names.vdso)
    add_module(names.vdso, names.vdso + (guest_addr)(vdso_image_end - vdso_image) - 1, 0, vdso_file());
  while (maps && getline(&line, &room, maps) > 0 && strtoull(line, NULL, 16) <= UINT32_MAX) {
    line[strcspn(line, "\n")] = '\0';
    add_line(line);
  }
  free(line);
  if (maps)
    fclose(maps);
}

static const struct module *module_of(guest_addr address) {
  const uint32_t code_files = guest_memory_code_files();
  if (!names.read || names.code_files != code_files) {
    names.read = true;
    names.code_files = code_files;
    read_maps();
  }
  for (unsigned i = 0; i < names.count; i++)
    if (names.modules[i].low <= address && address <= names.modules[i].last)
      return &names.modules[i];
  return NULL;
}

/* --- Names
 * ---------------------------------------------------------------------------------------------------- */

static struct guest_name find_name(guest_addr address) {
  const struct module *module = module_of(address);
  struct guest_name name = {0};
  if (!module || !module->file)
    return name;
  const struct symbols *symbols = module->file->symbols;
  const struct symbol *symbol = symbols ? symbols_find(symbols, address - module->bias) : NULL;
  name.file = module->file->name;
  name.function = symbol ? symbol->name : NULL;
  name.start = module->bias + (symbol ? symbol->address : 0);
  return name;
}

struct guest_name guest_name_of(guest_addr address) {
  process_lock(&lock);
  const struct guest_name name = find_name(address);
  process_unlock(&lock);
  return name;
}

void guest_name_format(const struct guest_name *name, guest_addr address, char *text, size_t size) {
  const char *what = name->function ? name->function : name->file;
  if (!what)
    snprintf(text, size, "0x%08x", address);
  else if (address == name->start && name->function)
    snprintf(text, size, "%s", what);
  else
    snprintf(text, size, "%s+0x%x", what, address - name->start);
}
