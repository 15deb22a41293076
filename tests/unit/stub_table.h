#ifndef STUB_TABLE_H
#define STUB_TABLE_H

#include "recording/table.h"

uint64_t stub_fallbacks(enum ul_fallback which);
#endif
