/* frame.h - call stacks as a person reads them.
 *
 * A site of a recording becomes an array of frames, innermost first. One return
 * address gives one frame and, before it, a frame for each function that the
 * compiler inlined there. Nothing is looked up before a stack is asked for, and no
 * address twice; a recording with a million sites costs only what is shown, and of that
 * the places are kept, not the stacks.
 *
 * Not thread-safe. Names belong to the symbols and live until symbols_free(). */
#ifndef ULLAGE_FRAME_H
#define ULLAGE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recording;

struct frame {
  const char *function; /* demangled; NULL: unknown */
  const char *linkage;  /* the same mangled; NULL: it is not, or that is not told */
  const char *file;     /* of the source; NULL: unknown */
  const char *module;   /* absolute path, "[vdso]"; NULL: none, as for JIT code */
  unsigned line;        /* 0: unknown */
  uint64_t address;     /* the return address in the recorded process */
  uint64_t offset;      /* from the function's start; from the module's if it is NULL */
  uint64_t start;       /* of the function, in the module; 0: unknown */
  bool by_pointer;      /* called the next inner one by way of a pointer */
  bool takes_result;    /* ... and takes what that gives back */
  bool derived;         /* `function` is what it is for, not its name (derived.h) */
  bool inlined;         /* into the next frame */
  bool paths;           /* the file is shown with its directories */
  bool hidden;          /* ullage's own, or below main or the thread's start */
  bool note;            /* no frame: `function` says why there is none, in parentheses */
  uint16_t of_module;   /* index in UL_MODULES; UL_NO_MODULE */
  uint32_t number; /* of the place: the same in all stacks that lead through it, which
                      differ in `hidden` alone; 0: none */
};

struct symbols_options {
  const char *sysroot;        /* look for modules below this directory; NULL: "/" */
  bool paths;                 /* files are shown with their directories */
  bool debuginfod;            /* may ask the servers of DEBUGINFOD_URLS */
  struct symbol_files *files; /* shared with other recordings (files.h); NULL: none are */
};

/* options may be NULL. The recording must outlive the symbols. NULL: no memory. */
struct symbols *symbols_new(const struct recording *, const struct symbols_options *);
void symbols_free(struct symbols *);

/* The frames of a site, hidden ones included; at least one (sites without a stack
 * have a note). *out belongs to the symbols and holds until the next stack is asked
 * for. */
size_t frame_stack(struct symbols *, uint32_t site, const struct frame **out);

/* The same for any node of the trie. */
size_t frame_node_stack(struct symbols *, uint32_t node, const struct frame **out);

/* Of one return address: the frames of the functions inlined there, innermost first, and
 * of the function itself. `code`: module in the upper 16 bits, below it the address in
 * that module's file. */
size_t frame_places(struct symbols *, uint64_t code, const struct frame **out);
/* Where the function begins that a return address leads to, in its module's file; false:
 * not known. Names nothing. */
bool frame_function_start(struct symbols *, uint64_t code, uint64_t *start);
/* The symbol of a frame's function as linkers know it; NULL: it is inlined, or there is
 * none. */
const char *frame_symbol(struct symbols *, const struct frame *);
/* Was the call made by way of a pointer? */
bool frame_by_pointer(struct symbols *, uint64_t code);
/* Does who is called there give back something that is taken? (code.h) */
bool frame_takes_result(struct symbols *, uint64_t code);
/* How many functions of its file call the frame's (callers.h); 0: not known. */
uint32_t frame_callers(struct symbols *, const struct frame *);

/* Sets `hidden` of what nobody wants to see: all outside of main, if the stack is
 * complete, what started the thread, and the allocator. Not all of them. */
void frame_hide(struct frame *frames, size_t count, bool complete);

/* Index of the frame to blame: the innermost one that is shown, is not in a library
 * of the language's runtime (libc, ld.so, libstdc++ ...) or one of its templates
 * (/usr/include/c++, std::, alloc:: of Rust), and is not a well-known wrapper of
 * malloc such as xmalloc or g_malloc, nor called by one. That it has no name does not
 * make it innocent, nor its caller guilty. If every frame is innocent: the innermost one
 * shown. */
size_t frame_guilty(const struct frame *, size_t count);

/* The next caller of a frame without a name that has one; `count`: there is none. */
size_t frame_named_caller(const struct frame *, size_t count, size_t of);

/* Code of the language's standard library, compiled into the program. */
bool frame_is_library(const struct frame *);
/* Of the same file? What is of none (a JIT compiler's) is like nothing. */
bool frame_same_module(const struct frame *, const struct frame *);

/* One line without newline: "function (file.c:12)", "function+0x12 (libfoo.so)",
 * "libfoo.so+0x1234", "0x7f0012345678 (no module)". As snprintf: returns the length
 * it would need. */
size_t frame_text(const struct frame *, char *buffer, size_t size);

/* These frames of a stack were shown; a name that was only asked for was not. */
void symbols_note_shown(struct symbols *, const struct frame *, size_t count);
/* What a reader should know about the symbols shown so far, one sentence without
 * newline: how to get files and lines, or which files changed since the recording.
 * Index 0 looks again, then 1, 2 ... until NULL. For the end of a report. */
const char *symbols_hint(struct symbols *, size_t index);
/* Of what names were asked for so far: the path of a file that is another one by now, or
 * not there. From 0 until NULL. */
const char *symbols_nameless(const struct symbols *, size_t index);
#endif
