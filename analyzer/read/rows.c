#include "read/rows.h"

#include "read/parts.h"

#include <string.h>

static const enum ul_table tables[UL_ROW_KINDS] = {UL_SITES, UL_NODES, UL_CODES,
                                                   UL_SITES};

struct rows rows_of(const struct recording *r, const struct ul_snapshot *s) {
  struct rows rows = {0};
  uint64_t have = r->tables[UL_ROWS].count;
  if (s->row > have || s->row_bytes > have - s->row) return rows;
  rows.at = (const uint8_t *)r->tables[UL_ROWS].data + s->row;
  rows.end = rows.at + s->row_bytes;
  memcpy(rows.left, s->rows, sizeof rows.left);
  return rows;
}

static bool number(struct rows *rows, uint64_t *n) {
  *n = 0;
  for (unsigned shift = 0; rows->at < rows->end && shift < 64; shift += 7) {
    uint8_t byte = *rows->at++;
    *n |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool rows_next(struct rows *rows, struct row *row) {
  uint64_t more;
  while (!rows->left[rows->last.kind]) {
    if (rows->last.kind + 1 == UL_ROW_KINDS) return false;
    rows->last = (struct row){.kind = rows->last.kind + 1};
  }
  if (!number(rows, &more) || !number(rows, &rows->last.blocks) ||
      !number(rows, &rows->last.bytes) || more > UINT32_MAX - rows->last.number)
    return false;
  rows->last.number += (uint32_t)more;
  rows->left[rows->last.kind]--;
  *row = rows->last;
  return true;
}

bool rows_are_sound(const struct recording *r, const struct ul_snapshot *s) {
  struct rows rows = rows_of(r, s);
  struct row row;
  static const uint32_t no_rows[UL_ROW_KINDS];
  if (!rows.at) return false;
  while (rows_next(&rows, &row))
    if (row.number >= r->tables[tables[row.kind]].count) return false;
  return rows.at == rows.end && !memcmp(rows.left, no_rows, sizeof no_rows);
}
