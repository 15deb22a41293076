/* code.h - what an object file says of its code without any symbol: where functions
 * begin, and how a call was made. So that a function is known by its start where it has
 * no name, and frames without names are not given those of others.
 *
 * Addresses are the file's own. The file may be damaged: all that is read is checked. */
#ifndef ULLAGE_CODE_H
#define ULLAGE_CODE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct code;

/* The Elf must outlive it. NULL: no memory. */
struct code *code_of(Elf *elf);
void code_free(struct code *);

/* Where the function around the address begins, by the unwind table (.eh_frame_hdr,
 * Linux Standard Base 10.6.2), which stripped files keep. A part of a function that the
 * compiler placed elsewhere (".cold") has a start of its own. false: no function is known
 * there. */
bool code_function(const struct code *, uint64_t address, uint64_t *start);
bool code_is_function(const struct code *, uint64_t start);
/* Functions are numbered by where they begin; false: none is known there. */
size_t code_functions(const struct code *);
bool code_function_index(const struct code *, uint64_t address, size_t *index);
/* Where an operand of 32 bits at `at` leads, relative to the address behind its
 * instruction. */
static inline uint64_t code_relative(const uint8_t *at, uint64_t behind) {
  int32_t offset;
  memcpy(&offset, at, sizeof offset);
  return behind + (uint64_t)(int64_t)offset;
}
uint64_t code_function_start(const struct code *, size_t index);

/* The instruction before a return address. A call by way of a pointer names no callee:
 * who makes it hands work on. */
enum code_call { CODE_CALL_UNKNOWN, CODE_CALL_DIRECT, CODE_CALL_BY_POINTER };
enum code_call code_call_before(const struct code *, uint64_t return_address);

/* Does the caller take what it is given back? Behind the return address RAX is read soon,
 * and not written before. Looked for byte by byte; what is handed on as it is, by return,
 * is not seen. */
bool code_takes_result(const struct code *, uint64_t return_address);

/* `bytes` bytes of the file's image, or NULL if they are not in it. */
const uint8_t *code_image(const struct code *, uint64_t address, size_t bytes);
/* A NUL-terminated string in memory that the program may not write (or only while it is
 * relocated); NULL: none. */
const char *code_string(const struct code *, uint64_t address);
/* Such a string, if it is a word as commands, methods and options have. */
const char *code_word(const struct code *, uint64_t address);
/* Is that an address of code? */
bool code_is_code(const struct code *, uint64_t address);
/* The index-th section of code; false: there are no more. */
bool code_section(const struct code *, size_t index, uint64_t *address,
                  const uint8_t **data, size_t *bytes);
#endif
