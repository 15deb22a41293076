/* geometry.h - how memory is cut. A recording's readers need to know, too, so format.h
 * has the same, word for word; where both are included the compiler compares. */
#ifndef ULLAGE_GEOMETRY_H
#define ULLAGE_GEOMETRY_H

#define UL_ARENA_BYTES (1u << 20)
#define UL_UNIT_BYTES (1u << 14)
#define UL_UNITS (UL_ARENA_BYTES / UL_UNIT_BYTES)
#define UL_CLASSES 64 /* class 0 is a span: one block of whole pages */
#define UL_SPAN 0
/* What a block may have above the request, by the choice of its class and by realloc: a
 * watcher's note of a block has room for no more. */
#define UL_SLACK_MAX 0x1fffu

#define UL_MEDIUM_MAX (32u * 1024u)
#define UL_SPAN_MAX (512u * 1024u) /* half an arena: two still share one */
#endif
