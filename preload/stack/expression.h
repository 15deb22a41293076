/* expression.h - DWARF expressions (2.5), as far as unwind tables have them: how a value
 * is computed from registers and words of memory. */
#ifndef ULLAGE_EXPRESSION_H
#define ULLAGE_EXPRESSION_H

#include "stack/bytes.h"
#include "stack/cfi.h"

struct expression_of {
  const struct cfi_registers *registers;
  cfi_word *word;
  void *memory;
};

/* `first`: on its stack at the beginning, if it is not NULL. false: it cannot be had. */
bool expression_value(struct bytes expression, const struct expression_of *,
                      const uint64_t *first, uint64_t *result);
#endif
